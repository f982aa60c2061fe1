"""What operators decide takes effect by event time, from its place in the stream on."""

from datetime import datetime, timedelta

import pytest

from schemas.finding import Entity, Finding, Severity
from schemas.records import Control
from schemas.testing import event
from streams.pipeline import CoreSettings, Pipeline
from streams.snapshot import unpack

START = datetime.fromisoformat("2026-10-01T00:00:00+00:00")


def foreign(minute: float, session: str = "s") -> bytes:
    """A tool call that raises one finding of its own."""
    return event(
        (START + timedelta(minutes=minute)).isoformat(),
        id=f"e{minute}",
        kind="agent.tool_call",
        tenant="acme",
        session=session,
        resource=f"r{minute}",
        owner="globex",
    ).to_json()


def control(action: str = "expected", **fields: object) -> bytes:
    """A decision that is in force from the start."""
    named = {"id": "c1", "owner": "soc", "reason": "known", "effective": START, **fields}
    return Control.model_validate({"action": action, **named}).model_dump_json().encode()


def judged(*lines: bytes, size: int = 1000, settings: CoreSettings | None = None) -> list[Finding]:
    """The findings about these lines, in blocks of `size`."""
    pipeline = Pipeline(settings)
    blocks = [lines[at : at + size] for at in range(0, len(lines), size)]
    return [f for block in blocks for f in pipeline.process(b"\n".join(block)).findings]


def minutes(found: list[Finding]) -> list[int]:
    return [round((finding.time - START).total_seconds() / 60) for finding in found]


LINES = [foreign(1), foreign(2), foreign(3)]


def test_what_is_expected_is_hidden_and_counted() -> None:
    pipeline = Pipeline()

    assert [] == pipeline.process(b"\n".join([control(), *LINES])).findings
    assert 3 == pipeline.stats.hidden
    assert 1 == pipeline.stats.controls


def test_a_decision_takes_effect_at_its_time_and_ends_at_its_time() -> None:
    decision = control(effective=START + timedelta(minutes=2), until=START + timedelta(minutes=3))

    assert [1, 3] == minutes(judged(decision, *LINES))


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({"detector": "foreign-resource"}, []),
        ({"detector": "key-probe"}, [1, 2]),
        ({"entity": Entity(lane="session", id="s")}, [2]),
        ({"entity": Entity(lane="credential", id="s")}, [1, 2]),
        ({"tenant": "acme"}, []),
        ({"tenant": "globex"}, [1, 2]),
    ],
)
def test_an_exception_hides_what_it_names_and_nothing_else(
    fields: dict[str, object], left: list[int]
) -> None:
    lines = (foreign(1), foreign(2, session="other"))

    assert left == minutes(judged(control("exception", **fields), *lines))


def test_a_monitored_detector_speaks_without_paging() -> None:
    found = judged(control("mode", detector="foreign-resource", mode="monitor"), *LINES)

    assert ["monitor"] * 3 == [finding.mode for finding in found]
    assert {Severity.INFO} == {finding.severity for finding in found}


def test_a_detector_can_be_turned_off_and_on_again() -> None:
    off = control("mode", mode="off", effective=START)
    on = control("mode", id="c2", mode="active", effective=START + timedelta(minutes=2))

    assert [2, 3] == minutes(judged(off, on, *LINES))


def test_settings_turn_a_detector_off_or_down() -> None:
    off = CoreSettings(modes={"foreign-resource": "off"})
    down = CoreSettings(modes={"foreign-resource": "monitor"})

    assert [] == judged(*LINES, settings=off)
    assert ["monitor"] * 3 == [finding.mode for finding in judged(*LINES, settings=down)]


def test_a_later_record_with_the_same_id_replaces_the_earlier() -> None:
    never = control(until=START)

    assert [1, 3] == minutes(judged(foreign(1), control(), foreign(2), never, foreign(3)))


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_a_decision_concerns_what_comes_after_it_wherever_blocks_end(size: int) -> None:
    lines = (foreign(1), foreign(2), control(), foreign(3), control(until=START), foreign(4))

    assert [1, 2, 4] == minutes(judged(*lines, size=size))


def test_a_decision_survives_a_snapshot() -> None:
    pipeline = Pipeline()
    pipeline.process(control())
    pipeline = Pipeline.restore(pipeline.snapshot())

    assert [] == pipeline.process(b"\n".join(LINES)).findings
    assert 3 == pipeline.stats.hidden


