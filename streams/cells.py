"""The open windows of one spec, as columns; the place of a closed one is used again."""

from typing import Any

import numpy as np
import numpy.typing as npt

from streams.cell_loops import FREE, NEVER, NO_LIMIT

Ints = npt.NDArray[np.int64]
FAR_MS = 2**62  # end of a window that is not open


class Cells:
    """Columns with one row per open window.

    Args:
        features, channels: how many of each a window has.
    """

    def __init__(self, features: int, channels: int) -> None:
        self._columns: dict[str, tuple[tuple[int, ...], Any, Any]] = {
            "key": ((), FREE, np.int32),
            "window": ((), NEVER, np.int32),
            "end_ms": ((), FAR_MS, np.int64),
            "first_ms": ((), 0, np.int64),  # event time of the first event to arrive
            "tenant": ((), 0, np.uint64),  # fingerprint; 0: not known
            "total": ((features,), 0, np.int64),
            "limit": ((channels,), NO_LIMIT, np.int64),  # by habit and by what was told already
        }
        self._base: dict[int, Ints] = {}  # limits by habit alone, where these are others
        self._size = 0
        self._free: list[int] = []
        self._allocate(256)

    key: npt.NDArray[np.int32]
    window: npt.NDArray[np.int32]
    end_ms: Ints
    first_ms: Ints
    tenant: npt.NDArray[np.uint64]
    total: Ints
    limit: Ints

    def _allocate(self, size: int) -> None:
        for name, (shape, fill, dtype) in self._columns.items():
            column = np.full((size, *shape), fill, dtype)
            if self._size:
                column[: self._size] = getattr(self, name)
            setattr(self, name, column)
        self._free.extend(range(size - 1, self._size - 1, -1))
        self._size = size

    def take(self, count: int) -> Ints:
        """Rows for new windows; their totals are 0."""
        while len(self._free) < count:
            self._allocate(self._size + self._size // 4)
        if not count:
            return np.zeros(0, np.int64)
        cells = np.array(self._free[-count:], np.int64)
        del self._free[-count:]
        self.total[cells] = 0
        self.tenant[cells] = 0
        return cells

    def give_back(self, cells: Ints) -> None:
        """Ends windows."""
        self.key[cells] = FREE
        self.end_ms[cells] = FAR_MS
        self._free.extend(cells.tolist())
        if self._base:
            for cell in cells.tolist():
                self._base.pop(cell, None)

    def base(self, cell: int) -> Ints:
        """The limits of a window by its key's habit alone."""
        known = self._base.get(cell)
        return self.limit[cell] if known is None else known

    def set_limit(self, cell: int, channels: Any, limit: Any) -> None:
        """Moves limits of a window away from those of the habit."""
        if cell not in self._base:
            self._base[cell] = self.limit[cell].copy()
        self.limit[cell, channels] = limit

    def __len__(self) -> int:
        return self._size - len(self._free)

    def ordered(self) -> Ints:
        """The open windows in an order that does not depend on how blocks were cut."""
        cells = np.flatnonzero(self.key != FREE)
        return cells[np.lexsort((self.window[cells], self.key[cells]))]

    def state(self, cells: Ints) -> dict[str, Any]:
        """These rows, as plain values."""
        rows = {name: getattr(self, name)[cells] for name in self._columns}
        base = [
            [at, self._base[cell].tolist()]
            for at, cell in enumerate(cells.tolist())
            if cell in self._base
        ]
        return {**rows, "base": base}

    def load(self, state: dict[str, Any]) -> Ints:
        """Puts back what `state` gave; returns the rows, in the same order."""
        cells = self.take(len(state["key"]))
        for name in self._columns:
            getattr(self, name)[cells] = state[name]
        for at, limits in state["base"]:
            self._base[int(cells[at])] = np.array(limits, np.int64)
        return cells
