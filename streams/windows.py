"""Windows of one width over one lane: totals of every key, compared with their limits as they grow.

Rules that make the outcome independent of how the stream is cut into blocks:

- a key's windows are shifted by its hash, so closes never storm;
- a window closes at the first event that brings the clock to its end plus the lateness;
- it is judged by the newest habit that comes from a window two or more before, pinned when it
  opens; the caller never lets the clock advance more than `span_ms` within one part;
- totals are integers that only grow, so the event that crossed a limit is found again by walking.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.base import Detector
from detectors.features import WindowSpec
from detectors.habits import Habits
from streams import cell_loops
from streams.alarms import Alarms
from streams.amounts import Amounts
from streams.cell_loops import FREE, NEVER, NO_LIMIT
from streams.cells import Cells
from streams.columns import Columns
from streams.keys import Keys
from streams.limits import Limits, Watched
from streams.part import Part

Ints = npt.NDArray[np.int64]
STEPS = 50  # different boundaries that the windows of a width have


@dataclass(slots=True)
class Trip:
    """A total passed its limit, at an event of the part."""

    cell: int
    channel: int
    at: int
    totals: Ints


class Windows:
    """All windows of one spec.

    Args:
        spec: width and features.
        keys: of the lane, shared with the lane's other windows.
        watched: the channels on this spec, each with its detector.
        budget: false alerts a key-month the operator will stand.
        lateness_ms: how much later than a newer event one may arrive.
    """

    def __init__(
        self, spec: WindowSpec, keys: Keys, watched: Watched, budget: float, lateness_ms: int
    ) -> None:
        if spec.width_ms % STEPS or lateness_ms >= spec.width_ms:
            raise ValueError(f"{spec.name}: width must be a multiple of {STEPS} ms, over lateness")
        self.spec = spec
        self.keys = keys
        self.lateness_ms = lateness_ms
        self.span_ms = spec.width_ms - lateness_ms
        self.step_ms = spec.width_ms // STEPS
        self.habits = Habits(spec)
        self.alarms = Alarms(spec.width_ms)
        self.limits = Limits(spec, watched, budget)
        self.cells = Cells(len(spec.features), len(watched))
        self.amounts = Amounts(spec, keys, self.cells, lateness_ms)
        self.closed = self.opened = 0
        self.opening: Ints = np.zeros(0, np.int64)  # events of the part that opened windows
        self._tick = NEVER
        self._slot = np.full((0, 2), FREE, np.int32)  # key -> cells of its even and odd window
        self.grow(keys.capacity)
        self._walked: tuple[Ints, list[Ints | None]] = (np.zeros(0, np.int64), [])

    def grow(self, capacity: int) -> None:
        """Makes room for keys 0 to `capacity` - 1."""
        slot = np.full((capacity, 2), FREE, np.int32)
        slot[: len(self._slot)] = self._slot
        self._slot = slot
        self.habits.grow(capacity)

    def phase(self, keys: Ints) -> Ints:
        """How far each key's window boundaries are shifted, ms."""
        shifts: Ints = self.keys.seed[keys].astype(np.int64) % STEPS * self.step_ms
        return shifts

    # --- a part of a block ---------------------------------------------------------------

    def add(self, keys: Ints, part: Part, columns: Columns) -> tuple[Ints, list[list[Trip]]]:
        """Adds events to their windows.

        Returns:
            The cell of each event, and for each window whose limits were passed the first trips.
            The caller answers each by `disarm` or `rearm` and then asks `again`.
        """
        cells = self._place(keys, part.times)
        self._walked = (cells, self.amounts.add(cells, part, columns))
        hot = np.empty(len(cells), np.int64)
        over = (self.cells.total, self.cells.limit, self.limits.feature)
        count = cell_loops.crossed(*over, cells, hot)
        if not count:
            return cells, []
        order = sorted(
            set(hot[:count].tolist()),
            key=lambda c: (int(self.cells.key[c]), int(self.cells.window[c])),
        )
        return cells, [self._walk(cell, 0) for cell in order]

    def _place(self, keys: Ints, times: Ints) -> Ints:
        """The cell of each event; opens windows."""
        cells, windows, opening = (np.empty(len(keys), np.int64) for _ in range(3))
        asked = (keys, times, self.keys.seed)
        grid = (STEPS, self.step_ms)
        count = cell_loops.find(self._slot, asked, grid, windows, cells, opening)
        self.opening = first = opening[:count]
        if count:
            self._open(keys[first], windows[first], times[first])
            cell_loops.found(self._slot, keys, windows, cells)
        return cells

    def again(self, trip: Trip) -> list[Trip]:
        """Further trips of the same window, from the tripping event on."""
        return self._walk(trip.cell, trip.at)

    def _open(self, keys: Ints, windows: Ints, times: Ints) -> None:
        """Opens windows and pins the limits by which they are judged."""
        rows = self.cells
        cells = rows.take(len(keys))
        self._slot[keys, windows & 1] = cells
        rows.key[cells], rows.window[cells], rows.first_ms[cells] = keys, windows, times
        rows.end_ms[cells] = (windows + 1) * self.spec.width_ms - self.phase(keys)
        self.limits.pin(self.habits, keys, windows, cells, rows.limit)
        if self.alarms.keys:
            for key, window, cell in zip(
                keys.tolist(), windows.tolist(), cells.tolist(), strict=True
            ):
                if key in self.alarms.keys:
                    raised = self.limits.raised(self.alarms, key, window, rows.limit[cell])
                    rows.set_limit(cell, slice(None), raised)
        self.opened += len(cells)

    def _walk(self, cell: int, start: int) -> list[Trip]:
        """The next event, at or after `start`, at which armed channels of a window are passed."""
        cells, added = self._walked
        here = np.flatnonzero(cells == cell)
        amounts = np.zeros((len(here), len(self.spec.features)), np.int64)
        for feature, amount in enumerate(added):
            if amount is not None:
                amounts[:, feature] = amount[here]
        running = self.cells.total[cell] - amounts.sum(0) + np.cumsum(amounts, 0)
        over = running[:, self.limits.feature] > self.cells.limit[cell]
        over[here < start] = False
        rows = np.flatnonzero(over.any(1))
        if not len(rows):
            return []
        row = int(rows[0])
        channels = np.flatnonzero(over[row]).tolist()
        return [Trip(cell, channel, int(here[row]), running[row]) for channel in channels]

    def positions(self, cell: int, after: int) -> Ints:
        """The events of the part that went into a window after one of them."""
        here = np.flatnonzero(self._walked[0] == cell)
        return here[here > after]

    def disarm(self, cell: int, detector: Detector) -> None:
        """Stops looking at a window for one detector: it has said what it thinks."""
        self.cells.set_limit(cell, self.limits.of(detector), NO_LIMIT)

    def rearm(self, trip: Trip) -> None:
        """Looks again when the total has grown by a quarter."""
        total = int(trip.totals[self.limits.feature[trip.channel]])
        self.cells.set_limit(trip.cell, trip.channel, total + max(1, total // 4))

    def over(self, cell: int, detector: Detector) -> bool:
        """Whether a window is above what the detector's channels call usual for its key."""
        total, base = self.cells.total[cell], self.cells.base(cell)
        return any(total[self.limits.feature[n]] > base[n] for n in self.limits.of(detector))

    # --- closing -------------------------------------------------------------------------

    def due(self, clock_ms: int) -> list[tuple[Ints, Ints]]:
        """Takes out the windows that end by `clock_ms` minus the lateness.

        Returns:
            Groups of cells with their ends, in the order (end, key); no key twice in a group.
        """
        tick = (clock_ms - self.lateness_ms) // self.step_ms
        if tick <= self._tick:
            return []
        self._tick = tick
        rows = self.cells
        ready = np.flatnonzero(rows.end_ms <= tick * self.step_ms)
        ready = ready[np.lexsort((rows.key[ready], rows.end_ms[ready]))]
        groups = []
        while len(ready):
            ends = rows.end_ms[ready]
            size = int(np.searchsorted(ends, ends[0] + self.spec.width_ms))
            groups.append((ready[:size], ends[:size]))
            ready = ready[size:]
        return groups

    def learn_and_free(self, cells: Ints, usual: npt.NDArray[np.bool_]) -> None:
        """Learns closed windows (where `usual`), publishes limits, and gives the cells back."""
        keys, windows = self.cells.key[cells], self.cells.window[cells]
        self.habits.learn(keys, windows, self.cells.total[cells], usual)
        self._slot[keys, windows & 1] = FREE
        self._give_back(cells)
        self.closed += len(cells)

    def _give_back(self, cells: Ints) -> None:
        self.amounts.forget(cells)
        self.cells.give_back(cells)

    def forget(self, keys: Ints) -> Ints:
        """Drops the open windows and habits of evicted keys; returns the dropped cells."""
        slots = self._slot[keys].reshape(-1)
        cells: Ints = slots[slots != FREE].astype(np.int64)
        self._slot[keys] = FREE
        self._give_back(cells)
        self.habits.forget(keys)
        self.alarms.forget(set(keys.tolist()))
        return cells

    # --- snapshots -----------------------------------------------------------------------

    def state(self, cells: Ints, keys: Ints) -> dict[str, Any]:
        """Everything it holds: open windows as `cells`, habits of `keys`."""
        return {
            "tick": self._tick,
            "counts": [self.closed, self.opened],
            "cells": self.cells.state(cells),
            "amounts": self.amounts.state(cells),
            "alarms": self.alarms.state(),
            "habits": self.habits.state(keys),
        }

    def load(self, state: dict[str, Any], keys: Ints) -> Ints:
        """Puts back what `state` gave; returns the cells, in the same order."""
        self._tick = state["tick"]
        self.closed, self.opened = state["counts"]
        cells = self.cells.load(state["cells"])
        self._slot[self.cells.key[cells], self.cells.window[cells] & 1] = cells
        self.amounts.load(state["amounts"], cells)
        self.alarms.load(state["alarms"])
        self.habits.load(state["habits"], keys)
        return cells
