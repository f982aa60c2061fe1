"""wasted-tokens: money for answers that nobody got."""

import pytest

from detectors.base import NANO
from detectors.wasted_tokens import LEAST_NANOUSD, MUCH
from tests.detecting import call, raised

NAME = "wasted-tokens"
LEAST = LEAST_NANOUSD / NANO


def failed(usd: float, second: float = 1, **fields: object) -> bytes:
    named = {"cost_usd": usd, "http_status": None, "status": "error", "error_type": "timeout"}
    return call(second, **{**named, **fields})


def test_a_cent_too_much_is_found() -> None:
    assert [] == raised([failed(LEAST / 2, 1), failed(LEAST / 2, 2)], NAME)
    [found] = raised([failed(LEAST / 2, 1), failed(LEAST / 2 + 0.01, 2)], NAME)
    assert LEAST + 0.01 == pytest.approx(found.cost_usd)


def test_what_was_answered_is_not_wasted() -> None:
    assert [] == raised([call(i, cost_usd=9.0) for i in range(9)], NAME)


def test_a_failed_call_that_costs_nothing_is_no_waste() -> None:
    assert [] == raised([failed(0.0, i) for i in range(99)], NAME)


@pytest.mark.parametrize("fields", [{"http_status": 503}, {"error_type": "cancelled"}])
def test_however_it_failed(fields: dict[str, object]) -> None:
    assert 1 == len(raised([failed(LEAST + 1, **fields)], NAME))


@pytest.mark.parametrize(("more", "severity"), [(-0.5, "medium"), (0.5, "low")])
def test_a_tenth_of_what_a_key_spends_is_much(more: float, severity: str) -> None:
    wasted = LEAST + 1
    spent = wasted / MUCH - wasted + more

    [found] = raised([call(0, cost_usd=spent), failed(wasted)], NAME)

    assert severity == found.severity


def test_hours_and_keys_are_kept_apart() -> None:
    assert [] == raised([failed(LEAST, 7300 * i) for i in range(5)], NAME)
    assert [] == raised([failed(LEAST, i, key=f"hmac:{i}") for i in range(5)], NAME)
