"""unexplained-input: a known prompt is billed for more input than it has."""

from itertools import permutations

import pytest

from detectors.features import SHORT_ANSWER_TOKENS
from detectors.settled import SETTLED_MS
from detectors.unexplained_input import LEAST_TOKENS, MORE, SLOT_MS, SLOTS, STEADY
from tests.detecting import HOUR, KEY, alone, call

NAME = "unexplained-input"
SLOT = SLOT_MS / 1000
THEN = SLOTS * SLOT + SETTLED_MS / 1000
SIZE = 1000


def asked(second: float, tokens: int = SIZE, **fields: object) -> bytes:
    named = {"prompt": "hmac:p", "input_tokens": tokens, "output_tokens": 2, **fields}
    return call(second, **named)


def known(slots: int = SLOTS, **fields: object) -> list[bytes]:
    return [asked(i * SLOT, **fields) for i in range(slots)]  # type: ignore[arg-type]


def told(*lines: bytes) -> list[str]:
    return [finding.entity.id for finding in alone(lines, NAME)]


@pytest.mark.parametrize(
    ("size", "least"), [(SIZE, SIZE + LEAST_TOKENS), (50_000, int(50_000 * MORE))]
)
def test_a_token_too_many_is_found(size: int, least: int) -> None:
    assert [] == told(*known(tokens=size), asked(THEN, least))
    assert [KEY] == told(*known(tokens=size), asked(THEN, least + 1))


def test_a_size_is_known_after_some_time() -> None:
    assert [] == told(*known(SLOTS - 1), asked(THEN, 9 * SIZE))
    assert [] == told(*known(), asked(THEN - 0.001, 9 * SIZE))
    assert [KEY] == told(*known(), asked(THEN, 9 * SIZE))


def test_a_prompt_whose_size_was_never_fixed_is_quiet() -> None:
    for share, found in ((STEADY, 1), (STEADY + 0.01, 0)):
        sizes = [SIZE, int(SIZE * share), SIZE]
        lines = [asked(i * SLOT, tokens) for i, tokens in enumerate(sizes)]
        assert found == len(told(*lines, asked(THEN, 9 * SIZE)))


@pytest.mark.parametrize("name", ["prompt", "model", "response_model", "key"])
def test_another_prompt_or_model_has_a_size_of_its_own(name: str) -> None:
    assert [] == told(*known(), asked(THEN, 9 * SIZE, **{name: "hmac:other"}))


@pytest.mark.parametrize(
    "fields", [{"output_tokens": SHORT_ANSWER_TOKENS + 1}, {"prompt": None}, {"http_status": 429}]
)
def test_only_short_answers_to_known_prompts_are_looked_at(fields: dict[str, object]) -> None:
    assert [] == told(*known(), asked(THEN, 9 * SIZE, **fields))


def test_less_input_and_the_same_input_are_quiet() -> None:
    assert [] == told(*known(), asked(THEN, SIZE), asked(THEN + 1, 1))


def test_a_new_size_becomes_usual() -> None:
    lines = [asked(30 * HOUR + i * SLOT, 9 * SIZE) for i in range(30)]

    assert 1 == len(told(*[asked(i * 600) for i in range(180)], *lines))


def test_the_order_of_arrival_does_not_show() -> None:
    last = [asked(THEN + i, 9 * SIZE + i, id=f"e{i}") for i in range(3)]

    assert 1 == len({alone([*known(), *o], NAME)[0].id for o in permutations(last)})
