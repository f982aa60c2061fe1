"""A tool whose results no longer fit."""

from collections.abc import Iterable

from detectors import levels
from detectors.base import Detector, Verdict, atlas, owasp
from detectors.memory import Memory
from detectors.served import tool
from detectors.tallies import Tallies
from schemas.decode import Record
from schemas.finding import About, Severity

BATCH = 20  # calls that are compared at a time
MORE = 0.3  # by which the share of cut results rises
MOSTLY = 0.5  # and which it reaches
SESSIONS = 3  # in which results were cut
HORIZON_MS = 7 * 86_400_000
MAX_TOOLS = 10_000  # remembered per generation


class ToolTruncation(Detector):
    """Flags a tool most of whose results are cut, far more than usual, in several sessions.

    An agent that sees the first part of a result takes it for the whole: it answers from partial
    data, or asks again and again. A tool that always returned more than fits is usual; one session
    that reads one large file is that session's affair.

    Source: agents repeat calls whose results were cut; the repetition is paid for.
    Blind spot: sources that do not say that a result was cut.

    >>> from schemas.testing import record
    >>> detector, told = ToolTruncation(), []
    >>> for n in range(200):
    ...     call = record(id=f"e{n}", kind="agent.tool_call", tool="search", session=f"s{n % 9}",
    ...         tool_result_truncated=n >= 120)
    ...     told += [v.summary for v in detector.inspect(call, n * 60_000)]
    >>> told[0]
    '100 % of the results of one tool were cut, where 0 % is usual'
    """

    about = About(
        id="tool-truncation",
        title="A tool's results are cut",
        family="health",
        severity=Severity.INFO,
        techniques=(
            atlas("AML.T0053", "AI Agent Tool Invocation"),
            owasp("LLM09", "Misinformation"),
        ),
        runbook=(
            "See what the tool returns now that it did not before: more rows, a longer page?",
            "Give the tool pages or a filter, and let it say that there is more.",
        ),
        blind_spot="sources that do not say that a result was cut",
        needs=("gen_ai.tool.name", "tool.result.truncated"),
    )
    takes = "truncation"
    lane = "service"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._tallies = Tallies(BATCH, HORIZON_MS, MAX_TOOLS)

    @property
    def memory(self) -> Memory:
        return self._tallies.memory

    def entity(self, event: Record) -> str | None:
        return tool(event)

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        name, cut = tool(event), event.tool_result_truncated
        if name is None or cut is None:
            return
        session = event.conversation_id or event.session_id or event.api_key_id or ""
        counts = {"cut": 1, f"in {session}": 1} if cut else {}
        state, batches = self._tallies.add(name, time_ms, event.event_id, counts)
        for batch in batches:
            now, before = batch["counts"].get("cut", 0) / batch["n"], levels.usual(state["known"])
            sessions = sum(one.startswith("in ") for one in batch["counts"])
            odd = before is not None and now >= max(MOSTLY, before + MORE) and sessions >= SESSIONS
            if odd:
                time, id = batch["last"]
                yield Verdict(
                    f"{100 * now:.0f} % of the results of one tool were cut,"
                    f" where {100 * (before or 0.0):.0f} % is usual",
                    {"tool": name, "sessions": sessions, "cut_share": round(now, 3)},
                    decisive=(id, time),
                )
            levels.learn(state["known"], now, odd)
