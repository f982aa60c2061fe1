"""Tools that become others while they are in use."""

from collections.abc import Iterable

from detectors.base import Detector, Verdict, atlas, attack, owasp
from detectors.memory import Memory
from detectors.settled import HOUR_MS
from schemas.decode import Record
from schemas.finding import About, Severity

HORIZON_MS = 12 * HOUR_MS
MAX_SESSIONS = 200_000  # and servers of them, remembered per generation
MAX_LISTS = 16  # different lists of one session and server


class ToolsetChange(Detector):
    """Flags a server whose list of tools is another one later in the same session.

    An agent approves tools by what their descriptions said when it began. A server that changes
    them afterwards (a rug pull) puts words into the agent's context that nobody looked at. Between
    sessions lists change with each release, which is no finding.

    Source: tool poisoning and rug pulls of MCP servers (ATLAS AML.CS0054); the specification lets
    servers change their lists at any time and only asks them to say so.
    Blind spot: servers that show each client another list from the start; sources that do not give
    a fingerprint of the list.

    >>> from schemas.testing import record
    >>> listed = dict(kind="agent.tool_list", session="s", mcp_server_name="files")
    >>> first = record(id="a", content_output_hash="hmac:1", **listed)
    >>> then = record(id="b", content_output_hash="hmac:2", **listed)
    >>> detector = ToolsetChange()
    >>> [v.decisive for e, t in ((first, 0), (then, 9000)) for v in detector.inspect(e, t)]
    [('b', 9000)]
    """

    about = About(
        id="toolset-change",
        title="A server's tools changed in the middle of a session",
        family="cross-tenant",
        severity=Severity.MEDIUM,
        techniques=(
            atlas("AML.T0110", "AI Agent Tool Poisoning"),
            attack("T1195.002", "Supply Chain Compromise: Compromise Software Supply Chain"),
            owasp("LLM03", "Supply Chain"),
        ),
        runbook=(
            "Compare the two lists: what do the new descriptions tell the agent to do?",
            "Stop sessions with this server until somebody has approved its new list.",
            "Pin servers to a version, and approve lists by their fingerprint.",
        ),
        blind_spot="servers that show another list from the start; lists without fingerprints",
        needs=("mcp.session.id", "content.output.hash"),
        kinds=("agent.tool_list",),
    )
    takes = "tool_list"
    lane = "session"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._memory = Memory(HORIZON_MS, MAX_SESSIONS)

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        return event.conversation_id or event.session_id or event.mcp_session_id

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        session, list_ = self.entity(event), event.content_output_hash
        if session is None or list_ is None or event.status in ("error", "blocked"):
            return
        server = event.mcp_server_name or event.server_address or ""
        lists = self._memory.get(f"{session}\0{server}") or []
        mine = [time_ms, event.event_id, list_]
        known = next((one for one in lists if one[2] == list_), None)
        others = [one for one in lists if one[2] != list_]
        if known is None or time_ms < known[0]:  # of one list, the first time it was shown
            lists = sorted([*others, mine])[:MAX_LISTS]
        self._memory.put(f"{session}\0{server}", lists)
        if known is None and others:
            early, late = sorted((min(others), mine))
            yield Verdict(
                "a server's list of tools changed in the middle of a session",
                {"server": server, "first_list": early[2], "then": late[2], "lists": len(lists)},
                parts=(server,),
                decisive=(late[1], late[0]),
                others=((early[1], early[0]),),
            )
