"""The rules of the core one by one: limits, trips, alarms, learning, bounds."""

from datetime import datetime, timedelta
from typing import ClassVar

import pytest

import streams.lane as lane
from detectors import CATALOG, Channel, Detector, Verdict, Window
from detectors.base import About
from detectors.features import CREDENTIAL_1H, CREDENTIAL_5M
from schemas.decode import instant
from schemas.finding import Finding, Severity
from schemas.samples import trials
from schemas.testing import event
from streams.pipeline import CoreSettings, Pipeline
from tests.oracle_events import window_of
from tests.random_streams import OTHERS_OFF

START = datetime.fromisoformat("2026-10-01T00:00:00+00:00")
START_MS = int(START.timestamp() * 1000)
KEY = "hmac:00000000000000aa"
MINUTE, HOUR, DAY = 60, 3600, 86_400


class Watcher(Detector):
    """Speaks of any window whose tokens pass 100."""

    about = About(
        id="watcher",
        title="Watched",
        family="llmjacking",
        severity=Severity.LOW,
        runbook=("Look.",),
        blind_spot="none",
    )
    channels = (Channel("credential/5m", "tokens", 100),)

    def judge(self, window: Window) -> Verdict | None:
        return Verdict(f"{window.totals['tokens']} tokens, {window.windows} windows known")


class Reluctant(Watcher):
    """Speaks only of more than 200 tokens, though asked above 100."""

    asked: ClassVar[list[int]] = []

    def judge(self, window: Window) -> Verdict | None:
        self.asked.append(window.totals["tokens"])
        return super().judge(window) if window.totals["tokens"] > 200 else None


@pytest.fixture
def watcher(monkeypatch: pytest.MonkeyPatch) -> type[Watcher]:
    monkeypatch.setattr("streams.pipeline.CATALOG", (Watcher,))
    return Watcher


@pytest.fixture
def reluctant(monkeypatch: pytest.MonkeyPatch) -> type[Reluctant]:
    monkeypatch.setattr("streams.pipeline.CATALOG", (Reluctant,))
    monkeypatch.setattr(Reluctant, "asked", [])
    return Reluctant


def boundary(window: int, key: str = KEY, spec: object = CREDENTIAL_5M) -> float:
    """Seconds from START to where a window of this key begins."""
    _, start = window_of(spec, key, START_MS)  # type: ignore[arg-type]
    width = spec.width_ms  # type: ignore[attr-defined]
    return (start + (window + 1) * width - START_MS) / 1000


def call(seconds: float, tokens: int = 0, key: str = KEY, **fields: object) -> bytes:
    time = START + timedelta(milliseconds=round(1000 * seconds))
    named = {"id": f"{key}@{seconds}", "key": key, "input_tokens": tokens, **fields}
    stamp = time + timedelta(days=1)
    return event(time.isoformat(), observed_timestamp=stamp, **named).to_json()


def judged(*lines: bytes, close: bool = True) -> list[Finding]:
    pipeline = Pipeline()
    found = pipeline.process(b"\n".join(lines)).findings
    return found + pipeline.close().findings if close else found


def firsts(found: list[Finding]) -> list[Finding]:
    return [finding for finding in found if finding.revision == 1]


def ms(finding: Finding) -> float:
    return (finding.time - START).total_seconds()


@pytest.mark.parametrize(("tokens", "count"), [(100, 0), (101, 1)])
def test_a_window_trips_when_its_total_passes_the_limit(
    watcher: type[Watcher], tokens: int, count: int
) -> None:
    assert count == len(firsts(judged(call(0, 50), call(1, tokens - 50))))


