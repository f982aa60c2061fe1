"""A hash table in columns: 64-bit names to rows of numbers, looked up for a whole block at once."""

from typing import Any

import numpy as np
import numpy.typing as npt

from streams import probes

Names = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]

LEAST = 1024  # places
FULL = 0.75  # share of places taken at which the table grows
SLACK = 1.4  # room for more than there is now, or it would grow again at once


class Table:
    """Open addressing; a name that finds its place taken goes to the next. No name is 0.

    Args:
        columns: what is kept for each name: column -> (shape of one entry, type, first value).
    """

    def __init__(self, columns: dict[str, tuple[tuple[int, ...], Any, Any]]) -> None:
        self._kinds = columns
        self._allocate(LEAST)

    def _allocate(self, places: int) -> None:
        self.bits = np.uint64(64 - (places.bit_length() - 1))
        self.names: Names = np.zeros(places, np.uint64)
        self.columns = {
            name: np.full((places, *shape), fill, dtype)
            for name, (shape, dtype, fill) in self._kinds.items()
        }
        self.count = 0

    def __getitem__(self, column: str) -> npt.NDArray[Any]:
        return self.columns[column]

    def find(self, names: Names) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """The slot of each name and whether it is there; elsewhere the slot means nothing."""
        slots, here = np.empty(len(names), np.int64), np.empty(len(names), np.bool_)
        probes.find(self.names, self.bits, names, slots, here)
        return slots, here

    @property
    def room(self) -> int:
        """How many names can be added without moving those that are there."""
        return int(FULL * len(self.names)) - self.count

    def make_room(self, wanted: int, until: str, clock_ms: int, limit: int) -> int:
        """When the table is full, drops what nobody needs any more, and beyond a limit the oldest.

        Args:
            wanted: how many names will be added.
            until: column of the clock until which an entry is needed.
            limit: entries at most; beyond it the quarter needed for the shortest time goes early.
        Returns:
            How many were dropped although they were still needed.
        """
        if wanted <= self.room:
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
        if len(names) > self.room:
            self.keep(np.flatnonzero(self.names), self.count + len(names))
        return self._insert(names, values)

    def _insert(self, names: Names, values: dict[str, Any]) -> Ints:
        slots = np.empty(len(names), np.int64)
        probes.insert(self.names, self.bits, names, slots)
        for column, value in values.items():
            self.columns[column][slots] = value
        self.count += len(names)
        return slots

    def keep(self, slots: Ints, room: int = 0) -> None:
        """Drops everything but these slots, and makes room for so many names in all."""
        names = self.names[slots]
        values = {column: array[slots] for column, array in self.columns.items()}
        self._allocate(_places_for(max(room, len(slots))))
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
        self._allocate(_places_for(len(state["names"])))
        self._insert(state["names"], {column: state[column] for column in self._kinds})


def _places_for(names: int) -> int:
    return max(LEAST, 1 << int(SLACK * names / FULL).bit_length())
