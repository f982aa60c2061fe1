"""pool-saturation: callers of several keys give up waiting, minute after minute."""

from random import Random

import pytest

from detectors.pool_saturation import KEYS, MINUTES, STALLED
from tests.detecting import alone, call

NAME = "pool-saturation"


def minute(number: int, calls: int = STALLED, keys: int = KEYS, **fields: object) -> list[bytes]:
    named = {"error_type": "timeout", "http_status": None, "latency_ms": 30_000.0, **fields}
    return [
        call(60 * number + i, **{"key": f"hmac:{i % keys}", "id": f"e{number}-{i}", **named})
        for i in range(calls)
    ]


def full(minutes: int, **fields: object) -> list[bytes]:
    return [line for at in range(minutes) for line in minute(at, **fields)]  # type: ignore[arg-type]


def told(lines: list[bytes]) -> list[str]:
    return [finding.entity.id for finding in alone(lines, NAME)]


def test_so_many_minutes_in_a_row_are_found_once() -> None:
    assert [] == told(full(MINUTES - 1))
    assert ["gpt-4o"] == told(full(MINUTES))
    assert ["gpt-4o"] == told(full(3 * MINUTES))


def test_so_many_calls_of_so_many_keys() -> None:
    assert [] == told(full(9, calls=STALLED - 1))
    assert [] == told(full(9, keys=KEYS - 1))


def test_a_minute_without_ends_the_row() -> None:
    assert [] == told([*full(MINUTES - 1), *minute(MINUTES), *minute(MINUTES + 1)])


@pytest.mark.parametrize(
    "fields",
    [{"error_type": "server_error"}, {"error_type": "rate_limit"}, {"error_origin": "provider"}],
)
def test_what_the_provider_refuses_is_no_full_pool(fields: dict[str, object]) -> None:
    assert [] == told(full(9, **fields))


def test_lost_connections_count_and_services_are_kept_apart() -> None:
    assert 1 == len(told(full(MINUTES, error_type="connection", error_origin="gateway")))
    assert ["gw.example"] == told(full(MINUTES, server_address="gw.example"))
    two = [line for i in range(9) for line in minute(i, calls=12, keys=6) if i % 2]
    assert [] == told(two)


def test_it_says_how_many_wait_at_once() -> None:
    [found] = alone(full(MINUTES), NAME)

    assert (STALLED * MINUTES, KEYS) == (found.evidence["gave_up"], found.evidence["keys"])
    assert STALLED * 30 / 60 == found.evidence["waiting_at_once"]


def test_the_order_of_arrival_does_not_show() -> None:
    lines = full(MINUTES, calls=12)
    orders = [
        [line for at in range(MINUTES) for line in Random(seed).sample(minute(at, 12), 12)]
        for seed in range(5)
    ]

    assert 1 == len({tuple(f.id for f in alone(order, NAME)) for order in [lines, *orders]})


@pytest.mark.parametrize("before", range(MINUTES + 1))
def test_the_order_of_arrival_does_not_show_around_midnight(before: int) -> None:
    """A row of minutes of which so many are of the day before."""
    calm = [call(0, id="calm")]
    lines = [one for at in range(MINUTES + 1) for one in minute(24 * 60 - before + at)]
    orders = [lines, lines[::-1], *(Random(s).sample(lines, len(lines)) for s in range(3))]
    told = [
        {found.id for found in alone([*calm, *order], NAME, lateness_s=240)} for order in orders
    ]

    assert [told[0]] * len(orders) == told
    assert (2 if before == MINUTES else 1) == len(told[0])
