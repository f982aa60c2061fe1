"""tool-drift: a tool that fails, or returns other sizes, for several sessions."""

import pytest

from detectors.base import Verdict
from detectors.levels import LEARNED
from detectors.tallies import MAX_COUNTS
from detectors.tool_drift import BATCH, FAILING, IN_A_ROW, SESSIONS, ToolDrift
from schemas.testing import record
from tests.batches import MINUTE_MS, said, some


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


def crowded(crowd: int, size: int) -> list[Verdict]:
    """A tool that fails for a crowd of sessions each minute, and at last returns another size."""
    detector, told = ToolDrift(), []
    for minute in range(LEARNED + IN_A_ROW + 2):
        fine = {"tool_result_size": size if minute >= LEARNED else 1000}
        calls = [{"session": f"s{i}", "status": "error"} for i in range(crowd)]
        calls += [{"session": f"z{i % SESSIONS}", **fine} for i in range(2 * crowd)]
        for at, fields in enumerate(calls):
            one = record(id=f"{minute}-{at}", kind="agent.tool_call", tool="search", **fields)
            told += detector.inspect(one, minute * MINUTE_MS + at)
    last = record(id="last", kind="agent.tool_call", tool="search")
    return [*told, *detector.inspect(last, (minute + 10) * MINUTE_MS)]


@pytest.mark.parametrize("crowd", [20, MAX_COUNTS - 3 - SESSIONS])
def test_sizes_are_compared_while_many_sessions_fail(crowd: int) -> None:
    assert {("size",)} == {verdict.parts for verdict in crowded(crowd, 9000)}
    assert [] == crowded(crowd, 1100)


def test_a_minute_of_more_sessions_than_are_counted_breaks_nothing() -> None:
    for crowd in (MAX_COUNTS - 3, MAX_COUNTS):
        assert [] == crowded(crowd, 1100)
