"""model-rotation: a name now stands for another version."""

import pytest

from detectors.levels import LEARNED
from detectors.model_rotation import BATCH, NEARLY_ALL, ModelRotation
from tests.batches import said, some

OLD, NEW = "gpt-4o-2024-08-06", "gpt-4o-2024-11-20"


def calls(batches: int, *answered: str) -> list[dict[str, object]]:
    named = {"provider_name": "openai", "model": "gpt-4o"}
    return some(batches * BATCH, response_model=list(answered), **named)


def told(events: list[dict[str, object]]) -> list[object]:
    return [(v.evidence["before"], v.evidence["now"]) for v in said(ModelRotation(), events)]


def test_a_new_version_is_told_once() -> None:
    assert [(OLD, NEW)] == told(calls(LEARNED, OLD) + calls(5, NEW))


def test_back_again_is_told_when_the_new_one_had_become_usual() -> None:
    there = calls(LEARNED, OLD) + calls(LEARNED, NEW) + calls(1, OLD)

    assert [(OLD, NEW), (NEW, OLD)] == told(there)
    assert [(OLD, NEW)] == told(calls(LEARNED, OLD) + calls(LEARNED - 1, NEW) + calls(3, OLD))


@pytest.mark.parametrize(("less", "found"), [(0, 1), (1, 0)])
def test_nearly_all_answers_have_to_be_of_the_new_version(less: int, found: int) -> None:
    new = round(NEARLY_ALL * BATCH) - less
    events = calls(LEARNED, OLD) + calls(1, *([NEW] * new + [OLD] * (BATCH - new)))

    assert found == len(told(events))


def test_versions_side_by_side_are_quiet_and_so_is_another_model() -> None:
    assert [] == told(calls(9, OLD, NEW))
    assert [] == told(calls(LEARNED, OLD) + calls(3, "mistral-large-2411"))


def test_a_name_without_a_past_is_quiet() -> None:
    assert [] == told(calls(LEARNED - 1, OLD) + calls(1, NEW))