def test_what_ended_is_forgotten_and_what_runs_is_not() -> None:
    pipeline = Pipeline()
    ended = [control(id=f"c{n}", until=START + timedelta(seconds=n)) for n in range(1, 100)]
    pipeline.process(foreign(-2) + b"\n" + foreign(-1))
    pipeline.process(b"\n".join([*ended, control(id="d", until=START + timedelta(minutes=2))]))
    assert 100 == len(unpack(pipeline.snapshot())["controls"]["records"])

    assert [] == pipeline.process(foreign(1)).findings
    assert [2] == minutes(pipeline.process(foreign(2)).findings)
    assert [] == unpack(pipeline.snapshot())["controls"]["records"]
    assert 1 == pipeline.stats.hidden


def test_beyond_the_bound_what_ends_first_is_dropped_and_that_is_announced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.controls.MAX_CONTROLS", 3)
    lasting = control(id="c", entity=Entity(lane="session", id="s"))
    short = [
        control(id=f"c{n}", tenant="globex", until=START + timedelta(hours=n)) for n in range(1, 5)
    ]
    lines = [*short, foreign(1), foreign(2, session="t"), foreign(3), foreign(24 * 60)]
    found = judged(foreign(0, session="t"), lasting, *lines, size=1)

    told = [(one.detector, one.entity.id, one.evidence.get("count")) for one in found]
    assert [("memory-full", "operators' decisions", 2)] == [
        one for one in told if one[0] == "memory-full"
    ]
    assert {"t"} == {id for name, id, _ in told if name == "foreign-resource"}


def test_a_record_that_means_nothing_is_rejected_and_kept() -> None:
    bad = control().replace(b'"soc"', b"7")
    output = Pipeline().process(bad)

    assert [(0, bad)] == [(rejection.position, rejection.raw) for rejection in output.rejections]


def test_one_tenant_may_have_modes_of_its_own() -> None:
    other = {"tenants": {"acme": {"foreign-resource": "monitor"}}}
    own = {"acme": {"foreign-resource": "active"}}
    only = {"modes": {"foreign-resource": "off"}, "tenants": own}

    assert ["monitor"] * 3 == [f.mode for f in judged(*LINES, settings=CoreSettings(**other))]
    assert ["active"] * 3 == [f.mode for f in judged(*LINES, settings=CoreSettings(**only))]
    silent = CoreSettings(tenants={"acme": {"foreign-resource": "off"}})
    assert [] == judged(*LINES, settings=silent)
    elsewhere = CoreSettings(tenants={"globex": {"foreign-resource": "off"}})
    assert [1, 2, 3] == minutes(judged(*LINES, settings=elsewhere))


@pytest.mark.parametrize(
    ("named", "left"),
    [
        ({"detector": "foreign-resource"}, [3]),
        ({"tenant": "acme"}, [3]),
        ({"entity": "s", "detector": "foreign-resource"}, [3]),
        ({"entity": "another"}, [1, 2, 3]),
        ({"detector": "key-probe", "tenant": "acme"}, [1, 2, 3]),
    ],
)
def test_an_exception_of_the_settings_hides_what_it_names_until_it_ends(
    named: dict[str, str], left: list[int]
) -> None:
    until = START + timedelta(minutes=3)
    told = {"owner": "ana", "reason": "a migration", "until": until, **named}

    assert left == minutes(judged(*LINES, settings=CoreSettings(exceptions=[told])))


def test_an_exception_that_names_nothing_is_refused() -> None:
    told = {"owner": "ana", "reason": "quiet", "until": START}

    with pytest.raises(ValueError, match="would hide everything"):
        CoreSettings(exceptions=[told])


def test_whatever_the_settings_decide_shows_in_their_fingerprint() -> None:
    told = {"owner": "ana", "reason": "r", "until": START, "tenant": "acme"}
    several = [
        CoreSettings(),
        CoreSettings(exceptions=[told]),
        CoreSettings(exceptions=[{**told, "tenant": "globex"}]),
        CoreSettings(tenants={"acme": {"key-probe": "off"}}),
        CoreSettings(tenants={"acme": {"key-probe": "monitor"}}),
    ]

    assert 5 == len({one.fingerprint() for one in several})
