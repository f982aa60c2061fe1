"""Which values each key has met, and when first: a hash table of (key, value) pairs in columns.

Answers for a whole block at once "is this model, address or client new to this key?". A value is
*new* in the window it is first met in and in the one after; in each window it is *fresh* once.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]

_MIX_A = np.uint64(0x9E3779B97F4A7C15)
_MIX_B = np.uint64(0xBF58476D1CE4E5B9)
_SHIFT = np.uint64(29)
_EMPTY = np.uint64(0)
NEVER = np.int32(-(2**31))


def pair(keys: Hashes, values: Hashes, kind: int) -> Hashes:
    """One 64-bit name for each (key, value) of a kind. Never 0."""
    mixed = (keys + np.uint64(kind)) * _MIX_A ^ values
    mixed = (mixed ^ (mixed >> _SHIFT)) * _MIX_B
    return np.asarray((mixed ^ (mixed >> _SHIFT)) | np.uint64(1))


class Pairs:
    """Pairs with the window each was first met in.

    Args:
        limit: pairs; beyond it those met longest ago are forgotten and `forgotten` counts them.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.forgotten = 0
        self._allocate(1024)

    def _allocate(self, capacity: int) -> None:
        self._bits = np.uint64(64 - (capacity.bit_length() - 1))
        self._mask = capacity - 1
        self.names: Hashes = np.zeros(capacity, np.uint64)
        self.first = np.zeros(capacity, np.int32)
        self.met = np.full((capacity, 2), NEVER, np.int32)  # newest even and odd window
        self.count = 0

    def _slots(self, names: Hashes) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """Where each name is, or the empty slot where it would go; and whether it is there."""
        slot = ((names * _MIX_A) >> self._bits).astype(np.int64)
        found = self.names[slot]
        here = found == names
        searching = np.flatnonzero(~here & (found != _EMPTY))
        while len(searching):
            slot[searching] = (slot[searching] + 1) & self._mask
            found = self.names[slot[searching]]
            same = found == names[searching]
            here[searching[same]] = True
            searching = searching[~same & (found != _EMPTY)]
        return slot, here

    def visit(self, names: Hashes, windows: Ints) -> tuple[Any, Any]:
        """Notes that these pairs were met in these windows.

        All windows of one pair in a call lie within two neighbouring ones.

        Returns:
            For each: is the pair new; is this its first event in its window in this block and ever.
        """
        slot, here = self._slots(names)
        if not here.all():
            self._add(names[~here], windows[~here])
            slot, _ = self._slots(names)
        np.minimum.at(self.first, slot, windows.astype(np.int32))
        new = self.first[slot] >= windows - 1
        parity = windows & 1
        fresh = np.zeros(len(names), np.bool_)
        stale = np.flatnonzero(self.met[slot, parity] != windows)
        if len(stale):
            _, first = np.unique(slot[stale] * 2 + parity[stale], return_index=True)
            at = stale[first]
            fresh[at] = True
            self.met[slot[at], parity[at]] = windows[at]
        return new, fresh

    def _add(self, names: Hashes, windows: Ints) -> None:
        names, at = np.unique(names, return_index=True)
        windows = windows[at]
        if self.count + len(names) > self.limit:
            self._forget()
        if (self.count + len(names)) * 4 > len(self.names) * 3:
            self._rebuild(np.flatnonzero(self.names), 2 * (self.count + len(names)))
        self._insert(names, windows.astype(np.int32), np.full((len(names), 2), NEVER, np.int32))

    def _insert(self, names: Hashes, first: Any, met: Any) -> None:
        left = np.arange(len(names))
        while len(left):  # several names may want one empty slot: one of them wins a round
            slot, _ = self._slots(names[left])
            _, at = np.unique(slot, return_index=True)
            winners = left[at]
            self.names[slot[at]] = names[winners]
            self.first[slot[at]] = first[winners]
            self.met[slot[at]] = met[winners]
            left = np.delete(left, at)
        self.count += len(names)

    def _rebuild(self, kept: Ints, room: int) -> None:
        names, first, met = self.names[kept], self.first[kept], self.met[kept]
        self._allocate(1 << max(10, int(room * 4 / 3).bit_length()))
        self._insert(names, first, met)

    def _forget(self) -> None:
        """Drops the quarter that was met longest ago."""
        used = np.flatnonzero(self.names)
        order = np.lexsort((self.names[used], self.met[used].max(1)))
        kept = used[order[len(used) // 4 :]]
        self.forgotten += len(used) - len(kept)
        self._rebuild(kept, len(kept))

    def state(self) -> dict[str, Any]:
        """Everything it holds, in an order of its own (not of insertion)."""
        used = np.flatnonzero(self.names)
        used = used[np.argsort(self.names[used])]
        return {
            "names": self.names[used],
            "first": self.first[used],
            "met": self.met[used],
            "forgotten": self.forgotten,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        self._allocate(1 << max(10, (2 * len(state["names"])).bit_length()))
        self._insert(state["names"], state["first"], state["met"])
        self.forgotten = state["forgotten"]
