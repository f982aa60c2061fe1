"""fallback-drift: another model answers than usual."""

import pytest

from detectors.fallback_drift import BATCH, RARE, STRANGE, FallbackDrift
from detectors.levels import ACCEPT, LEARNED
from tests.batches import said, some

USUAL, OTHER = "gpt-4o-2024-08-06", "mistral-large-2411"


def calls(batches: int, *answered: str) -> list[dict[str, object]]:
    named = {"provider_name": "openai", "model": "gpt-4o"}
    return some(batches * BATCH, response_model=list(answered), **named)


def mixed(strangers: int, model: str = OTHER) -> list[dict[str, object]]:
    return calls(1, *([model] * strangers + [USUAL] * (BATCH - strangers)))


@pytest.mark.parametrize(("less", "found"), [(0, True), (1, False)])
def test_a_share_of_strangers_is_found(less: int, found: bool) -> None:
    events = calls(LEARNED, USUAL) + mixed(round(STRANGE * BATCH) - less)

    assert found == bool(said(FallbackDrift(), events))


def test_versions_of_one_model_are_the_same_model() -> None:
    assert [] == said(
        FallbackDrift(), calls(LEARNED, USUAL) + calls(3, "gpt-4o-2024-11-20", "gpt-4o")
    )


def test_an_alias_is_as_good_as_a_name() -> None:
    assert [] == said(FallbackDrift(), calls(2 * LEARNED, OTHER))
    assert said(FallbackDrift(), calls(LEARNED, OTHER) + calls(1, USUAL))


@pytest.mark.parametrize(("share", "found"), [(RARE * 0.6, True), (RARE * 1.6, False)])
def test_who_often_answers_is_no_stranger(share: float, found: bool) -> None:
    usual = mixed(round(share * BATCH)) * (LEARNED + 2)

    assert found == bool(said(FallbackDrift(), usual + calls(1, OTHER)))


def test_a_name_without_a_past_is_quiet_and_what_stays_becomes_usual() -> None:
    assert [] == said(FallbackDrift(), calls(LEARNED - 1, USUAL) + calls(1, OTHER))
    assert ACCEPT == len(said(FallbackDrift(), calls(LEARNED, USUAL) + calls(3 * ACCEPT, OTHER)))


def test_a_model_named_like_an_argument_is_a_model() -> None:
    for name in ("name", "id", "time_ms", "counts", "self"):
        assert [] == said(FallbackDrift(), calls(LEARNED, name))
