"""tool-drift: a tool that fails, or returns other sizes, for several sessions."""

import pytest

from detectors.levels import LEARNED
from detectors.tool_drift import BATCH, FAILING, IN_A_ROW, SESSIONS, ToolDrift
from tests.batches import said, some


def calls(batches: int, sessions: int = 9, **fields: object) -> list[dict[str, object]]:
    named = {"kind": "agent.tool_call", "tool": "search", "status": "ok"}
    runs = [f"run-{i}" for i in range(sessions)]
    return some(batches * BATCH, session=runs, **{**named, **fields})


def failing(share: float) -> list[str]:
    failed = round(share * BATCH)
    return ["error"] * failed + ["ok"] * (BATCH - failed)


@pytest.mark.parametrize(("more", "found"), [(FAILING + 0.05, True), (FAILING - 0.05, False)])
@pytest.mark.parametrize("usual", [0.0, 0.25, 0.5])
def test_a_tool_that_begins_to_fail_is_found(usual: float, more: float, found: bool) -> None:
    events = calls(LEARNED, status=failing(usual)) + calls(IN_A_ROW, status=failing(usual + more))

    assert found == bool(said(ToolDrift(), events))


@pytest.mark.parametrize(
    ("size", "found"), [(4100, True), (3900, False), (240, True), (260, False)]
)
def test_results_four_times_as_large_or_small_are_found(size: int, found: bool) -> None:
    events = calls(LEARNED, tool_result_size=1000) + calls(IN_A_ROW, tool_result_size=size)

    assert found == bool(said(ToolDrift(), events))


@pytest.mark.parametrize(("sessions", "found"), [(SESSIONS, True), (SESSIONS - 1, False)])
@pytest.mark.parametrize("fields", [{"status": "error"}, {"tool_result_size": 90_000}])
def test_several_sessions_must_see_it(
    sessions: int, found: bool, fields: dict[str, object]
) -> None:
    events = calls(LEARNED, tool_result_size=1000) + calls(IN_A_ROW, sessions, **fields)

    assert found == bool(said(ToolDrift(), events))


def test_one_batch_is_a_bad_moment() -> None:
    bad = calls(IN_A_ROW - 1, status="error", tool_result_size=1000)
    fine = calls(LEARNED, tool_result_size=1000)

    assert [] == said(ToolDrift(), fine + bad + fine + bad + fine)


def test_a_tool_without_a_past_is_quiet_and_tools_are_not_mixed_up() -> None:
    assert [] == said(ToolDrift(), calls(LEARNED - 1) + calls(IN_A_ROW, status="error"))
    assert [] == said(ToolDrift(), calls(LEARNED) + calls(3, tool="other", status="error"))
    same_name = calls(3, mcp_server_name="another", status="error")
    assert [] == said(ToolDrift(), calls(LEARNED) + same_name)
