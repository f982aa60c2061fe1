"""The same request, again and again."""

from collections.abc import Iterable

from detectors.base import Channel, Detector, Verdict, Window, atlas, owasp, usd
from detectors.memory import Memory
from schemas.decode import Record
from schemas.finding import About, Severity

SAME_PROMPT = 12  # answers to one prompt in five minutes; a check every minute has five
FAILING_CALLS = 4  # identical failing tool calls within `SPAN_MS`
SPAN_MS = 600_000
MAX_TIMES = 16  # of one call
MAX_CALLS = 200_000  # different calls remembered per generation


class RepeatedCall(Detector):
    """Flags one prompt answered over and over, and one tool call repeated without progress.

    Agents get stuck: the same call fails the same way, or the same question is asked every few
    seconds. Polling a status tool that answers is honest, and so is a health check every minute.

    Source: in 182 real agent sessions the same tool and arguments came four times in one, and that
    one was stuck; agent frameworks stop at 4 or 5 identical calls.
    Blind spot: loops whose arguments change each time (a timestamp, a page number), and tool calls
    that keep succeeding.

    >>> from detectors.testing import window
    >>> RepeatedCall().judge(window(repeats=39, calls=41)).summary
    'one prompt was answered 40 times within 5 minutes'
    """

    about = About(
        id="repeated-call",
        title="The same call is repeated without progress",
        family="retry-storm",
        severity=Severity.MEDIUM,
        techniques=(
            atlas("AML.T0034.002", "Cost Harvesting: Agentic Resource Consumption"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "Pause the agent or the job that repeats itself.",
            "Look at the answer it gets: an error it cannot read is the usual cause.",
            "Add a step limit, or make the error say what to do.",
        ),
        blind_spot="loops whose arguments or prompts change each time",
        needs=("content.input.hash", "tool.args.hash", "gen_ai.conversation.id"),
    )
    channels = (Channel("credential/5m", "repeats", above=SAME_PROMPT - 1),)
    takes = "failed_tool_call"
    lane = "session"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._memory = Memory(2 * SPAN_MS, MAX_CALLS)

    @property
    def memory(self) -> Memory:
        return self._memory

    def judge(self, window: Window) -> Verdict | None:
        times = window.totals["repeats"] + 1
        return Verdict(
            f"one prompt was answered {times} times within 5 minutes",
            {
                "same_prompt": times,
                "calls": window.totals["calls"],
                "usd": usd(window.totals["nanousd"]),
            },
        )

    def entity(self, event: Record) -> str | None:
        return event.conversation_id or event.session_id

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        session = self.entity(event)
        if session is None or event.tool_args_hash is None:
            return ()
        call = f"{event.tenant_id}\0{session}\0{event.tool_name}\0{event.tool_args_hash}"
        seen = [*(self._memory.get(call) or ()), [time_ms, event.event_id]]
        seen.sort()
        seen = [one for one in seen if one[0] > seen[-1][0] - 2 * SPAN_MS][-MAX_TIMES:]
        self._memory.put(call, seen)
        runs = (seen[at : at + FAILING_CALLS] for at in range(len(seen) - FAILING_CALLS + 1))
        recent = next((run for run in runs if run[-1][0] - run[0][0] < SPAN_MS), None)
        if recent is None:
            return ()
        return (
            Verdict(
                f"the same call of one tool failed {FAILING_CALLS} times within 10 minutes",
                {"tool": event.tool_name, "times": FAILING_CALLS},
                parts=(event.tenant_id or "", str(event.tool_name), event.tool_args_hash),
                decisive=(recent[-1][1], recent[-1][0]),
                others=tuple((id, at) for at, id in reversed(recent[:-1])),
            ),
        )
