"""shared-cache: one cached answer, given to two tenants."""

from itertools import permutations

import pytest

from detectors.answers import MAX_GIVEN
from detectors.features import LONG_ANSWER_TOKENS
from detectors.shared_cache import FASTER
from schemas.finding import Finding
from tests.detecting import HOUR, alone, call

NAME = "shared-cache"


def answer(seconds: float, tenant: str | None = "acme", **fields: object) -> bytes:
    named = {
        "prompt": "hmac:p",
        "content_output_hash": "hmac:a",
        "output_tokens": LONG_ANSWER_TOKENS,
        "cost_usd": 0.02,
        "latency_ms": 4000.0,
        **fields,
    }
    return call(seconds, tenant=tenant, **named)


def told(*lines: bytes, **settings: object) -> list[Finding]:
    return alone(lines, NAME, **settings)


@pytest.mark.parametrize(
    ("sign", "why"),
    [
        ({"cost_usd": 0.0}, "the second cost nothing"),
        ({"latency_ms": 4000.0 / FASTER}, "the second came much faster"),
    ],
)
def test_what_gives_a_cache_away(sign: dict[str, object], why: str) -> None:
    [found] = told(answer(0), answer(60, "globex", **sign))

    assert ("acme", "globex", why) == tuple(
        found.evidence[name] for name in ("given_to", "and_to", "why")
    )


def test_a_provider_makes_an_id_once() -> None:
    assert 1 == len(told(answer(0, response_id="r"), answer(60, "globex", response_id="r")))
    assert [] == told(answer(0, response_id="r"), answer(60, "globex", response_id="s"))


def test_a_little_faster_is_no_cache() -> None:
    assert [] == told(answer(0), answer(60, "globex", latency_ms=4000.0 / FASTER + 1))


def test_what_is_unknown_gives_nothing_away() -> None:
    unknown = {"cost_usd": None, "latency_ms": None}

    assert [] == told(answer(0, **unknown), answer(60, "globex", **unknown))
    assert [] == told(answer(0, cost_usd=0.0), answer(60, "globex", cost_usd=0.0))


def test_the_tenants_own_cache_is_quiet() -> None:
    assert [] == told(*(answer(i, cost_usd=0.0, response_id="r") for i in range(9)))
    assert [] == told(answer(0, None), answer(60, "globex", cost_usd=0.0))


@pytest.mark.parametrize(
    "other",
    [{"prompt": "hmac:q"}, {"content_output_hash": "hmac:b"}, {"prompt": None}],
    ids=["another prompt", "another answer", "no prompt"],
)
def test_it_takes_the_same_prompt_and_the_same_answer(other: dict[str, object]) -> None:
    assert [] == told(answer(0), answer(60, "globex", **{"cost_usd": 0.0, **other}))


def test_a_short_answer_may_be_the_same_by_chance() -> None:
    short = {"output_tokens": LONG_ANSWER_TOKENS - 1}

    assert [] == told(answer(0, **short), answer(60, "globex", **{"cost_usd": 0.0, **short}))


def test_answers_are_remembered_for_a_day_at_least() -> None:
    assert 1 == len(told(answer(0), answer(23 * HOUR, "globex", cost_usd=0.0)))


def test_support_may_see_the_same() -> None:
    assert [] == told(answer(0), answer(9, "globex", cost_usd=0.0), support={"globex"})


def test_the_order_of_arrival_does_not_show() -> None:
    lines = [answer(9 * i, t, id=t, cost_usd=0.02 * (i == 0)) for i, t in enumerate("abc")]
    ids = {frozenset(f.id for f in told(*order)) for order in permutations(lines)}

    assert 1 == len(ids)
    assert 2 == len(next(iter(ids)))


def test_only_the_first_times_of_an_answer_are_compared_with_the_others() -> None:
    same = {"cost_usd": None, "latency_ms": None}
    first = [answer(i, **same) for i in range(MAX_GIVEN)]
    leak = {"response_id": "r", **same}
    later = [answer(60, "globex", **leak), answer(61, "initech", **leak)]

    assert 1 == len(told(*first[1:], *later))
    assert [] == told(*first, *later)
