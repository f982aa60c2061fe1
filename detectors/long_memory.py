"""Two memories in one: what is needed for an hour, and what is needed for weeks."""

from typing import Any

from detectors.memory import Memory


class LongMemory(Memory):
    """A `Memory` that has another, longer one beside it.

    Sessions come by the hundred thousand and are soon over; habits are few and have to last. In one
    memory the sessions would push the habits out.

    Args:
        horizon_ms: for what is put into this memory itself.
        limit: entries per generation, of each.
        long_ms: for what is put into `long`; a multiple of `horizon_ms`.

    >>> memory = LongMemory(1000, 10, 10_000)
    >>> memory.tick(0); memory.put("a", 1); memory.long.put("a", 2)
    >>> memory.tick(5000); memory.get("a"), memory.long.get("a")
    (None, 2)
    """

    __slots__ = ("long",)

    def __init__(self, horizon_ms: int, limit: int, long_ms: int) -> None:
        super().__init__(horizon_ms, limit)
        if long_ms % horizon_ms:
            raise ValueError("the longer horizon must be a multiple of the shorter one")
        self.long = Memory(long_ms, limit)

    def tick(self, now_ms: int) -> None:
        """Lets event time reach `now_ms`; call it before every get or put."""
        super().tick(now_ms)
        self.long.tick(now_ms)

    def state(self) -> dict[str, Any]:
        """Everything both hold, as plain values."""
        return {**super().state(), "long": self.long.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        super().load(state)
        self.long.load(state["long"])
