"""The contract of every detector in the catalog."""

import re
from collections.abc import Iterator
from functools import cache
from random import Random

import pytest

from detectors import CATALOG, Detector
from detectors.base import ATLAS, ATTACK, OWASP
from detectors.features import WINDOWS
from schemas import samples
from schemas.decode import WIRE, decode_line
from schemas.finding import FAMILIES, LANES, MAX_FINDING_EVENTS, Finding
from schemas.samples import (
    TENANTS,
    World,
    at,
    calm_world,
    loops,
    make_clients,
    trials,
    trials_thieves,
)
from schemas.samples.all_trials import TRIALS
from schemas.testing import record
from streams.columns import _MAKERS, Columns
from streams.pipeline import CoreSettings, Pipeline
from tests.detecting import START, call, tool

VERSIONS = {"MITRE ATLAS": ATLAS, "MITRE ATT&CK": ATTACK, "OWASP LLM Top 10": OWASP}
EACH = pytest.mark.parametrize("kind", CATALOG, ids=[kind.about.id for kind in CATALOG])
DAYS = 3  # in which habits form


@pytest.fixture(autouse=True)
def _everything_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """The health of services is judged by a sample; here by all calls, so that few are enough."""
    monkeypatch.setattr("streams.masks.SAMPLE_BITS", 0)
    monkeypatch.setattr("streams.masks.TOOL_SAMPLE_BITS", 0)


@cache
def staged() -> list[bytes]:
    """Every attack and some look-alikes, on the day after days in which habits form."""
    busy = sorted(make_clients(0), key=lambda client: client.per_day)
    keys = [client for client in busy if client.per_day > 150][:6]
    world, noon = World(0, DAYS + 1, keys, sessions_a_day=2), at(DAYS, 12)
    a, b, c, *_ = TENANTS
    world.staged = [
        samples.key_probe_from_one_address(0, noon, keys[:1]),
        samples.key_probe_on_a_credential(0, noon, keys[0]),
        samples.model_sweep(0, noon, keys[1]),
        samples.stolen_key_burst(0, noon, keys[2], calls=800, hours=1),
        samples.cross_tenant_read(0, noon, a, b),
        samples.shared_session(0, noon, b, c),
        samples.triple_charge(0, noon, a),
        samples.stuck_tool_loop(0, noon, b),
        samples.rate_limit_storm(0, noon, keys[3], minutes=3),
        samples.repeated_prompt(0, noon, keys[4], minutes=10),
        samples.deploy_burst(0, noon, keys[5]),
        samples.status_polling(0, noon, c),
        samples.retry_after_failure(0, noon, c),
        loops.growing_agent(0, at(DAYS, 15), keys[5]),
    ]
    lines = [line.data for day in world.lines() for line in day]
    for seed, (name, trial) in enumerate(TRIALS.items()):
        if name not in trials_thieves.TRIALS:
            lines += trial.attacks[0](seed)
    return sorted(lines, key=lambda line: decode_line(line)[1])


def judged(lines: list[bytes], size: int = 5000, restart: int = 0) -> list[Finding]:
    """All findings; with `restart` across a snapshot every so many blocks."""
    settings = CoreSettings(**trials.settings())
    pipeline = Pipeline(settings)
    found = []
    for number, start in enumerate(range(0, len(lines), size), 1):
        found += pipeline.process(b"\n".join(lines[start : start + size])).findings
        if restart and number % restart == 0:
            pipeline = Pipeline.restore(pipeline.snapshot(), settings)
    return found + pipeline.close().findings


@cache
def whole() -> list[Finding]:
    return judged(staged())


def names(found: list[Finding]) -> set[tuple[str, str]]:
    return {(finding.detector, finding.id) for finding in found}


def flood(detector: Detector, events: int) -> Iterator[int]:
    """The size of a detector's memory while every event brings a new name."""
    memory = detector.memory
    for i in range(events):
        if memory is not None:
            memory.tick(i)
        named = {"side_effect": True, "status": "ok", "args": f"a{i}", "tool": "t"}
        event = record(
            id=f"e{i}",
            kind="agent.tool_call",
            tenant="acme",
            session=f"s{i}",
            resource=f"r{i}",
            **named,
        )
        list(detector.inspect(event, i))
        if memory is not None:
            yield len(memory)


@EACH
def test_an_id_is_kebab_case_and_comes_once(kind: type[Detector]) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", kind.about.id)
    assert 1 == [other.about.id for other in CATALOG].count(kind.about.id)


@EACH
def test_it_says_what_to_do_and_what_it_does_not_see(kind: type[Detector]) -> None:
    about = kind.about

    assert len(about.runbook) >= 2
    assert all(step.endswith((".", "?")) and len(step) > 20 for step in about.runbook)
    assert len(about.blind_spot) > 10
    assert about.title and about.version
    assert about.family in FAMILIES
    assert kind.__doc__ and "Blind spot:" in kind.__doc__ and "Source:" in kind.__doc__


