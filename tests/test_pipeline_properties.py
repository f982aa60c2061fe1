"""However a stream is cut, restored, disturbed or repeated, the core says what the oracle says."""

import hashlib
import itertools
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.decode import decode_line
from schemas.finding import Finding
from streams.pipeline import CoreSettings, Pipeline
from tests.oracle import Oracle
from tests.random_streams import (
    OTHERS_OFF,
    SPOKEN,
    lower_limits,
    random_settings,
    random_stream,
)

SEEDS = range(5)
MANY_SEEDS = range(1000, 1200)


@pytest.fixture(autouse=True)
def low_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    lower_limits(monkeypatch.setattr)


def row(finding: Finding) -> tuple[Any, ...]:
    """A finding as the oracle writes it."""
    time_ms = round(finding.time.timestamp() * 1000)
    totals = finding.evidence.get("totals")
    name = (finding.id, finding.revision, finding.detector, finding.entity.id)
    said = (finding.severity.value, finding.summary, totals, finding.event_ids)
    return (*name, time_ms, finding.provenance.position, *said)


def blocks(lines: Sequence[bytes], sizes: Iterator[int]) -> Iterator[bytes]:
    """The stream cut into blocks of these sizes."""
    start = 0
    while start < len(lines):
        stop = start + next(sizes)
        yield b"\n".join(lines[start:stop])
        start = stop


def always(size: int) -> Iterator[int]:
    while True:
        yield size


def at_random(rng: Random) -> Iterator[int]:
    while True:
        yield rng.choice([1, 2, 3, 7, 30, 100])


def judge(
    lines: Sequence[bytes],
    core: CoreSettings,
    sizes: Iterator[int],
    *,
    restart: Random | None = None,
) -> tuple[list[Finding], Pipeline]:
    """All findings up to the end of time; with `restart`, across snapshots at random."""
    pipeline = Pipeline(core)
    found = []
    for block in blocks(lines, sizes):
        found += pipeline.process(block).findings
        if restart and restart.random() < 0.4:
            pipeline = Pipeline.restore(pipeline.snapshot(), core)
    return found + pipeline.close().findings, pipeline


@cache
def world(seed: int) -> tuple[CoreSettings, list[bytes], list[Finding], Pipeline]:
    """A stream, and what the core says about it in one block."""
    rng = Random(seed)
    core = random_settings(rng)
    lines = random_stream(rng, core.lateness_s)
    return (core, lines, *judge(lines, core, always(10**9)))


def told(findings: Sequence[Finding]) -> list[bytes]:
    return [finding.to_json() for finding in findings]


def check(seed: int) -> None:
    """Everything at once, for one stream."""
    core, lines, whole, pipeline = world(seed)
    oracle = Oracle(core)
    expected = [one.row() for one in oracle.run(lines)]
    assert expected == [row(finding) for finding in whole]
    counts = pipeline.stats
    assert oracle.counts == Counter(
        late=counts.late,
        duplicates=counts.duplicates,
        merged=counts.merged,
        conflicts=counts.conflicts,
        refused=counts.rejected,
    )
    for sizes in (always(1), always(7), always(1000), at_random(Random(seed))):
        assert told(whole) == told(judge(lines, core, sizes)[0])
    again = judge(lines, core, at_random(Random(seed)), restart=Random(seed))
    assert told(whole) == told(again[0])


def test_random_streams_make_every_detector_speak() -> None:
    found = {finding.detector for seed in SEEDS for finding in world(seed)[2]}

    assert SPOKEN == found


@pytest.mark.parametrize("seed", SEEDS)
def test_the_core_says_what_the_oracle_says(seed: int) -> None:
    core, lines, whole, _ = world(seed)

    expected = [one.row() for one in Oracle(core).run(lines)]

    assert expected == [row(finding) for finding in whole]


@pytest.mark.parametrize("seed", SEEDS)
def test_late_duplicate_merged_and_conflicting_events_are_counted(seed: int) -> None:
    core, lines, _, pipeline = world(seed)
    oracle = Oracle(core)
    oracle.run(lines)
    stats = pipeline.stats

    counted = Counter(late=stats.late, duplicates=stats.duplicates, merged=stats.merged)
    counted.update(conflicts=stats.conflicts, refused=stats.rejected)
    assert +oracle.counts == +counted
    lost = stats.late + stats.duplicates + stats.merged + stats.rejected
    assert len(lines) == stats.judged + lost


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", [7, 1000])
def test_blocks_of_any_size_give_the_same_findings(seed: int, size: int) -> None:
    core, lines, whole, _ = world(seed)

    assert told(whole) == told(judge(lines, core, always(size))[0])


@pytest.mark.parametrize("seed", list(SEEDS)[:3])
def test_blocks_of_one_event_give_the_same_findings(seed: int) -> None:
    core, lines, whole, _ = world(seed)

    assert told(whole) == told(judge(lines, core, always(1))[0])


