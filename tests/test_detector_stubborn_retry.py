"""stubborn-retry: one request sent again after a final no, or without waiting."""

import pytest

from detectors.stubborn_retry import HASTE_MS, HASTY_TRIES, SPAN_MS, TRIES
from tests.detecting import KEY, alone, call

NAME = "stubborn-retry"


def tries(count: int, every: float, **fields: object) -> list[bytes]:
    named = {"http_status": 400, "prompt": "hmac:p", **fields}
    return [call(i * every, **named) for i in range(count)]


def told(lines: list[bytes]) -> list[str]:
    return [finding.entity.id for finding in alone(lines, NAME)]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404])
def test_one_try_too_many_after_a_final_no(status: int) -> None:
    assert [] == told(tries(TRIES - 1, 9, http_status=status))
    assert [KEY] == told(tries(TRIES, 9, http_status=status))


@pytest.mark.parametrize("error", ["budget_exceeded", "context_length", "content_filter"])
def test_some_errors_are_final_whatever_their_code(error: str) -> None:
    assert [KEY] == told(tries(TRIES, 9, error_type=error, http_status=429))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_one_try_too_many_without_waiting(status: int) -> None:
    assert [] == told(tries(HASTY_TRIES - 1, 1, http_status=status))
    assert [KEY] == told(tries(HASTY_TRIES, 1, http_status=status))


@pytest.mark.parametrize(
    ("count", "span_ms", "status"), [(TRIES, SPAN_MS, 400), (HASTY_TRIES, HASTE_MS, 503)]
)
def test_tries_far_apart_are_quiet(count: int, span_ms: int, status: int) -> None:
    every = span_ms / 1000 / (count - 1)

    assert [KEY] == told(tries(count, every - 0.01, http_status=status))
    assert [] == told(tries(3 * count, every, http_status=status))


def test_patient_retries_of_one_request_are_quiet() -> None:
    waits = [0.5, 1, 2, 4, 8, 16]

    assert [] == told([call(sum(waits[:i]), prompt="hmac:p", http_status=429) for i in range(7)])


@pytest.mark.parametrize("name", ["prompt", "model", "key"])
def test_another_request_is_another_one(name: str) -> None:
    assert [] == told(
        [call(i, **{"http_status": 403, "prompt": "p", name: f"x{i}"}) for i in range(50)]
    )


def test_answers_and_requests_without_a_fingerprint_do_not_count() -> None:
    assert [] == told(tries(50, 1, http_status=200))
    assert [] == told(tries(50, 1, prompt=None))


def test_the_order_of_arrival_does_not_show() -> None:
    lines = [call(i * 7, id=f"e{i}", prompt="p", http_status=400) for i in range(TRIES)]
    found = [alone(order, NAME)[0] for order in (lines, lines[::-1], lines[2:] + lines[:2])]

    assert 1 == len({(one.id, one.event_ids) for one in found})