def test_the_event_that_crosses_decides(watcher: type[Watcher]) -> None:
    lines = [call(boundary(0) + i, 30) for i in range(10)]
    first, final = judged(*lines)

    assert (3, 10) == (first.provenance.position, final.provenance.position)
    assert (f"{KEY}@{boundary(0) + 3}",) == first.event_ids
    assert ("120 tokens, 0 windows known", "300 tokens, 0 windows known") == (
        first.summary,
        final.summary,
    )
    assert [f"{KEY}@{boundary(0) + i}" for i in range(3, 10)] == list(final.event_ids)
    assert (1, 2, False, True) == (first.revision, final.revision, first.final, final.final)


def test_a_detector_that_stays_quiet_is_asked_again_when_the_total_grew_by_a_quarter(
    reluctant: type[Reluctant],
) -> None:
    judged(*[call(boundary(0) + i, 10) for i in range(25)], close=False)

    assert [110, 140, 180, 230] == reluctant.asked


def test_windows_of_a_key_are_shifted_by_its_hash(watcher: type[Watcher]) -> None:
    starts = {boundary(0, f"hmac:{i:016x}") % 300 for i in range(200)}

    assert len(starts) > 40
    edge = boundary(1)
    assert [] == firsts(judged(call(edge - 0.001, 60), call(edge, 60)))
    assert 1 == len(firsts(judged(call(edge, 60), call(edge + 299.999, 60))))


def test_a_window_closes_when_the_clock_passes_its_end_plus_the_lateness(
    watcher: type[Watcher],
) -> None:
    edge = boundary(1)
    for late, closed in ((59.999, 0), (60, 1)):
        pipeline = Pipeline()
        pipeline.process(call(edge - 1, 101))
        found = pipeline.process(call(edge + late, key="hmac:00000000000000bb")).findings

        assert closed == len(found)
        assert closed == pipeline.stats.closed_windows


def test_an_event_in_time_still_counts_in_the_window_that_is_over(watcher: type[Watcher]) -> None:
    edge = boundary(1)
    found = judged(call(edge - 10, 60), call(edge + 49, 0), call(edge - 11, 60))

    assert ["120 tokens, 0 windows known"] * 2 == [finding.summary for finding in found]
    assert edge + 49 == ms(found[0])


def test_a_window_is_judged_by_what_was_learned_two_windows_before(
    watcher: type[Watcher],
) -> None:
    found = firsts(judged(*[call(boundary(i), 101 * 11**i) for i in range(5)]))

    assert [0, 0, 1, 2, 3] == [int(finding.summary.split()[2]) for finding in found]


def test_more_of_the_same_joins_what_was_told_and_ten_times_more_breaks_through(
    watcher: type[Watcher],
) -> None:
    totals = [150, 0, 150, 1500, 1501, 9000, 15_011]
    found = firsts(judged(*[call(boundary(i), total) for i, total in enumerate(totals)]))

    assert [150, 1501, 15_011] == [int(finding.summary.split()[0]) for finding in found]


def test_a_day_of_quiet_makes_the_same_news_again(watcher: type[Watcher]) -> None:
    day = 288
    again = firsts(judged(*[call(boundary(i), 150) for i in (0, day, day + 1 + day)]))

    assert [boundary(0), boundary(2 * day + 1)] == [ms(finding) for finding in again]


def test_what_was_called_an_attack_is_learned_only_after_a_day(watcher: type[Watcher]) -> None:
    pipeline = Pipeline()
    habits = pipeline._lanes[0].windows[0].habits
    day = 288
    for window in range(day + 10):
        pipeline.process(call(boundary(window), 5000))
        if window in (day, day + 8):
            learned = int(habits.mean[0, 0] > 0)
            assert int(window > day) == learned
    assert habits.n[0] > day


def test_other_keys_are_judged_by_themselves(watcher: type[Watcher]) -> None:
    found = judged(call(0, 101), call(1, 100, key="hmac:00000000000000bb"))

    assert {KEY} == {finding.entity.id for finding in found}