@pytest.mark.parametrize("seed", SEEDS)
def test_random_cuts_and_restarts_give_the_same_findings_and_the_same_state(seed: int) -> None:
    core, lines, whole, pipeline = world(seed)

    found, restarted = judge(lines, core, at_random(Random(seed)), restart=Random(seed + 1))

    assert told(whole) == told(found)
    assert pipeline.stats == restarted.stats


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.integers(0, 2**32), st.data())
def test_hypothesis_cuts_where_it_likes(seed: int, data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        lower_limits(patch.setattr)
        rng = Random(seed)
        core = random_settings(rng)
        lines = random_stream(rng, core.lateness_s)[:120]
        whole, _ = judge(lines, core, always(10**9))
        cuts = sorted(data.draw(st.sets(st.integers(1, len(lines)), max_size=6)))
        edges = [0, *cuts, len(lines)]
        sizes = iter([b - a for a, b in itertools.pairwise(edges) if b > a])

        expected = [one.row() for one in Oracle(core).run(lines)]

        assert expected == [row(finding) for finding in whole]
        assert told(whole) == told(judge(lines, core, sizes, restart=Random(seed))[0])


def witnessed(lines: Sequence[bytes]) -> list[bytes]:
    """The same events, stamped by ingest, so that no gap wants a witness."""
    stamp = b'{"observed_timestamp": "2099-01-01T00:00:00Z",'
    return [line if b"observed" in line else line.replace(b"{", stamp, 1) for line in lines]


def in_time(seed: int) -> tuple[CoreSettings, list[bytes]]:
    """A stream in order of time; of several signals about one call the first to arrive counts."""
    core = CoreSettings(lateness_s=60, alert_budget=1000.0, modes=OTHERS_OFF)
    stream = random_stream(Random(seed), core.lateness_s, disorder=False)
    lines = witnessed([line for line in stream if b"call.ids" not in line])
    return core, sorted(lines, key=lambda line: decode_line(line)[1])


def shuffled(lines: list[bytes], lateness_s: int, rng: Random) -> list[bytes]:
    """Every event arrives up to the lateness after it ended."""
    limit = 1000 * lateness_s - 1
    arrive = [(decode_line(line)[1] + rng.randint(0, limit), line) for line in lines]
    return [line for _, line in sorted(arrive)]


def names(findings: Sequence[Finding]) -> set[tuple[str, str, str]]:
    return {(f.detector, f.entity.id, f.id) for f in findings}


def check_order(seed: int) -> int:
    """Another order within the lateness makes the same findings; says how many have an end."""
    core, lines = in_time(seed)
    ordered, first = judge(lines, core, always(1000))
    other, second = judge(shuffled(lines, core.lateness_s, Random(seed)), core, always(1000))

    assert (0, 0) == (first.stats.late, second.stats.late)
    assert names(ordered) == names(other)
    finals = {f.id: f.evidence["totals"] for f in ordered if f.final and "totals" in f.evidence}
    assert finals == {f.id: f.evidence["totals"] for f in other if f.id in finals and f.final}
    return len(finals)


@pytest.mark.parametrize("seed", SEEDS)
def test_shuffling_within_the_lateness_finds_the_same_windows(seed: int) -> None:
    assert check_order(seed) > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_redelivering_everything_changes_nothing(seed: int) -> None:
    core, stream, *_ = world(seed)
    lines, rng = witnessed(stream), Random(seed)
    twice: list[bytes] = []
    for at, line in enumerate(lines):
        twice.append(line)
        while rng.random() < 0.5:
            twice.append(lines[rng.randint(max(0, at - 5), at)])
    whole, once = judge(lines, core, always(1000))
    found, again = judge(twice, core, always(50))

    assert [row(f)[:5] + row(f)[6:] for f in whole] == [row(f)[:5] + row(f)[6:] for f in found]
    assert once.stats.judged == again.stats.judged
    assert len(twice) - len(lines) == (
        again.stats.duplicates - once.stats.duplicates + again.stats.late - once.stats.late
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stream_cut_at_a_time_gives_the_findings_up_to_then(seed: int) -> None:
    core, lines, whole, _ = world(seed)
    times = sorted(decode_line(line)[1] for line in lines)
    cut_ms = times[len(times) // 2]
    lateness = 1000 * core.lateness_s
    prefix = [line for line in lines if decode_line(line)[1] <= cut_ms]

    pipeline = Pipeline(core)
    found = [f for block in blocks(prefix, always(40)) for f in pipeline.process(block).findings]

    def until(findings: Sequence[Finding]) -> list[bytes]:
        early = [f for f in findings if row(f)[4] <= cut_ms - lateness]
        return [f.model_copy(update={"provenance": whole[0].provenance}).to_json() for f in early]

    assert until(whole) == until(found)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_finding_is_dated_before_an_event_it_names(seed: int) -> None:
    _, lines, whole, _ = world(seed)
    earliest: dict[str, int] = {}
    for line in lines:
        record, ms = decode_line(line)
        earliest[record.event_id] = min(ms, earliest.get(record.event_id, ms))

    assert whole
    for finding in whole:
        assert finding.event_ids
        assert row(finding)[4] >= max(earliest[id] for id in finding.event_ids)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_finding_and_its_revision_come_once(seed: int) -> None:
    revisions = Counter((f.id, f.revision) for f in world(seed)[2])

    assert {1} == set(revisions.values())


@pytest.mark.process
def test_another_process_with_another_hash_seed_says_the_same() -> None:
    program = (
        "import hashlib; from random import Random;"
        "from tests.random_streams import *; from streams.pipeline import Pipeline;"
        "lower_limits(setattr); rng = Random(1); core = random_settings(rng);"
        "pipeline = Pipeline(core); lines = random_stream(rng, core.lateness_s);"
        "found = pipeline.process(b'\\n'.join(lines)).findings + pipeline.close().findings;"
        "print(hashlib.sha256(b''.join(f.to_json() for f in found)).hexdigest())"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[1],
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        for seed in ("1", "2")
    ]
    said = [process.communicate(timeout=60)[0] for process in running]

    here = hashlib.sha256(b"".join(told(world(1)[2]))).hexdigest().encode()
    assert [here, here] == [line.strip() for line in said]


@pytest.mark.slow
@pytest.mark.parametrize("seed", MANY_SEEDS)
def test_many_more_streams(seed: int) -> None:
    check(seed)
    check_order(seed)
