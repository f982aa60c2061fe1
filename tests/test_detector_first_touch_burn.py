"""first-touch-burn: cache entries that are paid for and never read."""

import pytest

from detectors.first_touch_burn import (
    BATCH,
    BREAK_EVEN,
    IN_A_ROW,
    LEAST_TOKENS,
    FirstTouchBurn,
)
from tests.batches import said, some


def calls(batches: int, written: int, read: int, **fields: object) -> list[dict[str, object]]:
    named = {"key": "k", "cache_creation_tokens": written, "cache_read_tokens": read}
    return some(batches * BATCH, **{**named, **fields})


@pytest.mark.parametrize(("share", "found"), [(BREAK_EVEN - 0.01, 1), (BREAK_EVEN + 0.01, 0)])
def test_a_key_that_pays_more_with_the_cache_than_without_is_found(
    share: float, found: int
) -> None:
    events = calls(IN_A_ROW, 10_000, round(10_000 * share))

    assert found == len(said(FirstTouchBurn(), events))


@pytest.mark.parametrize(("tokens", "found"), [(LEAST_TOKENS, 1), (LEAST_TOKENS - 1, 0)])
def test_small_change_is_quiet(tokens: int, found: int) -> None:
    assert found == len(said(FirstTouchBurn(), calls(IN_A_ROW, tokens, 0)))


def test_the_first_touches_of_a_new_prompt_are_honest() -> None:
    warm = calls(1, 0, 5000)

    assert [] == said(FirstTouchBurn(), (calls(IN_A_ROW - 1, 5000, 0) + warm) * 4)


def test_who_does_not_cache_is_quiet() -> None:
    assert [] == said(FirstTouchBurn(), calls(5, 0, 0))