def test_findings_of_one_stream_come_in_their_stated_order(watcher: type[Watcher]) -> None:
    keys = [f"hmac:{i:016x}" for i in range(1, 40)]
    lines = [call(i / 10, 101, key=key) for i, key in enumerate(keys)]
    found = judged(*lines, call(4000, key=keys[0]))
    closes = [f for f in found if f.final]

    assert sorted(closes, key=lambda f: (str(f.evidence["window"]), f.entity.id)) == closes
    assert len(keys) == len(closes)
    positions = [finding.provenance.position for finding in found]
    assert sorted(positions) == positions


def flood(count: int, max_keys: int, block: int = 1000) -> tuple[Pipeline, list[Finding], str]:
    """Random keys, one call each, around one key that has a habit."""
    pipeline = Pipeline(CoreSettings(max_keys=max_keys))
    found = []
    for hour in range(5):
        found += pipeline.process(call(hour * HOUR, 10)).findings
    base = call(5 * HOUR, 1, key="hmac:KKKKKKKKKKKKKKKK", id="IDIDIDID")
    for first in range(0, count, block):
        lines = [
            base.replace(b"KKKKKKKKKKKKKKKK", b"%016x" % (1 + i * 2654435761 % 2**64)).replace(
                b"IDIDIDID", b"%08x" % i
            )
            for i in range(first, min(first + block, count))
        ]
        found += pipeline.process(b"\n".join(lines)).findings
    return pipeline, found, KEY


def check_flood(count: int, max_keys: int) -> None:
    pipeline, found, known = flood(count, max_keys)
    keys = pipeline._lanes[0].keys

    assert max_keys >= len(keys) > max_keys // 2
    assert known in keys.names(keys.used())
    assert ["key-flood"] == [finding.detector for finding in found]
    assert count + 1 - len(keys) == pipeline.stats.evicted_keys + pipeline.stats.refused_keys
    assert pipeline._lanes[0].windows[0].habits.n[0] >= lane.HABIT_WINDOWS
    assert max_keys >= keys.capacity
    again = pipeline.process(call(5 * HOUR + 1, 20)).findings
    assert [] == again
    assert 1 == keys.names(keys.used()).count(known)


def test_a_flood_of_keys_evicts_the_quiet_and_is_announced_once() -> None:
    check_flood(20_000, 2000)


@pytest.mark.slow
def test_a_million_random_keys_stay_inside_the_cap() -> None:
    check_flood(1_000_000, 50_000)


def test_a_newcomer_is_refused_where_every_key_has_a_habit() -> None:
    pipeline = Pipeline(CoreSettings(max_keys=64))
    for hour in range(6):
        for i in range(64):
            pipeline.process(call(hour * HOUR + i, 1, key=f"hmac:{i + 1:016x}"))
    found = pipeline.process(call(6 * HOUR, 1, key="hmac:00000000000000ff")).findings

    assert (0, 1) == (pipeline.stats.evicted_keys, pipeline.stats.refused_keys)
    assert ["key-flood"] == [finding.detector for finding in found]


def test_lines_that_are_no_events_are_rejected_with_their_place_and_change_nothing_else() -> None:
    good = [call(i, 1) for i in range(6)]
    bad = [b"{", b"[]", b'{"timestamp":1}', b"\xff", b"nonsense"]
    mixed = [line for pair in zip(good, [*bad, b" "], strict=True) for line in pair]
    pipeline = Pipeline()
    output = pipeline.process(b"\n".join(mixed))

    assert [1, 3, 5, 7, 9] == [rejection.position for rejection in output.rejections]
    assert bad == [rejection.raw for rejection in output.rejections]
    assert all(rejection.reason for rejection in output.rejections)
    assert (6, 5, 11) == (pipeline.stats.judged, pipeline.stats.rejected, pipeline.position)


