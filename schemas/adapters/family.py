"""Shows who called whom among the spans of one body, as far as the body tells."""

from collections import defaultdict
from collections.abc import Callable, Iterable

from schemas.adapters.signal import SERVER, Signal

MAX_CLIMB = 64  # ancestors of a span


class Family:
    """The spans of one body as trees: who called whom, within one process."""

    def __init__(self, signals: Iterable[Signal]) -> None:
        self._signals = [signal for signal in signals if signal.kind == "span"]
        self._spans = {(s.trace_id, s.span_id): s for s in self._signals}

    def ancestors(self, signal: Signal) -> list[Signal]:
        """The span's callers in this body, nearest first."""
        found: list[Signal] = []
        while len(found) < MAX_CLIMB:
            above = self._spans.get((signal.trace_id, signal.parent_id))
            if above is None or above is signal or above in found:
                break
            found.append(above)
            signal = above
        return found

    def one_request(self, a: Signal, b: Signal) -> bool:
        """Whether one span is above the other, or both are below one served request."""
        above_a, above_b = self.ancestors(a), self.ancestors(b)
        if a in above_b or b in above_a:
            return True
        tops = (above_a or [a])[-1], (above_b or [b])[-1]
        return tops[0] is tops[1] and tops[0].role == SERVER

    def root(self, signal: Signal) -> str:
        """A name for the request that the span belongs to."""
        above = self.ancestors(signal)
        top = above[-1] if above else signal
        return f"{top.trace_id}:{top.span_id}"

    def by_root(self, wanted: Callable[[Signal], bool]) -> dict[str, list[Signal]]:
        """The wanted spans, by request."""
        found: dict[str, list[Signal]] = defaultdict(list)
        for signal in self._signals:
            if wanted(signal):
                found[self.root(signal)].append(signal)
        return found
