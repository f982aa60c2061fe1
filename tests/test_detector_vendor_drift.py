"""vendor-drift: answers changed their length for everybody."""

import pytest

from detectors.together import KNOWN_BATCHES
from detectors.vendor_drift import BATCH, IN_A_ROW, LEAST_TOKENS, VendorDrift
from tests.batches import said, some

PAST = 4 * BATCH


def calls(count: int, tokens: object, keys: int = 4, **fields: object) -> list[dict[str, object]]:
    named = {"provider_name": "openai", "model": "gpt-4o", "key": [f"k{i}" for i in range(keys)]}
    return some(count, output_tokens=tokens, **{**named, **fields})


@pytest.mark.parametrize(
    ("tokens", "found"), [(1610, True), (1590, False), (621, True), (629, False)]
)
def test_longer_and_shorter_answers_are_found(tokens: int, found: bool) -> None:
    assert found == bool(said(VendorDrift(), calls(PAST, 1000) + calls(IN_A_ROW * BATCH, tokens)))


def test_one_batch_is_chance() -> None:
    short = calls((IN_A_ROW - 1) * BATCH, 40)

    assert [] == said(VendorDrift(), calls(PAST, 400) + short + calls(PAST, 400))


def test_one_owners_new_prompt_is_that_owners_affair() -> None:
    assert [] == said(VendorDrift(), calls(PAST, 400) + calls(3 * BATCH, [40, 400, 400, 400]))


def test_another_mix_of_keys_is_no_change_of_answers() -> None:
    lengths = [2000, 100, 100, 100]
    mostly_one = calls(3 * BATCH, 2000, 1) + calls(PAST, lengths)

    assert [] == said(VendorDrift(), calls(PAST, lengths) + mostly_one)


def test_a_model_that_two_keys_use_is_not_judged() -> None:
    assert [] == said(VendorDrift(), calls(PAST, 400, 2) + calls(3 * BATCH, 40, 2))


def test_empty_and_very_short_answers_say_nothing() -> None:
    assert [] == said(VendorDrift(), calls(PAST, 400) + calls(3 * BATCH, 0))
    assert [] == said(VendorDrift(), calls(PAST, 400) + calls(3 * BATCH, LEAST_TOKENS - 1))
    assert said(VendorDrift(), calls(PAST, 400) + calls(3 * BATCH, LEAST_TOKENS))


def test_the_first_hours_of_a_model_are_no_past() -> None:
    first = (KNOWN_BATCHES - 1) * BATCH

    assert [] == said(VendorDrift(), calls(first, 400) + calls(IN_A_ROW * BATCH, 100))
