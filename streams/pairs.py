"""What each key met before, and how often a window saw the same value; a block at a time."""

from typing import Any

import numpy as np
import numpy.typing as npt

from streams import probes
from streams.table import Names, Table

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

NEVER = np.int32(probes.NEVER)


def pair(keys: Names, values: Names, kind: int) -> Names:
    """One 64-bit name for each (key, value) of a kind. Never 0."""
    mixed = np.empty(len(keys), np.uint64)
    probes.mix(keys, values, np.uint64(kind), mixed)
    return mixed


class Pairs:
    """(key, value) pairs, with the window each was first met in.

    A value is *new* in the window it is first met in and in the one after; in each window it is
    *fresh* once.

    Args:
        limit: pairs; beyond it those not met for longest are forgotten and `forgotten` counts them.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.forgotten = 0
        self._table = Table({"first": ((), np.int32, 0), "met": ((2,), np.int32, NEVER)})

    def __len__(self) -> int:
        return self._table.count

    def visit(self, names: Names, windows: Ints) -> tuple[Flags, Flags]:
        """Notes that these pairs were met in these windows.

        All windows of one pair in a call lie within two neighbouring ones.

        Returns:
            For each: is the pair new; is this its first event in its window.
        """
        new, fresh = np.empty(len(names), np.bool_), np.empty(len(names), np.bool_)
        table, done = self._table, 0
        while done < len(names):
            room = min(table.room, self.limit - table.count)
            columns = (table.names, table.bits, table["first"], table["met"])
            done, added = probes.meet(*columns, (names, windows), done, room, (new, fresh))
            table.count += added
            if done < len(names):
                self._make_room()
        return new, fresh

    def _make_room(self) -> None:
        """For one more pair: a bigger table, or at the limit a quarter is dropped, oldest first."""
        used = np.flatnonzero(self._table.names)
        gone = 0
        if len(used) >= self.limit:
            gone = max(1, len(used) // 4)
            met = self._table["met"][used].max(1)
            used = used[np.lexsort((self._table.names[used], met))[gone:]]
        self.forgotten += gone
        self._table.keep(used, len(used) + 1)

    def state(self) -> dict[str, Any]:
        """Everything it holds, as plain values."""
        return {"table": self._table.state(), "forgotten": self.forgotten}

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        self._table.load(state["table"])
        self.forgotten = state["forgotten"]


class Tally:
    """How often each window saw the same value.

    Args:
        limit: (window, value) pairs; beyond it those of the oldest windows are forgotten.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.forgotten = 0
        self._table = Table({"count": ((), np.int32, 0), "end": ((), np.int64, 0)})

    def visit(self, names: Names, ends: Ints, clock_ms: int) -> Ints:
        """Counts these values.

        Args:
            names: of window and value.
            ends: when each window closes; what closed before `clock_ms` may be dropped.
        Returns:
            For each: how often it came before.
        """
        before = np.empty(len(names), np.int64)
        table, done = self._table, 0
        while done < len(names):
            columns = (table.names, table.bits, table["count"], table["end"])
            done, added = probes.count(*columns, (names, ends), done, table.room, before)
            table.count += added
            if done < len(names):
                self.forgotten += table.make_room(1, "end", clock_ms, self.limit)
        return before

    def state(self) -> dict[str, Any]:
        """Everything it holds, as plain values."""
        return {"table": self._table.state(), "forgotten": self.forgotten}

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        self._table.load(state["table"])
        self.forgotten = state["forgotten"]
