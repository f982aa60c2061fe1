"""slow-first-token: everybody waits longer."""

import pytest

from detectors.slow_first_token import BATCH, IN_A_ROW, SlowFirstToken
from tests.batches import said, some

PAST = 4 * BATCH


def calls(count: int, wait: object, keys: int = 4, **fields: object) -> list[dict[str, object]]:
    named = {"provider_name": "openai", "model": "gpt-4o", "key": [f"k{i}" for i in range(keys)]}
    return some(count, time_to_first_chunk_s=wait, **{**named, **fields})


@pytest.mark.parametrize(("wait", "found"), [(1.01, True), (0.99, False)])
def test_twice_the_usual_wait_is_found(wait: float, found: bool) -> None:
    assert found == bool(said(SlowFirstToken(), calls(PAST, 0.5) + calls(IN_A_ROW * BATCH, wait)))


def test_one_batch_is_chance() -> None:
    slow = calls((IN_A_ROW - 1) * BATCH, 5.0)

    assert [] == said(SlowFirstToken(), calls(PAST, 0.5) + slow + calls(PAST, 0.5))


def test_a_shorter_wait_is_welcome() -> None:
    assert [] == said(SlowFirstToken(), calls(PAST, 0.5) + calls(IN_A_ROW * BATCH, 0.1))


def test_one_key_that_waits_longer_is_its_own_affair() -> None:
    waits = [5.0, 0.5, 0.5, 0.5]

    assert [] == said(SlowFirstToken(), calls(PAST, 0.5) + calls(3 * BATCH, waits))


def test_keys_are_compared_with_their_own_past() -> None:
    waits = [0.2, 1.0, 3.0, 9.0]
    more = [2.5 * wait for wait in waits]

    assert [] == said(SlowFirstToken(), calls(2 * PAST, waits))
    assert said(SlowFirstToken(), calls(PAST, waits) + calls(IN_A_ROW * BATCH, more))


def test_a_model_that_two_keys_use_is_not_judged() -> None:
    assert [] == said(SlowFirstToken(), calls(PAST, 0.5, 2) + calls(3 * BATCH, 5.0, 2))


def test_models_are_not_mixed_up_and_what_is_not_streamed_says_nothing() -> None:
    past = calls(PAST, 0.5)

    assert [] == said(SlowFirstToken(), past + calls(3 * BATCH, 5.0, model="gpt-4o-mini"))
    assert [] == said(SlowFirstToken(), past + calls(3 * BATCH, None))
