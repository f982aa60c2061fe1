"""cache-collapse: prompts that used to be cached are not any more."""

import pytest

from detectors.cache_collapse import BATCH, DROP, IN_A_ROW, CacheCollapse
from detectors.features import CACHEABLE_TOKENS
from detectors.levels import LEARNED
from tests.batches import said, some

KEY = "hmac:00000000000000aa"
SIZE = 10_000


def calls(batches: int, share: float, **fields: object) -> list[dict[str, object]]:
    named = {"key": KEY, "input_tokens": SIZE, "cache_read_tokens": round(share * SIZE)}
    return some(batches * BATCH, **{**named, **fields})


@pytest.mark.parametrize(("drop", "found"), [(DROP + 0.01, True), (DROP - 0.01, False)])
def test_a_fall_by_thirty_points_is_found(drop: float, found: bool) -> None:
    events = calls(LEARNED, 0.8) + calls(3, 0.8 - drop)

    assert found == bool(said(CacheCollapse(), events))


def test_one_batch_is_a_cold_start() -> None:
    assert [] == said(CacheCollapse(), calls(LEARNED, 0.8) + calls(IN_A_ROW - 1, 0) + calls(3, 0.8))
    assert said(CacheCollapse(), calls(LEARNED, 0.8) + calls(IN_A_ROW, 0))


@pytest.mark.parametrize(("usual", "found"), [(DROP + 0.01, True), (DROP - 0.01, False)])
def test_who_hardly_cached_has_nothing_to_lose(usual: float, found: bool) -> None:
    assert found == bool(said(CacheCollapse(), calls(LEARNED, usual) + calls(3, 0)))


def test_a_key_without_a_past_is_quiet() -> None:
    assert [] == said(CacheCollapse(), calls(LEARNED - 1, 0.8) + calls(IN_A_ROW, 0))


def test_short_prompts_and_unknown_reads_say_nothing() -> None:
    short = CACHEABLE_TOKENS - 1
    before = calls(LEARNED, 0.8)

    assert [] == said(CacheCollapse(), before + calls(5, 0, input_tokens=short))
    assert [] == said(CacheCollapse(), before + calls(5, 0, cache_read_tokens=None))


def test_keys_are_not_mixed_up() -> None:
    events = calls(LEARNED, 0.8) + calls(9, 0, key="hmac:00000000000000bb")

    assert [] == said(CacheCollapse(), events)
