"""What each key met before, and how often a window saw the same value; a block at a time."""

from typing import Any

import numpy as np
import numpy.typing as npt

from streams.table import Names, Table

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_MIX_A = np.uint64(0x9E3779B97F4A7C15)
_MIX_B = np.uint64(0xBF58476D1CE4E5B9)
_SHIFT = np.uint64(29)
NEVER = np.int32(-(2**31))


def pair(keys: Names, values: Names, kind: int) -> Names:
    """One 64-bit name for each (key, value) of a kind. Never 0."""
    mixed = (keys * _MIX_A + np.uint64(kind * int(_MIX_B) % 2**64)) ^ values
    mixed = (mixed ^ (mixed >> _SHIFT)) * _MIX_B
    return np.asarray((mixed ^ (mixed >> _SHIFT)) | np.uint64(1))


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
        slots, here = self._table.find(names)
        if not here.all():
            missing = np.flatnonzero(~here)
            added, at, which = np.unique(names[missing], return_index=True, return_inverse=True)
            wanted = self._table.count + len(added)
            stays = self._table.has_room(len(added)) and wanted <= self.limit
            places = self._add(added, windows[missing[at]])
            slots[missing] = places[which]
            if not stays:
                slots, _ = self._table.find(names)
        first, met = self._table["first"], self._table["met"]
        earlier = first[slots] > windows
        if earlier.any():
            np.minimum.at(first, slots[earlier], windows[earlier].astype(np.int32))
        new = first[slots] >= windows - 1
        parity = windows & 1
        fresh = np.zeros(len(names), np.bool_)
        stale = np.flatnonzero(met[slots, parity] != windows)
        if len(stale):
            _, at = np.unique(slots[stale] * 2 + parity[stale], return_index=True)
            chosen = stale[at]
            fresh[chosen] = True
            met[slots[chosen], parity[chosen]] = windows[chosen]
        return new, fresh

    def _add(self, names: Names, windows: Ints) -> Ints:
        if self._table.count + len(names) > self.limit:
            self._forget(len(names))
        never = np.full((len(names), 2), NEVER, np.int32)
        return self._table.add(names, first=windows.astype(np.int32), met=never)

    def _forget(self, wanted: int) -> None:
        """Drops what was not met for longest: a quarter, or more where more room is wanted."""
        used = np.flatnonzero(self._table.names)
        order = np.lexsort((self._table.names[used], self._table["met"][used].max(1)))
        gone = min(len(used), max(len(used) // 4, len(used) + wanted - self.limit))
        self.forgotten += gone
        self._table.keep(used[order[gone:]])

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
        slots, here = self._table.find(names)
        ordered = np.sort(names)
        if not here.any() and not (ordered[1:] == ordered[:-1]).any():
            self._make_room(len(names), clock_ms)
            self._table.add(names, count=np.ones(len(names), np.int32), end=ends)
            return np.zeros(len(names), np.int64)
        distinct, first, which, counts = np.unique(
            names, return_index=True, return_inverse=True, return_counts=True
        )
        slots, here = self._table.find(distinct)
        if not here.all():
            missing = np.flatnonzero(~here)
            stays = self._table.has_room(len(missing))
            self._make_room(len(missing), clock_ms)
            added, none = distinct[missing], np.zeros(len(missing), np.int32)
            slots[missing] = self._table.add(added, count=none, end=ends[first[missing]])
            if not stays:
                slots, _ = self._table.find(distinct)
        tallied = self._table["count"]
        before = tallied[slots].astype(np.int64)
        tallied[slots] += counts.astype(np.int32)
        if len(distinct) == len(names):
            return before[which]
        order = np.argsort(which, kind="stable")
        rank = np.empty(len(names), np.int64)
        rank[order] = np.arange(len(names)) - np.repeat(np.cumsum(counts) - counts, counts)
        return before[which] + rank

    def _make_room(self, wanted: int, clock_ms: int) -> None:
        self.forgotten += self._table.make_room(wanted, "end", clock_ms, self.limit)

    def state(self) -> dict[str, Any]:
        """Everything it holds, as plain values."""
        return {"table": self._table.state(), "forgotten": self.forgotten}

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        self._table.load(state["table"])
        self.forgotten = state["forgotten"]
