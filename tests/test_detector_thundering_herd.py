"""thundering-herd: many clients that are refused together, wave after wave."""

from random import Random

import pytest

from detectors.settled import SETTLED_MS
from detectors.thundering_herd import PEAK_CALLS, PEAK_KEYS, SPAN_S, WAVE_S, WAVES
from tests.detecting import alone, call

NAME = "thundering-herd"
LATER = SPAN_S + SETTLED_MS / 1000 + 60


def refused(second: float, key: int = 0, **fields: object) -> bytes:
    named = {"http_status": 429, "key": f"hmac:{key}", "provider_name": "openai", **fields}
    return call(second, **named)


def wave(
    second: int, calls: int = PEAK_CALLS, keys: int = PEAK_KEYS, **fields: object
) -> list[bytes]:
    return [refused(second + i / 1000, i % keys, **fields) for i in range(calls)]


def waves(number: int, every: int = 20, **fields: object) -> list[bytes]:
    return [line for at in range(number) for line in wave(at * every, **fields)]  # type: ignore[arg-type]


def told(lines: list[bytes], later: float = LATER) -> list[str]:
    return [finding.entity.id for finding in alone([*lines, refused(later)], NAME)]


def test_the_third_wave_makes_a_herd() -> None:
    assert [] == told(waves(WAVES - 1))
    assert ["openai/gpt-4o"] == told(waves(WAVES))


def test_a_wave_has_so_many_calls_of_so_many_keys() -> None:
    assert [] == told(waves(6, calls=PEAK_CALLS - 1))
    assert [] == told(waves(6, keys=PEAK_KEYS - 1, calls=40))


def test_waves_lie_within_two_minutes() -> None:
    assert 1 == len(told(waves(WAVES, every=SPAN_S // WAVES)))
    assert [] == told(waves(9, every=SPAN_S // (WAVES - 1)), later=2000)


def test_refusals_that_come_all_the_time_are_no_waves() -> None:
    even = [refused(i / 12, i % 40) for i in range(12 * SPAN_S)]
    noise = [refused(10 + i / 5, i % 40) for i in range(5 * SPAN_S)]

    assert [] == told(even, later=1000)
    assert [] == told(sorted([*waves(WAVES), *noise]), later=1000)


@pytest.mark.parametrize(("status", "found"), [(503, 1), (500, 1), (200, 0), (403, 0)])
def test_overload_counts_like_a_rate_limit(status: int, found: int) -> None:
    lines = [*waves(5, http_status=status), refused(LATER, http_status=status)]

    assert found == len(alone(lines, NAME))


@pytest.mark.parametrize(("every", "found"), [(WAVE_S, 0), (WAVE_S + 1, 1)])
def test_between_waves_it_is_quiet(every: int, found: int) -> None:
    assert found == len(told(waves(6, every=every, calls=40)))


def test_models_are_services_of_their_own() -> None:
    lines = [line for at in range(6) for line in wave(20 * at, model=f"m{at % 3}")]

    assert [] == told(lines)


def test_it_is_told_when_nothing_older_can_arrive_and_no_order_shows() -> None:
    lines = [refused(20 * w + i / 1000, i % 9, id=f"e{w}-{i}") for w in range(4) for i in range(12)]
    last = refused(LATER, id="last")

    assert [] == alone(lines, NAME)
    found = [alone([*Random(s).sample(lines, len(lines)), last], NAME) for s in range(5)]
    assert 1 == len({(one.id, one.event_ids) for [one] in found})
