"""usage-gap: silence where there is normally traffic."""

from random import Random
from types import SimpleNamespace

import pytest

from detectors.base import Verdict
from detectors.usage_gap import EXPECTED, LONGER, MAX_FLOWS, UsageGap
from schemas.testing import record

MINUTE_MS = 60_000
HOUR = 60
DAY = 24 * HOUR
WEEK = 7 * DAY

Call = tuple[int, str]  # minute and tenant


def witness(until: int) -> list[Call]:
    """Somebody who calls every five minutes, so that time goes on."""
    return [(minute, "witness") for minute in range(0, until, 5)]


def steady(begin: int, end: int, every: int = 10, tenant: str = "acme") -> list[Call]:
    return [(minute, tenant) for minute in range(begin, end, every)]


def told(calls: list[Call]) -> list[tuple[str, str]]:
    """Whom it says something about, and since when."""
    detector, found = UsageGap(), list[Verdict]()
    for minute, tenant in calls:
        call = SimpleNamespace(
            event_id=f"{tenant}{minute}", tenant_id=tenant, ingest_source="litellm"
        )
        found += detector.inspect(call, minute * MINUTE_MS)
    return [(str(one.entity), str(one.evidence["silent_since"])) for one in found]


def after_a_week(*then: Call, until: int = WEEK + 3 * DAY) -> list[Call]:
    return sorted([*steady(0, WEEK + DAY), *then, *witness(until)])


def test_a_flow_that_stops_is_named_once_while_it_is_silent() -> None:
    assert [("litellm/acme", "1970-01-08T23:50:00Z")] == told(after_a_week())


@pytest.mark.parametrize(("less", "found"), [(0, 1), (30, 0)])
def test_so_many_calls_have_to_be_missing(less: int, found: int) -> None:
    silent = round(EXPECTED * 10) + 10 - less  # minutes; one call in ten minutes is usual
    calls = after_a_week(*steady(WEEK + DAY + silent, WEEK + 3 * DAY))

    assert found == len(told(calls))


def test_the_first_week_is_not_judged() -> None:
    calls = sorted([*steady(0, 5 * DAY), *witness(7 * DAY - HOUR)])

    assert [] == told(calls)


def test_hours_that_are_always_silent_are_no_silence() -> None:
    office = [
        call for day in range(9) for call in steady(day * DAY + 9 * HOUR, day * DAY + 17 * HOUR)
    ]

    assert [] == told(sorted([*office, *witness(9 * DAY)]))


def test_a_flow_that_pauses_has_to_be_silent_far_longer() -> None:
    pause = 2 * HOUR  # honest, in the second week
    known = after_a_week(until=0)
    paused = [call for call in known if not WEEK + HOUR <= call[0] < WEEK + HOUR + pause]
    limit = LONGER * (pause + 10)

    short = [*paused, *steady(WEEK + DAY + limit - 20, WEEK + 3 * DAY), *witness(WEEK + 3 * DAY)]
    long = [*paused, *steady(WEEK + DAY + limit + 20, WEEK + 3 * DAY), *witness(WEEK + 3 * DAY)]

    assert [] == told(sorted(short))
    assert 1 == len(told(sorted(long)))


def test_a_silence_that_was_told_of_does_not_become_usual() -> None:
    back = WEEK + 2 * DAY
    calls = after_a_week(*steady(back, back + DAY), until=back + 3 * DAY)

    assert 2 == len(told(calls))


def test_somebody_has_to_be_there_to_know_that_time_goes_on() -> None:
    assert [] == told(steady(0, WEEK + DAY))
    returns = [*steady(0, WEEK + DAY), *steady(WEEK + 2 * DAY, WEEK + 2 * DAY + HOUR)]
    assert [("litellm/acme", "1970-01-08T23:50:00Z")] == told(returns)


def test_the_order_of_arrival_does_not_show() -> None:
    rng, calls = Random(0), after_a_week(*steady(WEEK + 2 * DAY, WEEK + 3 * DAY))
    arrived = sorted(calls, key=lambda call: call[0] * MINUTE_MS + rng.randint(0, 239_000))

    assert told(calls) == told(arrived)


def test_flows_are_watched_within_a_bound() -> None:
    detector = UsageGap()
    for number in range(MAX_FLOWS + 100):
        list(detector.inspect(record(id=f"e{number}", tenant=f"t{number}"), number))

    assert MAX_FLOWS + 1 == len(detector.memory.state()["young"])