@EACH
def test_it_names_versioned_techniques(kind: type[Detector]) -> None:
    patterns = {
        "MITRE ATLAS": r"AML\.T\d{4}(\.\d{3})?",
        "MITRE ATT&CK": r"T\d{4}(\.\d{3})?",
        "OWASP LLM Top 10": r"LLM\d\d",
    }
    assert kind.about.techniques
    for technique in kind.about.techniques:
        assert VERSIONS[technique.framework] == technique.version
        assert re.fullmatch(patterns[technique.framework], technique.id)
        assert technique.name


@EACH
def test_it_needs_fields_that_events_have(kind: type[Detector]) -> None:
    assert kind.about.needs
    assert {*kind.about.needs, *kind.about.helps} <= set(WIRE.values())


@EACH
def test_its_channels_and_its_mask_exist(kind: type[Detector]) -> None:
    specs = {spec.name: spec for spec in WINDOWS}

    assert kind.channels or kind.takes
    for channel in kind.channels:
        spec = specs[channel.window]
        assert channel.feature in spec.index
        if channel.share is not None:
            learned = {*spec.learned, *spec.counted, *(law.feature for law in spec.recorded)}
            assert (channel.like or channel.feature) in learned
    if kind.takes:
        assert kind.takes in _MAKERS or hasattr(Columns, "_" + kind.takes)
        assert kind.lane in LANES


@EACH
def test_what_it_remembers_is_bounded(
    kind: type[Detector], monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = kind()
    if detector.memory is None:
        before = repr(vars(detector))
        list(flood(detector, 100))
        assert before == repr(vars(detector))
        return
    monkeypatch.setattr(detector.memory, "limit", 100, raising=False)

    assert max(flood(detector, 1000)) <= 200


def test_the_staged_world_makes_every_detector_speak() -> None:
    assert {kind.about.id for kind in CATALOG} == {finding.detector for finding in whole()}


def test_calm_traffic_raises_nothing() -> None:
    world = World(1, 3, make_clients(1, 2)[:12], sessions_a_day=3)
    lines = [line.data for day in world.lines() for line in day]

    assert len(lines) > 3000
    assert [] == [(f.detector, f.summary) for f in judged(lines)]


@pytest.mark.slow
def test_two_calm_weeks_stay_inside_the_alert_budget() -> None:
    world = calm_world(3)
    lines = [line.data for day in world.lines() for line in day]
    found = {finding.id: finding for finding in judged(lines)}

    key_months = len(world.clients) * world.days / 30
    assert len(found) <= max(2.0, CoreSettings().alert_budget * key_months)


def test_blocks_and_snapshots_change_nothing() -> None:
    again = judged(staged(), 997, restart=3)

    assert [f.to_json() for f in whole()] == [f.to_json() for f in again]


@pytest.mark.process
def test_redelivered_events_change_nothing() -> None:
    rng = Random(0)
    twice = []
    lines = staged()
    for at_, line in enumerate(lines):
        twice.append(line)
        if rng.random() < 0.2:
            twice.append(lines[max(0, at_ - rng.randint(0, 3))])
    found = judged(twice)

    assert names(whole()) == names(found)
    finals = {f.id: f.evidence.get("totals") for f in whole() if f.final}
    assert finals == {f.id: f.evidence.get("totals") for f in found if f.final}


def test_events_shuffled_within_the_lateness_change_nothing() -> None:
    rng = Random(1)
    arrive = [(decode_line(line)[1] + rng.randint(0, 59_000), line) for line in staged()]

    found = judged([line for _, line in sorted(arrive)])

    assert names(whole()) == names(found)


@pytest.mark.process
def test_late_events_change_nothing() -> None:
    lines = staged()
    late = [call(0, model=f"m{i}", http_status=403, key=f"hmac:{i:016x}") for i in range(50)]
    late += [tool(0, owner="globex", resource=f"r{i}", side_effect=True) for i in range(50)]
    half = len(lines) // 2
    found = judged([*lines[:half], *late, *lines[half:]])

    assert names(whole()) == names(found)
    assert decode_line(lines[half])[1] > START.timestamp() * 1000 + 60_000


def test_findings_survive_json() -> None:
    assert whole()
    for finding in whole():
        again = Finding.model_validate_json(finding.to_json())
        assert finding.to_json() == again.to_json()
        assert finding.id == again.id


def test_findings_name_who_when_and_why() -> None:
    by_id = {kind.about.id: kind.about for kind in CATALOG}
    for finding in whole():
        about = by_id[finding.detector]
        assert (about.title, about.family, about.runbook) == (
            finding.title,
            finding.family,
            finding.runbook,
        )
        assert finding.since <= finding.time
        assert 1 <= len(finding.event_ids) <= MAX_FINDING_EVENTS
        assert finding.provenance.settings and finding.provenance.state
        assert finding.evidence["events"]


def test_no_content_and_no_name_of_a_tenant_stands_in_a_summary() -> None:
    for finding in whole():
        assert not any(tenant in finding.summary for tenant in TENANTS)
        assert len(finding.summary) < 200
