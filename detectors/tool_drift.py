"""A tool that behaves differently than it did."""

from collections.abc import Iterable
from math import exp, log, log1p

from detectors import levels
from detectors.base import Detector, Verdict, atlas, owasp
from detectors.memory import Memory
from detectors.served import tool
from detectors.tallies import Batch, State, Tallies
from schemas.decode import Record
from schemas.finding import About, Severity

BATCH = 24  # sampled calls that are compared at a time
FAILING = 0.3  # by which the share of failed calls rises
OTHER_SIZE = log(4)  # results four times as large, or as small
SESSIONS = 3  # that are hit
IN_A_ROW = 2  # batches; a flaky tool has bad moments
SCALE = 1000  # logarithms are counted in thousandths
HORIZON_MS = 7 * 86_400_000
MAX_TOOLS = 10_000  # remembered per generation


class ToolDrift(Detector):
    """Flags a tool that begins to fail, or to return far larger or smaller results.

    A tool that changes under an agent's feet is followed by retries, by wrong answers, and at worst
    by a tool that was replaced. Several sessions must see it: one agent that is stuck is another
    detector's affair.

    Source: remote tools change without notice; of 18 repeated side effects in 182 real agent
    sessions 16 followed a tool's error.
    Blind spot: a tool that returns other content of the same size.

    >>> from schemas.testing import record
    >>> detector, told = ToolDrift(), []
    >>> for n in range(200):
    ...     call = record(id=f"e{n}", kind="agent.tool_call", tool="search", session=f"s{n % 9}",
    ...         status="ok" if n < 120 else "error")
    ...     told += [v.summary for v in detector.inspect(call, n * 60_000)]
    >>> told[0]
    '100 % of the calls of one tool failed, where 0 % is usual'
    """

    about = About(
        id="tool-drift",
        title="A tool behaves differently than it did",
        family="health",
        severity=Severity.INFO,
        techniques=(
            atlas("AML.T0053", "AI Agent Tool Invocation"),
            owasp("LLM03", "Supply Chain"),
        ),
        runbook=(
            "Ask the tool's owner what was deployed at that time.",
            "If nobody deployed anything, see whether the server is still the one you trust.",
        ),
        blind_spot="a tool that returns other content of the same size",
        needs=("gen_ai.tool.name", "status"),
        helps=("tool.result.size",),
    )
    takes = "sampled_tool"
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
        name, failed, size = tool(event), event.status == "error", event.tool_result_size
        if name is None:
            return ()
        session = event.conversation_id or event.session_id or event.api_key_id or ""
        sized = size is not None and not failed
        counts = {  # the sums first: of many sessions the last ones are left out
            "failed": int(failed),
            "sized": int(sized),
            "size": round(SCALE * log1p(size or 0)) if sized else 0,
            f"{'failed' if failed else 'fine'} in {session}": 1,
        }
        state, batches = self._tallies.add(name, time_ms, event.event_id, counts)
        return _changed(name, state, batches) if batches else ()


def _changed(name: str, state: State, batches: list[Batch]) -> Iterable[Verdict]:
    for batch in batches:
        yield from _failing(name, state, batch)
        if batch["counts"].get("sized", 0) >= BATCH / 2:
            yield from _resized(name, state, batch)


def _failing(name: str, state: State, batch: Batch) -> Iterable[Verdict]:
    known = state["known"].setdefault("failing", {})
    now, before = batch["counts"].get("failed", 0) / batch["n"], levels.usual(known)
    sessions = sum(one.startswith("failed in ") for one in batch["counts"])
    odd = before is not None and now >= before + FAILING and sessions >= SESSIONS
    if odd and known.get("odd", 0) >= IN_A_ROW - 1:
        time, id = batch["last"]
        yield Verdict(
            f"{100 * now:.0f} % of the calls of one tool failed,"
            f" where {100 * (before or 0.0):.0f} % is usual",
            {"tool": name, "sessions": sessions, "failed_share": round(now, 3)},
            parts=("failing",),
            decisive=(id, time),
        )
    levels.learn(known, now, odd)


def _resized(name: str, state: State, batch: Batch) -> Iterable[Verdict]:
    known, counts = state["known"].setdefault("size", {}), batch["counts"]
    now, before = counts["size"] / counts["sized"] / SCALE, levels.usual(known)
    sessions = sum(one.startswith("fine in ") for one in counts)
    odd = before is not None and abs(now - before) >= OTHER_SIZE and sessions >= SESSIONS
    if before is not None and odd and known.get("odd", 0) >= IN_A_ROW - 1:
        time, id = batch["last"]
        yield Verdict(
            f"results of one tool are {exp(now - before):.2f} times as large as usual",
            {"tool": name, "sessions": sessions, "times_usual": round(exp(now - before), 2)},
            parts=("size",),
            decisive=(id, time),
        )
    levels.learn(known, now, odd)
