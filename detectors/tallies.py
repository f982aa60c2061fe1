"""Adds up what events say, entity by entity, and hands it out in batches that show no order.

A detector of slow changes compares a batch of events with the batches before it. Counts are added
to the minute an event falls into; a minute is handed on once nothing older can arrive any more, and
minutes make a batch when together they hold enough. So a batch is the same however its events
arrived, and nothing is kept per event.
"""

from typing import Any

from detectors.memory import Memory
from detectors.settled import SETTLED_MS

MINUTE_MS = 60_000
MAX_COUNTS = 128  # different things counted in one minute or batch; further ones are left out

Batch = dict[str, Any]
State = dict[str, Any]


class Tallies:
    """Running counts of many entities.

    Args:
        batch: events that make a batch.
        horizon_ms: an entity that is silent for this long begins anew.
        limit: entities remembered per generation.

    >>> tallies = Tallies(batch=2, horizon_ms=86_400_000, limit=10)
    >>> _ = [tallies.add("gpt", minute * 60_000, f"e{minute}", {"calls": 1}) for minute in range(3)]
    >>> state, [batch] = tallies.add("gpt", 600_000, "e10", {"calls": 1})
    >>> batch["n"], batch["counts"], batch["last"]
    (2, {'calls': 2}, [60000, 'e1'])
    """

    def __init__(self, batch: int, horizon_ms: int, limit: int) -> None:
        self.batch = batch
        self.horizon_ms = horizon_ms
        self.memory = Memory(horizon_ms + 2 * SETTLED_MS, limit)

    def add(
        self, name: str, time_ms: int, id: str, counts: dict[str, int]
    ) -> tuple[State, list[Batch]]:
        """Counts one event; gives the entity's state and the batches that became complete.

        The state is the caller's to write in (`state["known"]`); it is kept with the entity.
        """
        state: State | None = self.memory.get(name)
        if state is None or time_ms - state["newest"] > self.horizon_ms:
            state = {"open": {}, "batch": _empty(), "newest": time_ms, "known": {}}
            self.memory.put(name, state)
        minutes: dict[str, Batch] = state["open"]
        minute = str(time_ms // MINUTE_MS)
        if time_ms > state["newest"]:
            state["newest"] = time_ms
        self.memory.keep(name, state)
        held = minutes.get(minute)
        if held is not None:
            _count(held, 1, counts, [time_ms, id])
            return state, []
        _count(minutes.setdefault(minute, _empty()), 1, counts, [time_ms, id])
        return state, self._ripe(state)

    def _ripe(self, state: State) -> list[Batch]:
        """Moves minutes that are over into the batch, in their order."""
        minutes = state["open"]
        over = (state["newest"] - SETTLED_MS) // MINUTE_MS
        done = []
        for minute in sorted(int(name) for name in minutes if int(name) < over):
            held = minutes.pop(str(minute))
            batch = state["batch"]
            _count(batch, held["n"], held["counts"], held["last"])
            if batch["n"] >= self.batch:
                done.append(batch)
                state["batch"] = _empty()
        return done


def _empty() -> Batch:
    return {"n": 0, "counts": {}, "last": [0, ""]}


def _count(batch: Batch, n: int, counts: dict[str, int], last: list[Any]) -> None:
    batch["n"] += n
    if last > batch["last"]:
        batch["last"] = last
    known = batch["counts"]
    for name, count in counts.items():
        if name in known:
            known[name] += count
        elif len(known) < MAX_COUNTS:
            known[name] = count