def test_rollups_tell_active_keys_windows_and_their_band() -> None:
    pipeline = Pipeline()
    rolled = []
    for hour in range(10):
        lines = [call(boundary(hour, spec=CREDENTIAL_1H) + i, 10) for i in range(12)]
        rolled += pipeline.process(b"\n".join(lines)).rollups

    assert rolled
    assert {KEY} == {rollup.entity.id for rollup in rolled}
    assert {12} == {rollup.totals["calls"] for rollup in rolled}
    assert {timedelta(hours=1)} == {rollup.end - rollup.start for rollup in rolled}


def test_a_source_shows_a_sign_of_life_every_minute() -> None:
    pipeline = Pipeline()
    beats = []
    for second in range(0, 300, 10):
        beats += pipeline.process(call(second, ingest_source="gateway")).heartbeats

    assert 5 == len(beats)
    assert {"gateway"} == {beat.source for beat in beats}
    assert instant("2026-10-01T00:04:00Z") == beats[-1].last_event


def test_the_catalog_is_what_the_pipeline_runs() -> None:
    pipeline = Pipeline(CoreSettings(**trials.settings()))
    windowed = {
        d.about.id for one in pipeline._lanes for w in one.windows for d in w.limits.detectors
    }
    single = {detector.about.id for detector in pipeline._inspectors._detectors}

    assert {kind.about.id for kind in CATALOG} == windowed | single


def test_a_rollup_tells_the_band_of_what_is_usual_in_real_units() -> None:
    lines = [
        call(HOUR * hour + 60 * n, 50_000, id=f"{hour}/{n}")
        for hour in range(12)
        for n in range(10)
    ]
    rollups = Pipeline().process(b"\n".join(lines)).rollups

    typical, limit = rollups[-1].usual["tokens"]
    assert 400_000 < typical < 520_000
    assert 400_000 < limit < 10_000_000


def test_a_block_across_midnight_tells_no_fact_of_the_day_before_again() -> None:
    def at(seconds: float, **fields: object) -> bytes:
        return call(DAY + seconds, 1, session="conversation-1", **fields)

    lines = [
        at(-12 * HOUR, tenant="acme"),
        at(-11 * HOUR, tenant="globex"),
        at(-30, tenant="globex", id="again"),
        call(DAY + 5, kind="agent.tool_call", tenant="acme", resource="doc", owner="globex"),
    ]
    core = CoreSettings(modes=OTHERS_OFF)
    whole = Pipeline(core).process(b"\n".join(lines)).findings

    one_by_one = Pipeline(core)
    single = [finding for line in lines for finding in one_by_one.process(line).findings]
    assert ["shared-session", "foreign-resource"] == [finding.detector for finding in whole]
    assert single == whole


@pytest.mark.parametrize("restart", [False, True])
def test_a_memory_that_was_full_is_announced_once_a_day_and_place(
    restart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detectors.repeated_call.MAX_CALLS", 5)
    settings = CoreSettings(max_pairs=1024)
    pipeline = Pipeline(settings)
    found: list[tuple[str, int]] = []
    for minute in [*range(15), *range(24 * 60, 24 * 60 + 15)]:
        at = (START + timedelta(minutes=minute)).isoformat()
        calls = [
            event(at, id=f"{minute}/{n}", key=KEY, tenant="t", model=f"m{minute}/{n}")
            for n in range(200)
        ] + [
            event(
                at, id=f"{minute}/t{n}", kind="agent.tool_call", tool="read", args=f"a{n}",
                status="error", session=f"session-{minute}-{n}", tenant="t",
            )
            for n in range(10)
        ]  # fmt: skip
        output = pipeline.process(b"\n".join(call.to_json() for call in calls))
        days = [(one.entity.id, one.time.day) for one in output.findings if _full(one)]
        found += days
        if restart:
            pipeline = Pipeline.restore(pipeline.snapshot(), settings)

    places = ("credential: what keys used", "repeated-call")
    assert sorted((place, day) for place in places for day in (1, 2)) == sorted(
        one for one in found if one[0] in places
    )
    assert len(set(found)) == len(found)


def _full(finding: Finding) -> bool:
    return finding.detector == "memory-full"
