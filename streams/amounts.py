"""What each event adds to the features of its window."""

from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.features import Distinct, Feature, Repeats, Total, WindowSpec
from streams import cell_loops
from streams.cells import Cells
from streams.columns import ITEMS, Columns
from streams.keys import Keys
from streams.pairs import Tally, pair
from streams.part import Part

Ints = npt.NDArray[np.int64]
MAX_VALUES = 1024  # different values of one item that one window counts
MAX_TALLIES = 4_000_000  # (window, value) pairs whose repeats are counted


class Amounts:
    """Counts the features of one spec.

    Args:
        spec: the features.
        keys, cells: whose they are.
        lateness_ms: how long after its end a window may still get events.
    """

    def __init__(self, spec: WindowSpec, keys: Keys, cells: Cells, lateness_ms: int) -> None:
        self.spec = spec
        self.overflows = 0
        self._keys = keys
        self._cells = cells
        self._lateness_ms = lateness_ms
        self._values: dict[int, dict[str, dict[str, int]]] = {}  # cell -> feature -> values
        self._tallies = {
            feature.name: Tally(MAX_TALLIES)
            for feature in spec.features
            if isinstance(feature, Repeats)
        }

    def add(self, cells: Ints, part: Part, columns: Columns) -> list[Ints | None]:
        """Adds a part's events to the totals of their windows.

        Returns:
            For each feature what each event added, or None where none added anything.
        """
        amounts: list[Ints | None] = []
        for number, feature in enumerate(self.spec.features):
            amount = self._amount(number, feature, cells, part, columns)
            if amount is not None:
                cell_loops.grow(self._cells.total, cells, number, amount)
            amounts.append(amount)
        return amounts

    def _amount(
        self, number: int, feature: Feature, cells: Ints, part: Part, columns: Columns
    ) -> Ints | None:
        if not feature.where:
            mask = None
        elif not columns.any(feature.where):
            return None
        else:
            mask = part.of(columns[feature.where])
        if isinstance(feature, Total):
            amount: Ints = part.of(columns[feature.of])
            return amount if mask is None else amount * mask
        if isinstance(feature, Distinct):
            return self._distinct(feature, cells, part, mask, columns)
        return self._repeats(number, feature, cells, part, mask, columns)

    def _distinct(
        self, feature: Feature, cells: Ints, part: Part, mask: Any, columns: Columns
    ) -> Ints | None:
        """1 for each event that brings a value its window has not seen."""
        chosen = np.arange(len(cells)) if mask is None else np.flatnonzero(mask)
        found: list[int] = []
        for at, cell, row in zip(
            chosen.tolist(), cells[chosen].tolist(), part.rows[chosen].tolist(), strict=True
        ):
            value = columns.text(ITEMS[feature.of], row)
            seen = self._values.setdefault(cell, {}).setdefault(feature.name, {})
            if value is None or value in seen:
                continue
            if len(seen) >= MAX_VALUES:
                self.overflows += 1
                continue
            seen[value] = 1
            found.append(at)
        return _ones(found, len(cells))

    def _repeats(
        self, number: int, feature: Feature, cells: Ints, part: Part, mask: Any, columns: Columns
    ) -> Ints | None:
        """1 for each event whose value comes again more often than any did in its window."""
        values = part.of(columns[feature.of])
        chosen = np.flatnonzero(values if mask is None else mask & (values > 0))
        if not len(chosen):
            return None
        own = cells[chosen]
        named = pair(self._keys.hash[self._cells.key[own]], values[chosen], number)
        named = pair(named, self._cells.window[own].astype(np.uint64), 0)
        ends = self._cells.end_ms[own] + self._lateness_ms
        before = self._tallies[feature.name].visit(named, ends, int(part.clock[0]))
        again = np.flatnonzero(before)
        top: dict[int, int] = {}
        found: list[int] = []
        for at, cell, times in zip(
            chosen[again].tolist(), own[again].tolist(), before[again].tolist(), strict=True
        ):
            if cell not in top:
                top[cell] = int(self._cells.total[cell, number])
            if times > top[cell]:
                top[cell] = times
                found.append(at)
        return _ones(found, len(cells))

    @property
    def forgotten(self) -> int:
        """How many counts of repeated values were forgotten early."""
        return sum(tally.forgotten for tally in self._tallies.values())

    def forget(self, cells: Ints) -> None:
        """Drops the values of closed windows."""
        if self._values:
            for cell in cells.tolist():
                self._values.pop(cell, None)

    def state(self, cells: Ints) -> dict[str, Any]:
        """What it holds of these windows, as plain values."""
        return {
            "values": [
                [place, feature, list(seen)]
                for place, cell in enumerate(cells.tolist())
                for feature, seen in self._values.get(cell, {}).items()
            ],
            "tallies": {name: tally.state() for name, tally in self._tallies.items()},
            "overflows": self.overflows,
        }

    def load(self, state: dict[str, Any], cells: Ints) -> None:
        """Puts back what `state` gave for the same windows."""
        for place, feature, seen in state["values"]:
            self._values.setdefault(int(cells[place]), {})[feature] = dict.fromkeys(seen, 1)
        for name, tally in self._tallies.items():
            tally.load(state["tallies"][name])
        self.overflows = state["overflows"]


def _ones(found: list[int], size: int) -> Ints | None:
    if not found:
        return None
    amount = np.zeros(size, np.int64)
    amount[found] = 1
    return amount
