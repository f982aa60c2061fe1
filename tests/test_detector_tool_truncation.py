"""tool-truncation: results that no longer fit."""

import pytest

from detectors.levels import LEARNED
from detectors.tool_truncation import BATCH, MORE, MOSTLY, SESSIONS, ToolTruncation
from tests.batches import said, some


def calls(
    batches: int, cut: object, sessions: int = 9, **fields: object
) -> list[dict[str, object]]:
    named = {"kind": "agent.tool_call", "tool": "search"}
    runs = [f"run-{i}" for i in range(sessions)]
    return some(batches * BATCH, tool_result_truncated=cut, session=runs, **{**named, **fields})


def share(number: float) -> list[bool]:
    cut = round(number * BATCH)
    return [True] * cut + [False] * (BATCH - cut)


@pytest.mark.parametrize(("now", "found"), [(MOSTLY, True), (MOSTLY - 0.05, False)])
def test_half_of_the_results_cut_is_found(now: float, found: bool) -> None:
    events = calls(LEARNED, False) + calls(1, share(now))

    assert found == bool(said(ToolTruncation(), events))


@pytest.mark.parametrize(("more", "found"), [(MORE, True), (MORE - 0.05, False)])
def test_a_tool_that_often_returns_too_much_has_to_do_so_far_more_often(
    more: float, found: bool
) -> None:
    events = calls(LEARNED, share(0.5)) + calls(1, share(0.5 + more))

    assert found == bool(said(ToolTruncation(), events))


@pytest.mark.parametrize(("sessions", "found"), [(SESSIONS, True), (SESSIONS - 1, False)])
def test_several_sessions_must_see_it(sessions: int, found: bool) -> None:
    events = calls(LEARNED, False) + calls(1, True, sessions)

    assert found == bool(said(ToolTruncation(), events))


def test_a_tool_without_a_past_and_a_source_that_does_not_say_are_quiet() -> None:
    assert [] == said(ToolTruncation(), calls(LEARNED - 1, False) + calls(1, True))
    assert [] == said(ToolTruncation(), calls(LEARNED, False) + calls(5, None))
