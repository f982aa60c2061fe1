"""cache-timing-probe: prompts are guessed by the time a cached beginning saves."""

from random import Random

import pytest

from detectors.cache_timing_probe import (
    APART,
    EACH,
    MAX_CALLS,
    PROBES,
    SPAN_MS,
    STEP_TOKENS,
    CacheTimingProbe,
)
from detectors.features import WORD_TOKENS
from detectors.settled import SETTLED_MS
from schemas.testing import record
from tests.detecting import KEY, alone, call

NAME = "cache-timing-probe"
SLOW = 0.4
LATER = SETTLED_MS / 1000


def word(second: float, tokens: int, first_s: float | None = SLOW, **fields: object) -> bytes:
    named = {"input_tokens": tokens, "time_to_first_chunk_s": first_s, "output_tokens": 1}
    return call(second, **{"prompt": f"hmac:{second}", **named, **fields})


def guesses(
    count: int = PROBES, every: float = 10, fast: int = EACH, apart: float = APART, grow: int = 1
) -> list[bytes]:
    """Growing prompts; the first so many are answered so many times faster."""
    return [
        word(i * every, 900 + i * grow, SLOW / apart if i < fast else SLOW, id=f"e{i}")
        for i in range(count)
    ]


def told(*lines: bytes, later: float = 0) -> list[str]:
    last = word(later or LATER + PROBES * 60, 1, id="last")
    return [finding.entity.id for finding in alone([*lines, last], NAME)]


def test_one_guess_too_many() -> None:
    assert [] == told(*guesses(PROBES - 1))
    assert [KEY] == told(*guesses())


def test_it_is_told_when_nothing_older_can_arrive() -> None:
    last = 10 * (PROBES - 1)

    assert [] == told(*guesses(), later=last + LATER - 0.001)
    assert [KEY] == told(*guesses(), later=last + LATER)


def test_guesses_lie_within_ten_minutes() -> None:
    every = SPAN_MS / 1000 / (PROBES - 1)

    assert [KEY] == told(*guesses(every=every - 0.01))
    assert [] == told(*guesses(every=every))


@pytest.mark.parametrize(
    ("grow", "found"), [(STEP_TOKENS, 1), (STEP_TOKENS + 1, 0), (0, 0), (-1, 0)]
)
def test_prompts_grow_a_little(grow: int, found: int) -> None:
    assert found == len(told(*guesses(grow=grow)))


def test_one_prompt_that_is_shorter_ends_the_row() -> None:
    lines = guesses()
    lines[PROBES // 2] = word(10 * (PROBES // 2), 900, id="odd")

    assert [] == told(*lines)


@pytest.mark.parametrize(("apart", "found"), [(APART, 1), (APART - 0.01, 0), (1.0, 0)])
def test_the_first_word_comes_fast_or_slow(apart: float, found: int) -> None:
    assert found == len(told(*guesses(apart=apart)))


def test_one_stray_answer_is_no_group() -> None:
    assert [] == told(*guesses(fast=EACH - 1))
    assert [] == told(*guesses(fast=PROBES - EACH + 1))


@pytest.mark.parametrize(
    "fields",
    [{"prompt": "hmac:same"}, {"output_tokens": WORD_TOKENS + 1}, {"http_status": 429}],
    ids=["one prompt", "long answers", "refused"],
)
def test_what_is_no_guess_is_quiet(fields: dict[str, object]) -> None:
    def asked(**more: object) -> list[bytes]:
        fast = {True: SLOW / 3, False: SLOW}
        return [word(10 * i, 900 + i, fast[i < 9], **more) for i in range(2 * PROBES)]

    assert [KEY] == told(*asked())
    assert [] == told(*asked(**fields))
    assert [] == told(*(word(10 * i, 900 + i, None) for i in range(2 * PROBES)))


def test_keys_do_not_add_up() -> None:
    lines = [word(10 * i, 900 + i, SLOW / (3 if i < 8 else 1), key=f"k{i % 2}") for i in range(30)]

    assert [] == told(*lines)


def test_the_order_of_arrival_does_not_show() -> None:
    lines, last = guesses(every=2), word(LATER + 200, 1, id="last")
    found = [alone([*Random(s).sample(lines, len(lines)), last], NAME) for s in range(6)]

    assert 1 == len({(one.id, one.event_ids) for [one] in found})


@pytest.mark.parametrize("every", [2, 1, 0.5, 0.1])
def test_guessing_fast_and_on_and_on_hides_nothing(every: float) -> None:
    calls = MAX_CALLS + 1

    def asked(fast: int) -> list[str]:
        waits = [SLOW / 3 if i % 4 < fast else SLOW for i in range(calls)]
        lines = [word(every * i, 900 + i // 4, wait) for i, wait in enumerate(waits)]
        return told(*lines, later=calls * every)

    assert [KEY] == asked(1)
    assert [] == asked(0)  # a game that is answered evenly


def test_how_fast_guesses_came_in_what_order_does_not_show() -> None:
    lines = [
        word(0.5 * i, 900 + i // 4, SLOW / (3 if i % 4 else 1), id=f"e{i}") for i in range(400)
    ]
    last = word(200 + LATER, 1, id="last")
    orders = [lines, *(Random(s).sample(lines, len(lines)) for s in range(2))]
    found = [alone([*order, last], NAME, lateness_s=240) for order in orders]

    assert 1 == len({(one.id, one.event_ids) for [one] in found})


def test_a_flood_of_calls_is_judged_in_parts_and_not_kept() -> None:
    detector, told, most = CacheTimingProbe(), 0, 0
    for i in range(3 * MAX_CALLS):
        at = 7 if i % 5 == 0 else i // 2  # some at one instant, long before
        guess = record(
            id=f"e{i}",
            key=KEY,
            prompt=f"hmac:{i}",
            output_tokens=1,
            input_tokens=900 + at // 60,
            time_to_first_chunk_s=SLOW / (3 if i % 4 else 1),
        )
        told += len(list(detector.inspect(guess, at)))
        most = max(most, len(detector.memory.get(KEY)["calls"]))

    assert told
    assert MAX_CALLS == most
