"""echoed-response: one tenant's answer, given to another who had asked something else."""

from itertools import permutations

import pytest

from detectors.echoed_response import SPAN_MS
from detectors.features import LONG_ANSWER_TOKENS
from detectors.settled import SETTLED_MS
from schemas.finding import Finding
from tests.detecting import HOUR, alone, call

NAME = "echoed-response"
SPAN = SPAN_MS / 1000


def answer(
    seconds: float, tenant: str | None = "acme", prompt: str | None = "p", **f: object
) -> bytes:
    named = {"content_output_hash": "hmac:a", "output_tokens": LONG_ANSWER_TOKENS, **f}
    return call(seconds, tenant=tenant, prompt=prompt, **named)


def told(*lines: bytes, **settings: object) -> list[Finding]:
    return alone(lines, NAME, **settings)


def test_the_same_answer_to_another_question_is_found() -> None:
    [found] = told(answer(0), answer(5, "globex", "q"))

    assert ("high", "acme", "globex") == (
        found.severity,
        found.evidence["given_to"],
        found.evidence["and_to"],
    )


@pytest.mark.parametrize(("seconds", "found"), [(SPAN, 1), (SPAN + 0.001, 0)])
def test_equal_answers_within_ten_minutes_are_one(seconds: float, found: int) -> None:
    assert found == len(told(answer(0), answer(seconds, "globex", "q")))


def test_the_same_id_is_a_fact_whenever_it_comes() -> None:
    [found] = told(answer(0, response_id="r"), answer(9 * HOUR, "globex", "q", response_id="r"))

    assert "critical" == found.severity
    assert [] == told(answer(0, response_id="r"), answer(9 * HOUR, "globex", "q", response_id="s"))


def test_a_canned_answer_is_quiet() -> None:
    before = [answer(0, "acme", "one"), answer(1, "acme", "two")]
    then = SETTLED_MS / 1000 + 2

    assert [] == told(*before, answer(then, "acme", "x"), answer(then + 5, "globex", "y"))
    assert 1 == len(told(before[0], answer(then, "acme", "one"), answer(then + 5, "globex", "y")))


@pytest.mark.parametrize(
    ("tenant", "prompt"), [("globex", "p"), ("acme", "q"), ("globex", None), (None, "q")]
)
def test_it_takes_another_tenant_and_another_prompt(tenant: str | None, prompt: str | None) -> None:
    assert [] == told(answer(0), answer(5, tenant, prompt))


def test_short_answers_and_other_answers_are_quiet() -> None:
    short = {"output_tokens": LONG_ANSWER_TOKENS - 1}

    assert [] == told(answer(0, **short), answer(5, "globex", "q", **short))
    assert [] == told(answer(0), answer(5, "globex", "q", content_output_hash="hmac:b"))


def test_support_may_see_the_same() -> None:
    assert [] == told(answer(0), answer(5, "globex", "q"), support={"globex"})


def test_the_order_of_arrival_does_not_show() -> None:
    lines = [answer(9 * i, name, name, id=name) for i, name in enumerate("abcd")]
    ids = {frozenset(f.id for f in told(*order)) for order in permutations(lines)}

    assert 1 == len(ids)
    assert 6 == sum(1 for f in told(*lines)) == len(next(iter(ids)))
