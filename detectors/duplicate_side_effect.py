"""The tool call that charges a customer three times."""

from collections.abc import Iterable
from typing import Any

from detectors.base import Detector, Verdict, atlas, owasp
from detectors.memory import Memory
from schemas.decode import Record
from schemas.finding import About, Severity

SPAN_MS = 600_000  # two identical successes closer than this are one intention
MAX_CALLS = 200_000  # different calls remembered per generation
MAX_SUCCESSES = 32  # of one call


class DuplicateSideEffect(Detector):
    """Flags an identical call with a side effect that succeeds again after it had succeeded.

    A retry after a failure is honest, and so is one that carries the same idempotency key: the
    tool does not act twice. Two successes without that are two charges, whichever was seen first.

    Source: of 18 repeated side-effect calls in 182 real agent sessions 16 followed an error and
    were legitimate; one of the other two was a real double booking.
    Blind spot: arguments that differ in a timestamp or a nonce; repeats after ten minutes.

    >>> from schemas.testing import record
    >>> detector, call = DuplicateSideEffect(), dict(kind="agent.tool_call", tool="charge",
    ...     args="hmac:1", side_effect=True, tenant="acme", session="s", status="ok")
    >>> list(detector.inspect(record(id="a", **call), 1000))
    []
    >>> [v.decisive for v in detector.inspect(record(id="b", **call), 5000)]
    [('b', 5000)]
    """

    about = About(
        id="duplicate-side-effect",
        title="A tool acted twice on one intention",
        family="retry-storm",
        severity=Severity.HIGH,
        techniques=(
            atlas("AML.T0101", "Data Destruction via AI Agent Tool Invocation"),
            owasp("LLM06", "Excessive Agency"),
        ),
        runbook=(
            "Check with the tool's owner whether it acted twice; undo the second one.",
            "Make the agent send an idempotency key with calls that act.",
            "See why the agent repeated it: a slow answer or a timeout is the usual cause.",
        ),
        blind_spot="arguments that differ in a timestamp or a nonce; repeats after ten minutes",
        needs=("tool.args.hash", "tool.side_effect", "status", "idempotency_key.id"),
    )
    takes = "acting_call"
    lane = "session"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._memory = Memory(2 * SPAN_MS, MAX_CALLS)  # one may come late

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        return event.conversation_id or event.session_id or event.api_key_id

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        scope = self.entity(event)
        if not event.tool_side_effect or event.status != "ok" or event.tool_args_hash is None:
            return
        call = f"{event.tenant_id}\0{scope}\0{event.tool_name}\0{event.tool_args_hash}"
        mine = [time_ms, event.event_id, event.idempotency_key_id]
        seen = self._memory.get(call) or []
        near = [one for one in seen if abs(one[0] - time_ms) <= SPAN_MS and _acted_twice(one, mine)]
        if near:  # an event that comes late may turn out to be the first of two
            nearest = min(near, key=lambda one: (abs(one[0] - time_ms), _order(one)))
            first, again = sorted((nearest, mine), key=_order)
            yield self._verdict(event, first, again)
        self._memory.put(call, sorted([*seen, mine], key=_order)[-MAX_SUCCESSES:])

    @staticmethod
    def _verdict(event: Record, first: list[object], again: list[object]) -> Verdict:
        apart = (int(str(again[0])) - int(str(first[0]))) / 1000
        return Verdict(
            f"a tool with side effects succeeded again {apart:.0f} s after the same call succeeded",
            {"tool": event.tool_name, "seconds_apart": apart, "idempotency_key": bool(again[2])},
            parts=(event.tenant_id or "", str(event.tool_name), str(event.tool_args_hash)),
            decisive=(str(again[1]), int(str(again[0]))),
            others=((str(first[1]), int(str(first[0]))),),
        )


def _order(one: list[Any]) -> tuple[int, str, str]:
    """By time; two events may share an id and differ in their key."""
    return one[0], one[1], one[2] or ""


def _acted_twice(one: list[object], other: list[object]) -> bool:
    """Whether the tool was made to act twice: not if both carry one idempotency key."""
    return one[2] is None or one[2] != other[2]
