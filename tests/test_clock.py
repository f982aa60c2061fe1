"""Event time moves on only when a second event bears it out."""

from datetime import datetime, timedelta

import pytest

from schemas.testing import event
from streams.pipeline import CoreSettings, Pipeline

START = datetime.fromisoformat("2026-10-01T00:00:00+00:00")


def at(seconds: float, id: str, **fields: object) -> bytes:
    return event((START + timedelta(seconds=seconds)).isoformat(), id=id, **fields).to_json()


def dated(time: str, id: str = "odd", **fields: object) -> bytes:
    return event(time, id=id, **fields).to_json()


def fed(*lines: bytes, size: int = 1000, lateness_s: int = 60) -> Pipeline:
    pipeline = Pipeline(CoreSettings(lateness_s=lateness_s))
    for start in range(0, len(lines), size):
        pipeline.process(b"\n".join(lines[start : start + size]))
    return pipeline


CALM = [at(i, f"e{i}") for i in range(20)]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("time", ["2100-01-01T00:00:00Z", "1970-01-01T00:00:00Z"])
@pytest.mark.parametrize("place", [0, 1, 10, 20])
def test_one_event_with_a_wild_date_costs_nothing(time: str, place: int, size: int) -> None:
    pipeline = fed(*CALM[:place], dated(time), *CALM[place:], size=size)
    pipeline.finish()
    stats = pipeline.stats

    assert START + timedelta(seconds=19) == pipeline.clock
    assert 20 == stats.judged - (time < "2000" and place == 0)
    assert 21 == stats.judged + stats.rejected + stats.late


def test_the_redelivery_of_a_wild_event_does_not_bear_it_out() -> None:
    wild = dated("2100-01-01T00:00:00Z")
    pipeline = fed(*CALM[:5], wild, wild, *CALM[5:])

    assert 20 == pipeline.stats.judged
    assert (1, 1) == (pipeline.stats.rejected, pipeline.stats.duplicates)


def test_a_held_event_may_be_redelivered_before_its_witness_comes() -> None:
    held = at(90_000, "held")
    pipeline = fed(*CALM, held, held, held, at(90_001, "next"), size=2)

    assert (22, 2) == (pipeline.stats.judged, pipeline.stats.duplicates)


def test_events_that_share_an_id_bear_each_other_out() -> None:
    pipeline = fed(*CALM, at(90_000, "pinned"), at(90_001, "pinned"), at(90_002, "pinned"))

    assert 23 == pipeline.stats.judged


def test_two_events_after_a_gap_bear_each_other_out() -> None:
    pipeline = fed(*CALM, at(90_000, "late1"), at(90_001, "late2"))

    assert 22 == pipeline.stats.judged
    assert START + timedelta(seconds=90_001) == pipeline.clock


@pytest.mark.parametrize(("ahead_s", "held"), [(3600, 0), (3601, 1)])
def test_a_jump_of_more_than_an_hour_wants_a_witness(ahead_s: int, held: int) -> None:
    pipeline = fed(*CALM, at(19 + ahead_s, "jump"))

    assert held == pipeline.stats.held


@pytest.mark.parametrize(("behind_s", "refused"), [(3600, 0), (3601, 1)])
def test_a_witness_is_at_most_an_hour_behind(behind_s: int, refused: int) -> None:
    pipeline = fed(*CALM, at(90_000, "held"), at(90_000 - behind_s, "next"))

    assert refused == pipeline.stats.rejected
    assert refused == pipeline.stats.held  # `next` is itself a jump, if it bears nothing out


@pytest.mark.parametrize(("early_s", "judged"), [(300, 21), (301, 20)])
def test_a_stamp_of_ingest_is_a_witness_up_to_five_minutes(early_s: int, judged: int) -> None:
    stamp = START + timedelta(seconds=90_000 - early_s)
    pipeline = fed(*CALM, at(90_000, "stamped", observed_timestamp=stamp))

    assert judged == pipeline.stats.judged


def test_what_is_refused_is_kept_with_its_place_and_its_record() -> None:
    wild = dated("2100-01-01T00:00:00Z")
    for size in (1, 1000):
        pipeline = Pipeline()
        lines = [*CALM[:5], wild, *CALM[5:]]
        blocks = [lines[at : at + size] for at in range(0, len(lines), size)]
        found = [r for block in blocks for r in pipeline.process(b"\n".join(block)).rejections]

        assert [(5, "timestamp")] == [(rejection.position, rejection.field) for rejection in found]
        assert b'"odd"' in found[0].raw


def test_the_only_event_of_an_input_is_judged_at_its_end() -> None:
    pipeline = fed(CALM[0])

    assert (0, 1) == (pipeline.stats.judged, pipeline.stats.held)
    pipeline.finish()
    assert (1, 0) == (pipeline.stats.judged, pipeline.stats.held)


def test_an_event_that_waits_survives_a_snapshot() -> None:
    pipeline = fed(*CALM, at(90_000, "held", model="m"))
    pipeline = Pipeline.restore(pipeline.snapshot(), CoreSettings(lateness_s=60))
    pipeline.process(at(90_001, "next"))

    assert 22 == pipeline.stats.judged


@pytest.mark.parametrize(("behind_ms", "late"), [(60_000, 0), (60_001, 1)])
@pytest.mark.parametrize("size", [1, 1000])
def test_an_event_is_late_when_it_is_more_than_the_lateness_behind(
    behind_ms: int, late: int, size: int
) -> None:
    pipeline = fed(at(0, "a"), at(100, "b"), at(100 - behind_ms / 1000, "c"), size=size)

    assert late == pipeline.stats.late
    assert 3 - late == pipeline.stats.judged


def test_lateness_is_measured_against_what_came_before_not_after() -> None:
    lines = (at(0, "a"), at(10, "b"), at(1000, "c"))

    assert 0 == fed(*lines).stats.late
    assert 1 == fed(at(0, "a"), at(1000, "c"), at(10, "b")).stats.late
