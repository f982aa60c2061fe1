"""Which sessions came along a way, as far as is known at an event's time."""

from typing import Any

from detectors.long_memory import LongMemory
from detectors.memory import Memory
from detectors.settled import SETTLED_MS

TAKERS = 48  # sessions counted for one way, the first ones


class Ways(LongMemory):
    """A `LongMemory` with a third one beside it, for calls by their exact arguments.

    Most arguments never come again. In one memory they would push out the habits of tools.

    Args:
        horizon_ms: for what is put into this memory itself.
        limit: entries per generation, of it and of `long`.
        long_ms: for what is put into `long` and `calls`.
        calls: entries per generation of `calls`; its overflows count as this memory's.

    >>> ways = Ways(3_600_000, 10, 7_200_000, 10)
    >>> ways.tick(0); ways.visit("to the bank", 1, 0); ways.visit(77, 1, 0)
    >>> [ways.visited(name, 2, 600_000) for name in ("to the bank", 77, 78)]
    [1, 1, 0]
    >>> ways.visited(77, 1, 600_000), ways.visited(77, 2, 1000)  # itself; not settled
    (0, 0)
    """

    __slots__ = ("calls",)

    def __init__(self, horizon_ms: int, limit: int, long_ms: int, calls: int) -> None:
        super().__init__(horizon_ms, limit, long_ms)
        self.calls = Memory(long_ms, calls)

    def tick(self, now_ms: int) -> None:
        """Lets event time reach `now_ms`; call it before every get or put."""
        super().tick(now_ms)
        self.calls.tick(now_ms)

    def visit(self, name: str | int, session: int, time_ms: int) -> None:
        """Counts a session among the first that came along a way (a text), or made a call."""
        if isinstance(name, str):
            _visit(self.long, name, session, time_ms)
            return
        before = self.calls.overflows
        _visit(self.calls, name, session, time_ms)
        self.overflows += self.calls.overflows - before

    def visited(self, name: str | int, session: int, time_ms: int) -> int:
        """How many other sessions, of the first `TAKERS`, did so before an event of this time."""
        memory = self.long if isinstance(name, str) else self.calls
        _, takers = memory.get(name) or (0, {})
        until = time_ms - SETTLED_MS
        return sum(1 for who, at in takers.items() if who != session and at < until)

    def state(self) -> dict[str, Any]:
        """Everything they hold, as plain values."""
        return {**super().state(), "calls": self.calls.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        super().load(state)
        self.calls.load(state["calls"])


def _visit(memory: Memory, name: str | int, session: int, time_ms: int) -> None:
    """Of one way: the newest of its first sessions, and each one's earliest time."""
    known = memory.get(name)
    if known is None:
        memory.put(name, [time_ms, {session: time_ms}])
        return
    memory.keep(name, known)
    newest, takers = known
    if len(takers) >= TAKERS and time_ms >= newest:
        return
    takers[session] = min(time_ms, takers.get(session, time_ms))
    if len(takers) > TAKERS:
        del takers[max(takers, key=lambda who: (takers[who], who))]
    known[0] = time_ms if time_ms > newest else max(takers.values())
