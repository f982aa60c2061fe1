"""A hash table in columns: 64-bit names to rows of numbers, looked up for a whole block at once."""

from typing import Any

import numpy as np
import numpy.typing as npt

Names = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]

WIDTH = 8  # places in a bucket: one cache line of names
LEAST = 128  # buckets
FULL = 0.75  # share of places taken at which the table grows
SLACK = 1.4  # room for more than there is now, or it would grow again at once
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_EMPTY = np.uint64(0)


class Table:
    """Buckets of eight places; a name that finds its bucket full goes to the next. No name is 0.

    Args:
        columns: what is kept for each name: column -> (shape of one entry, type, first value).
    """

    def __init__(self, columns: dict[str, tuple[tuple[int, ...], Any, Any]]) -> None:
        self._kinds = columns
        self._allocate(LEAST)

    def _allocate(self, buckets: int) -> None:
        self._bits = np.uint64(64 - (buckets.bit_length() - 1))
        self._mask = buckets - 1
        self._buckets: Names = np.zeros((buckets, WIDTH), np.uint64)
        self.names = self._buckets.reshape(-1)
        self.columns = {
            name: np.full((buckets * WIDTH, *shape), fill, dtype)
            for name, (shape, dtype, fill) in self._kinds.items()
        }
        self.count = 0

    def __getitem__(self, column: str) -> npt.NDArray[Any]:
        return self.columns[column]

    def find(self, names: Names) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """The slot of each name and whether it is there; elsewhere the slot means nothing."""
        buckets = ((names * _SPREAD) >> self._bits).astype(np.int64)
        rows = self._buckets[buckets]
        same = rows == names[:, None]
        place = same.argmax(1)
        slots = buckets * WIDTH + place
        here = self.names[slots] == names
        if not here.all():
            searching = np.flatnonzero(~here & (rows[:, -1] != _EMPTY))
            while len(searching):  # its bucket is full: it may be in the next
                buckets[searching] = at = (buckets[searching] + 1) & self._mask
                rows, wanted = self._buckets[at], names[searching]
                slots[searching] = at * WIDTH + (rows == wanted[:, None]).argmax(1)
                found = self.names[slots[searching]] == wanted
                here[searching] = found
                searching = searching[~found & (rows[:, -1] != _EMPTY)]
        return slots, here

    def has_room(self, more: int) -> bool:
        """Whether this many names can be added without moving those that are there."""
        return self.count + more <= FULL * len(self.names)

    def make_room(self, wanted: int, until: str, clock_ms: int, limit: int) -> int:
        """When the table is full, drops what nobody needs any more, and beyond a limit the oldest.

        Args:
            wanted: how many names will be added.
            until: column of the clock until which an entry is needed.
            limit: entries at most; beyond it the quarter needed for the shortest time goes early.
        Returns:
            How many were dropped although they were still needed.
        """
        if self.has_room(wanted):
            return 0
        used = np.flatnonzero(self.names)
        kept = used[self[until][used] >= clock_ms]
        gone = len(kept) // 4 if len(kept) + wanted > limit else 0
        if gone:
            kept = kept[np.lexsort((self.names[kept], self[until][kept]))[gone:]]
        self.keep(kept, len(kept) + wanted)
        return gone

    def add(self, names: Names, **values: Any) -> Ints:
        """Adds names that are all different and not there yet; gives their slots."""
        if not self.has_room(len(names)):
            self.keep(np.flatnonzero(self.names), self.count + len(names))
        return self._insert(names, values)

    def _insert(self, names: Names, values: dict[str, Any]) -> Ints:
        slots = np.empty(len(names), np.int64)
        buckets = ((names * _SPREAD) >> self._bits).astype(np.int64)
        left = np.arange(len(names))
        while len(left):  # several names may want one place: one of them wins a round
            at = buckets[left]
            taken = (self._buckets[at] != _EMPTY).sum(1)
            full = taken == WIDTH
            if full.any():
                buckets[left[full]] = (at[full] + 1) & self._mask
                left = np.concatenate([left[~full], left[full]])
                at, taken = buckets[left], (self._buckets[buckets[left]] != _EMPTY).sum(1)
            open_ = taken < WIDTH
            tried = left[open_]
            places = at[open_] * WIDTH + taken[open_]
            self.names[places] = names[tried]
            won = self.names[places] == names[tried]
            slots[tried[won]] = places[won]
            left = np.concatenate([tried[~won], left[~open_]])
        for column, value in values.items():
            self.columns[column][slots] = value
        self.count += len(names)
        return slots

    def keep(self, slots: Ints, room: int = 0) -> None:
        """Drops everything but these slots, and makes room for so many names in all."""
        names = self.names[slots]
        values = {column: array[slots] for column, array in self.columns.items()}
        self._allocate(_buckets_for(max(room, len(slots))))
        self._insert(names, values)

    def state(self) -> dict[str, Any]:
        """Everything it holds, ordered by name."""
        used = np.flatnonzero(self.names)
        used = used[np.argsort(self.names[used])]
        return {
            "names": self.names[used],
            **{column: array[used] for column, array in self.columns.items()},
        }

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        self._allocate(_buckets_for(len(state["names"])))
        self._insert(state["names"], {column: state[column] for column in self._kinds})


def _buckets_for(names: int) -> int:
    return 1 << max(LEAST.bit_length() - 1, int(SLACK * names / FULL / WIDTH).bit_length())
