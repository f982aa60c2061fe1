"""toolset-change: a server's tools become others in the middle of a session."""

from itertools import permutations

import pytest

from detectors.toolset_change import HORIZON_MS
from tests.detecting import alone, call

NAME = "toolset-change"


def listed(seconds: float, tools: str | None, **fields: object) -> bytes:
    named = {"kind": "agent.tool_list", "mcp_session_id": "mcp-1", "mcp_server_name": "files"}
    return call(seconds, content_output_hash=tools, **{**named, "http_status": None, **fields})


def told(*lines: bytes) -> list[tuple[str, ...]]:
    return [finding.event_ids for finding in alone(lines, NAME)]


def test_another_list_in_the_same_session_is_found() -> None:
    assert [("b", "a")] == told(listed(0, "one", id="a"), listed(9, "two", id="b"))


def test_the_same_list_again_and_again_is_quiet() -> None:
    assert [] == told(*(listed(9 * i, "one") for i in range(50)))


@pytest.mark.parametrize("name", ["mcp_session_id", "mcp_server_name"])
def test_each_session_and_each_server_has_a_list_of_its_own(name: str) -> None:
    assert [] == told(*(listed(i, f"list {i}", **{name: f"x{i}"}) for i in range(9)))


def test_conversations_and_sessions_count_where_a_transport_has_no_id() -> None:
    for name in ("conversation_id", "session_id"):
        fields = {"mcp_session_id": None, name: "run-1"}
        assert 1 == len(told(listed(0, "one", **fields), listed(9, "two", **fields)))


@pytest.mark.parametrize(
    "fields", [{"mcp_session_id": None}, {"status": "error"}, {"kind": "agent.tool_call"}]
)
def test_what_is_no_list_of_a_session_is_quiet(fields: dict[str, object]) -> None:
    assert [] == told(listed(0, "one", **fields), listed(9, "two", **fields))
    assert [] == told(listed(0, "one"), listed(9, None))


def test_after_days_of_silence_a_session_begins_anew() -> None:
    assert [] == told(listed(0, "one"), listed(3 * HORIZON_MS / 1000, "two"))


def test_the_order_of_arrival_does_not_show() -> None:
    lines = [listed(9 * i, tools, id=f"e{i}") for i, tools in enumerate(("one", "two", "one", "x"))]

    assert 1 == len({tuple(f.id for f in alone(order, NAME)) for order in permutations(lines)})
