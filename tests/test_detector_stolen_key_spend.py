"""stolen-key-spend: a key that spends far above its own habit."""

import pytest

from detectors.stolen_key_spend import LEAST_TOKENS, YOUNG_NANOUSD, YOUNG_TOKENS
from schemas.finding import Severity
from schemas.samples import deploy_burst, runaway_agent, stolen_key_burst
from tests.detecting import HOUR, among, call, home, noon, past, raised

NAME = "stolen-key-spend"
THEN = 50 * HOUR
KNOWN = past(48, 4, input_tokens=500, cost_usd=0.005)


def spending(tokens: int, usd: float = 0.0, **fields: object) -> list[bytes]:
    return [
        call(THEN + i, input_tokens=tokens // 10, cost_usd=usd / 10, **fields) for i in range(10)
    ]


def test_a_sold_key_is_found_and_critical() -> None:
    client = home()
    found = raised(among(client, stolen_key_burst(0, noon(), client, calls=3000, hours=1)), NAME)

    assert {client.key} == {finding.entity.id for finding in found}
    assert Severity.CRITICAL in {finding.severity for finding in found}


def test_an_agent_that_never_stops_is_found() -> None:
    client = home()

    assert raised(among(client, runaway_agent(0, noon(), client)), NAME)


def test_a_deploys_burst_is_quiet() -> None:
    client = home()

    assert [] == raised(among(client, deploy_burst(0, noon(), client)), NAME)


def test_an_ordinary_week_is_quiet() -> None:
    assert [] == raised(among(home(), days=7), NAME)


@pytest.mark.parametrize(("tokens", "found"), [(LEAST_TOKENS, 0), (8 * LEAST_TOKENS, 1)])
def test_no_volume_below_the_least_wakes_anyone(tokens: int, found: int) -> None:
    assert found == min(1, len(raised([*KNOWN, *spending(tokens)], NAME)))


def test_volume_from_a_stranger_needs_less() -> None:
    tokens = LEAST_TOKENS

    assert [] == raised([*KNOWN, *spending(tokens)], NAME)
    assert raised([*KNOWN, *spending(tokens, address="198.18.0.9")], NAME)


@pytest.mark.parametrize(("tokens", "found"), [(YOUNG_TOKENS, 0), (YOUNG_TOKENS + 10, 1)])
def test_a_key_without_a_past_may_use_a_lot_but_not_anything(tokens: int, found: int) -> None:
    assert found == len(raised(spending(tokens), NAME))


@pytest.mark.parametrize(("usd", "found"), [(YOUNG_NANOUSD / 1e9, 0), (YOUNG_NANOUSD / 1e9 + 1, 1)])
def test_a_key_without_a_past_may_cost_a_lot_but_not_anything(usd: float, found: int) -> None:
    assert found == len(raised(spending(0, usd), NAME))


def test_the_limit_follows_the_keys_own_highest_windows() -> None:
    bursty = [
        call(h * HOUR + i, input_tokens=100_000 * (10 if h % 4 == 0 else 1) // 10)
        for h in range(200)
        for i in range(10)
    ]
    again = [call(202 * HOUR + i, input_tokens=100_000) for i in range(10)]

    assert [] == raised([*bursty, *again], NAME)


def test_the_alert_budget_moves_the_limit() -> None:
    bursty = [
        call(h * HOUR, input_tokens=1000 * 3 ** (h * 7919 % 6), cost_usd=0.001) for h in range(100)
    ]
    lines = [*bursty, *(call(102 * HOUR + i, input_tokens=100_000) for i in range(7))]

    assert [] == raised(lines, NAME, alert_budget=0.001)
    assert raised(lines, NAME, alert_budget=1000)
