"""A bounded memory of what keys did before, forgotten by event time.

Two generations of a dictionary: an entry lives for at least one `horizon` after it was last put,
and for at most two. Nothing is timed per entry, so remembering costs one dictionary write.
"""

from typing import Any


class Memory:
    """Remembers one value per key for a stated time, within a stated size.

    Args:
        horizon_ms: event time for which an entry is certain to be kept.
        limit: entries per generation; beyond it the older generation is dropped early and
            `overflows` counts it.

    >>> memory = Memory(horizon_ms=1000, limit=10)
    >>> memory.tick(0); memory.put("a", 1)
    >>> memory.tick(1500); memory.get("a")
    1
    >>> memory.tick(2500); memory.get("a") is None
    True
    """

    __slots__ = ("_old", "_period", "_young", "horizon_ms", "limit", "overflows")

    def __init__(self, horizon_ms: int, limit: int) -> None:
        self.horizon_ms = horizon_ms
        self.limit = limit
        self.overflows = 0
        self._young = self._empty()
        self._old = self._empty()
        self._period: int | None = None

    @staticmethod
    def _empty() -> dict[str | int, Any]:
        """A generation of which nothing is known."""
        return {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def tick(self, now_ms: int) -> None:
        """Lets event time reach `now_ms`; call it before every get or put."""
        period = now_ms // self.horizon_ms
        if period != self._period:
            if self._period is not None:
                adjacent = period == self._period + 1
                self._old = self._young if adjacent else self._empty()
                self._young = self._empty()
            self._period = period

    def get(self, key: str | int) -> Any:
        """The value put for `key`, or None."""
        value = self._young.get(key)
        return self._old.get(key) if value is None else value

    def put(self, key: str | int, value: Any) -> None:
        """Remembers `value` (any JSON value but None) for `key`."""
        if len(self._young) >= self.limit and key not in self._young:
            self.overflows += 1
            self._old, self._young = self._young, self._empty()
        self._young[key] = value

    def keep(self, key: str | int, value: Any) -> None:
        """Remembers for longer what `get` gave for `key`."""
        if key not in self._young:
            self.put(key, value)

    def state(self) -> dict[str, Any]:
        """Everything it holds, as plain values."""
        return {
            "young": self._young,
            "old": self._old,
            "period": self._period,
            "overflows": self.overflows,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        self._young, self._old = dict(state["young"]), dict(state["old"])
        self._period, self.overflows = state["period"], state["overflows"]
