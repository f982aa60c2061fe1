"""key-beacon: a tiny call like clockwork, from where an old key never was."""

import pytest

from detectors.features import TINY_TOKENS
from detectors.key_beacon import JITTER, LEAST_PERIOD_MS, PAST_MS, ROUNDS
from tests.detecting import HOUR, KEY, alone, call

NAME = "key-beacon"
PAST = PAST_MS / 1000
AFAR = "198.18.0.9"
SETTLE = 301


def work(hours: float, address: str = "10.0.0.1", begin: float = 0) -> list[bytes]:
    return [call(begin + i * HOUR, input_tokens=900, address=address) for i in range(int(hours))]


def beats(
    rounds: int, period: float = 600, begin: float = PAST, odd: float = 0, **fields: object
) -> list[bytes]:
    """Tiny calls, every other one late by `odd`, and one that lets the others settle."""
    named = {"input_tokens": 9, "address": AFAR, **fields}
    lines = [call(begin + i * period + (i % 2) * odd, **named) for i in range(rounds)]
    return [*lines, call(begin + rounds * period + SETTLE, **named)]


def told(*lines: bytes) -> list[str]:
    return [finding.entity.id for finding in alone(lines, NAME)]


def test_a_round_more_than_honest_is_found() -> None:
    assert [] == told(*work(24), *beats(ROUNDS - 1))
    assert [KEY] == told(*work(24), *beats(ROUNDS))


def test_two_models_tried_at_once_are_one_round() -> None:
    both = [line for i in range(ROUNDS) for line in beats(1, begin=PAST + i * 600)[:1] * 2]
    twice = [
        call(PAST + i * 600 + d, input_tokens=9, address=AFAR) for i in range(3) for d in (0, 9)
    ]

    assert [KEY] == told(*work(24), *both, *beats(0, begin=PAST + ROUNDS * 600))
    assert [] == told(*work(24), *twice, *beats(0, begin=PAST + 1800))


@pytest.mark.parametrize(("share", "found"), [(JITTER - 0.02, 1), (JITTER + 0.02, 0)])
def test_a_period_is_kept_within_a_tenth(share: float, found: int) -> None:
    odd = 600 * (share - 1) / (share + 1)  # gaps of 600 + odd and 600 - odd

    assert found == len(told(*work(24), *beats(ROUNDS, odd=odd)))


@pytest.mark.parametrize(("more", "found"), [(0, 1), (-1, 0)])
def test_a_period_has_a_least_length(more: float, found: int) -> None:
    assert found == len(told(*work(24), *beats(ROUNDS, period=LEAST_PERIOD_MS / 1000 + more)))


@pytest.mark.parametrize(("begin", "found"), [(PAST, 1), (PAST - 1, 0)])
def test_the_key_is_older_than_the_beacon(begin: float, found: int) -> None:
    assert found == len(told(*work(23), *beats(ROUNDS, begin=begin)))


@pytest.mark.parametrize(("tokens", "found"), [(TINY_TOKENS, 1), (TINY_TOKENS + 1, 0)])
def test_a_beacon_is_tiny(tokens: int, found: int) -> None:
    assert found == len(told(*work(24), *beats(ROUNDS, input_tokens=tokens)))


def test_an_address_the_key_works_from_is_quiet() -> None:
    assert [] == told(*work(24), *beats(ROUNDS, address="10.0.0.1"))
    moved = call(PAST + 30, input_tokens=900, address=AFAR)
    assert [] == told(*work(24), call(PAST, input_tokens=9, address=AFAR), moved, *beats(ROUNDS))


def test_a_call_in_between_breaks_the_beat() -> None:
    lines = beats(ROUNDS)
    between = call(PAST + 2.5 * 600, input_tokens=9, address=AFAR)

    assert [] == told(*work(24), *lines[:3], between, *lines[3:])
