"""Windows of one width over one lane: totals of every key, compared with their limits as they grow.

Rules that make the outcome independent of how the stream is cut into blocks:

- a key's windows are shifted by its hash, so closes never storm;
- a window closes at the first event that brings the clock to its end plus the lateness;
- it is judged by the newest habit that comes from a window two or more before, pinned when it
  opens; the caller never lets the clock advance more than `span_ms` within one part;
- totals are integers that only grow, so the event that crossed a limit is found again by walking.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.base import Channel, Detector
from detectors.features import Distinct, Repeats, Total, WindowSpec
from detectors.habits import Habits, limits
from streams.alarms import ESCALATE, Alarms
from streams.columns import ITEMS, Columns
from streams.keys import Keys
from streams.pairs import Tally, pair

Ints = npt.NDArray[np.int64]
NO_LIMIT = np.int64(2**62)
STEPS = 50  # different boundaries that the windows of a width have
MAX_VALUES = 1024  # different values of one item that one window counts
MAX_TALLIES = 4_000_000  # (window, value) pairs whose repeats are counted
NEVER = -(2**31)


@dataclass(slots=True)
class Part:
    """Some accepted events of a block, in order of arrival, during which the clock moves little.

    Attributes:
        rows: where they are in the block's columns.
        times: event times, ms.
        clock: the largest event time so far, after each event, ms.
        sequence: number of each event in the stream.
    """

    rows: Ints
    times: Ints
    clock: Ints
    sequence: Ints

    def at(self, event: int) -> tuple[int, int, int]:
        """One event's time, the clock after it, and its number."""
        return int(self.times[event]), int(self.clock[event]), int(self.sequence[event])


@dataclass(slots=True)
class Trip:
    """A total passed its limit."""

    cell: int
    channel: int
    at: int  # which event of the part
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
        self,
        spec: WindowSpec,
        keys: Keys,
        watched: list[tuple[Detector, Channel]],
        budget: float,
        lateness_ms: int,
    ) -> None:
        if spec.width_ms % STEPS or lateness_ms >= spec.width_ms:
            raise ValueError(f"{spec.name}: width must be a multiple of {STEPS} ms, over lateness")
        self.spec = spec
        self.keys = keys
        self.watched = watched
        self.budget = budget
        self.lateness_ms = lateness_ms
        self.span_ms = spec.width_ms - lateness_ms
        self.step_ms = spec.width_ms // STEPS
        self.habits = Habits(spec)
        self.alarms = Alarms(spec.width_ms)
        self.detectors = list(dict.fromkeys(detector for detector, _ in watched))
        self.closed = self.opened = self.overflows = 0
        self.tick = NEVER
        self.wheel: dict[int, list[int]] = defaultdict(list)
        self.slot = np.full((0, 2), -1, np.int32)
        self.grow(keys.capacity)
        self._feature = [spec.index[channel.feature] for _, channel in watched]
        self._learned = [self._place(spec.learned, channel) for _, channel in watched]
        self._counted = [self._place(spec.counted, channel) for _, channel in watched]
        self._cells = 0
        self._free: list[int] = []
        self._allocate(256)
        self.values: dict[int, dict[str, dict[str, int]]] = {}  # cell -> feature -> values
        self.tallies = {f.name: Tally(MAX_TALLIES) for f in spec.features if isinstance(f, Repeats)}

    @staticmethod
    def _place(names: tuple[str, ...], channel: Channel) -> int:
        feature = channel.like or channel.feature
        learned = channel.share is not None and feature in names
        return names.index(feature) if learned else -1

    def _allocate(self, cells: int) -> None:
        """Room for open windows; closed ones are used again."""
        features, channels = len(self.spec.features), len(self.watched)
        learned = len(self.spec.learned)
        for name, shape, fill, dtype in (
            ("key", (), -1, np.int64),
            ("window", (), NEVER, np.int64),
            ("first_ms", (), 0, np.int64),
            ("total", (features,), 0, np.int64),
            ("base", (channels,), NO_LIMIT, np.int64),  # limit by habit
            ("limit", (channels,), NO_LIMIT, np.int64),  # and by what was told already
            ("tail", (learned, 4), 0.0, np.float32),
            ("mature", (), 0, np.int32),
        ):
            column = np.full((cells, *shape), fill, dtype)
            if self._cells:
                column[: self._cells] = getattr(self, name)
            setattr(self, name, column)
        self._free.extend(range(cells - 1, self._cells - 1, -1))
        self._cells = cells

    key: Ints
    window: Ints
    first_ms: Ints
    total: Ints
    base: Ints
    limit: Ints
    tail: npt.NDArray[np.float32]
    mature: npt.NDArray[np.int32]

    def grow(self, capacity: int) -> None:
        """Makes room for keys 0 to `capacity` - 1."""
        slot = np.full((capacity, 2), -1, np.int32)
        slot[: len(self.slot)] = self.slot
        self.slot = slot
        self.habits.grow(capacity)

    def phase(self, keys: Ints) -> Ints:
        """How far each key's window boundaries are shifted, ms."""
        return self.keys.seed[keys] % STEPS * self.step_ms

    def end_ms(self, cells: Ints) -> Ints:
        """End of each open window."""
        return (self.window[cells] + 1) * self.spec.width_ms - self.phase(self.key[cells])

    # --- a part of a block ---------------------------------------------------------------

    def add(self, keys: Ints, part: Part, columns: Columns) -> tuple[Ints, list[Trip]]:
        """Adds events to their windows.

        Returns:
            The cell of each event, and the trips, cell by cell in order of crossing. The caller
            answers each trip by `disarm` or `rearm` and asks `again`.
        """
        windows = (part.times + self.phase(keys)) // self.spec.width_ms
        parity = windows & 1
        cells = self.slot[keys, parity].astype(np.int64)
        missing = np.flatnonzero(cells < 0)
        if len(missing):
            self._open(keys[missing], windows[missing], part.times[missing])
            cells = self.slot[keys, parity].astype(np.int64)
        self._amounts = self._add_amounts(cells, part, columns)
        hot: set[int] = set()
        totals, armed = self.total, self.limit
        for channel, feature in enumerate(self._feature):
            over = totals[cells, feature] > armed[cells, channel]
            if over.any():
                hot.update(cells[over].tolist())
        self._walked = cells
        trips: list[Trip] = []
        for cell in sorted(hot, key=lambda c: (int(self.key[c]), int(self.window[c]))):
            trips += self._walk(cell, 0)
        return cells, trips

    def again(self, trip: Trip) -> list[Trip]:
        """Further trips of the same window, from the tripping event on."""
        return self._walk(trip.cell, trip.at)

    def _add_amounts(self, cells: Ints, part: Part, columns: Columns) -> list[Any]:
        """Adds each feature; keeps what each event added, for walking."""
        amounts: list[Any] = []
        flat = self.total.reshape(-1)
        at = cells * len(self.spec.features)
        for number, feature in enumerate(self.spec.features):
            mask = columns[feature.where][part.rows] if feature.where else None
            if isinstance(feature, Total):
                amount = columns[feature.of][part.rows]
                if mask is not None:
                    if not mask.any():
                        amounts.append(None)
                        continue
                    amount = np.where(mask, amount, 0)
            elif isinstance(feature, Distinct):
                amount = self._count_values(feature, cells, part, mask, columns)
            else:
                amount = self._count_repeats(number, feature, cells, part, mask, columns)
            if amount is None:
                amounts.append(None)
                continue
            amounts.append(amount)
            np.add.at(flat, at + number, amount)
        return amounts

    def _count_values(
        self, feature: Distinct, cells: Ints, part: Part, mask: Any, columns: Columns
    ) -> Ints | None:
        """1 for each event that brings a value its window has not seen."""
        chosen = np.arange(len(cells)) if mask is None else np.flatnonzero(mask)
        if not len(chosen):
            return None
        name, values = feature.name, columns.values(ITEMS[feature.of])
        found: list[int] = []
        for at, cell, row in zip(
            chosen.tolist(), cells[chosen].tolist(), part.rows[chosen].tolist(), strict=True
        ):
            value = values[row]
            seen = self.values.setdefault(cell, {}).setdefault(name, {})
            if value is not None and value not in seen:
                if len(seen) >= MAX_VALUES:
                    self.overflows += 1
                    continue
                seen[value] = 1
                found.append(at)
        if not found:
            return None
        amount = np.zeros(len(cells), np.int64)
        amount[found] = 1
        return amount

    def _count_repeats(
        self, number: int, feature: Repeats, cells: Ints, part: Part, mask: Any, columns: Columns
    ) -> Ints | None:
        """1 for each event whose value comes again more often than any did in its window."""
        values = columns[feature.of][part.rows]
        chosen = np.flatnonzero(values if mask is None else mask & (values > 0))
        if not len(chosen):
            return None
        own = cells[chosen]
        names = pair(self.keys.hash[self.key[own]], values[chosen], int(number))
        names = pair(names, self.window[own].astype(np.uint64), 0)
        ends = self.end_ms(own) + self.lateness_ms
        before = self.tallies[feature.name].visit(names, ends, int(part.clock[0]))
        again = np.flatnonzero(before)
        if not len(again):
            return None
        top: dict[int, int] = {}
        found: list[int] = []
        for at, cell, times in zip(
            chosen[again].tolist(), own[again].tolist(), before[again].tolist(), strict=True
        ):
            most = top.get(cell)
            if most is None:
                most = top[cell] = int(self.total[cell, number])
            if times > most:
                top[cell] = times
                found.append(at)
        if not found:
            return None
        amount = np.zeros(len(cells), np.int64)
        amount[found] = 1
        return amount

    def _open(self, keys: Ints, windows: Ints, times: Ints) -> None:
        """Opens windows and pins the limits by which they are judged."""
        _, first = np.unique(keys * 2 + (windows & 1), return_index=True)
        keys, windows, times = keys[first], windows[first], times[first]
        while len(self._free) < len(keys):
            self._allocate(2 * self._cells)
        cells = np.array([self._free.pop() for _ in range(len(keys))], np.int64)
        self.slot[keys, windows & 1] = cells
        self.key[cells], self.window[cells], self.first_ms[cells] = keys, windows, times
        self.total[cells] = 0
        tail, mature, counts = self.habits.pinned(keys, windows)
        self.tail[cells], self.mature[cells] = tail, mature
        for number, (_, channel) in enumerate(self.watched):
            limit = np.full(len(keys), channel.above, np.int64)
            share = self.budget * (channel.share or 0.0)
            if (place := self._learned[number]) >= 0:
                learned = limits(tail[:, place], share)
                limit = np.maximum(limit, np.minimum(learned, 2.0**61).astype(np.int64))
            if (place := self._counted[number]) >= 0:
                age = (windows - self.habits.first[keys] - 1) * self.habits.months_per_window
                limit = np.maximum(limit, rare_count(counts[:, place], age, share, self.spec))
            limit[mature < channel.mature] = NO_LIMIT
            if channel.young:
                limit[mature >= channel.young] = NO_LIMIT
            self.base[cells, number] = limit
            self.limit[cells, number] = limit
        if self.alarms.keys:
            self._raise_limits(keys, windows, cells)
        self.opened += len(cells)
        ends = (self.end_ms(cells) // self.step_ms).tolist()
        for tick, cell in zip(ends, cells.tolist(), strict=True):
            self.wheel[tick].append(cell)

    def _raise_limits(self, keys: Ints, windows: Ints, cells: Ints) -> None:
        """More of what was told already does not trip again."""
        for key, window, cell in zip(keys.tolist(), windows.tolist(), cells.tolist(), strict=True):
            if key not in self.alarms.keys:
                continue
            for number, (detector, channel) in enumerate(self.watched):
                level = self.alarms.level(key, detector.about.id, window)
                if level and (told := level.get(channel.feature, 0)):
                    limit = min(max(int(self.limit[cell, number]), ESCALATE * told), int(NO_LIMIT))
                    self.limit[cell, number] = limit

    def _walk(self, cell: int, start: int) -> list[Trip]:
        """The next event, at or after `start`, at which armed channels of a window are passed."""
        here = np.flatnonzero(self._walked == cell)
        amounts = np.zeros((len(here), len(self.spec.features)), np.int64)
        for feature, amount in enumerate(self._amounts):
            if amount is not None:
                amounts[:, feature] = amount[here]
        running = self.total[cell] - amounts.sum(0) + np.cumsum(amounts, 0)
        over = running[:, self._feature] > self.limit[cell]
        over[here < start] = False
        rows = np.flatnonzero(over.any(1))
        if not len(rows):
            return []
        row = int(rows[0])
        channels = np.flatnonzero(over[row]).tolist()
        return [Trip(cell, channel, int(here[row]), running[row]) for channel in channels]

    def positions(self, cell: int, after: int) -> Ints:
        """The events of the part that went into a window after one of them."""
        here = np.flatnonzero(self._walked == cell)
        return here[here > after]

    def disarm(self, cell: int, detector: Detector) -> None:
        """Stops looking at a window for one detector: it has said what it thinks."""
        for channel, (owner, _) in enumerate(self.watched):
            if owner is detector:
                self.limit[cell, channel] = NO_LIMIT

    def rearm(self, trip: Trip) -> None:
        """Looks again when the total has grown by a quarter."""
        total = int(trip.totals[self._feature[trip.channel]])
        self.limit[trip.cell, trip.channel] = total + max(1, total // 4)

    def over(self, cell: int, detector: Detector) -> bool:
        """Whether a window is above what the detector's channels call usual for its key."""
        total, base = self.total[cell], self.base[cell]
        return any(
            owner is detector and total[self._feature[number]] > base[number]
            for number, (owner, _) in enumerate(self.watched)
        )

    def channel(self, detector: Detector, feature: str) -> Channel:
        """The channel by which a detector watches a feature."""
        return next(c for d, c in self.watched if d is detector and c.feature == feature)

    def features_of(self, detector: Detector) -> set[str]:
        """The features a detector watches."""
        return {channel.feature for owner, channel in self.watched if owner is detector}

    # --- closing -------------------------------------------------------------------------

    def due(self, clock_ms: int) -> list[tuple[Ints, Ints]]:
        """Takes out the windows that end by `clock_ms` minus the lateness.

        Returns:
            Groups of cells with their ends, in the order (end, key); no key twice in a group.
        """
        tick = (clock_ms - self.lateness_ms) // self.step_ms
        if tick <= self.tick:
            return []
        self.tick = tick
        ready = sorted(t for t in self.wheel if t <= tick)
        groups = []
        while ready:
            group = [t for t in ready if t < ready[0] + STEPS]
            ready = ready[len(group) :]
            cells: list[int] = []
            for t in group:
                cells += sorted(self.wheel.pop(t), key=lambda c: int(self.key[c]))
            found = np.array(cells, np.int64)
            groups.append((found, self.end_ms(found)))
        return groups

    def learn_and_free(self, cells: Ints, usual: npt.NDArray[np.bool_]) -> None:
        """Learns closed windows (where `usual`), publishes limits, and gives the cells back."""
        keys, windows = self.key[cells], self.window[cells]
        self.habits.learn(keys, windows, self.total[cells], usual)
        self.slot[keys, windows & 1] = -1
        self._give_back(cells)
        self.closed += len(cells)

    def _give_back(self, cells: Ints) -> None:
        for cell in cells.tolist():
            self.values.pop(cell, None)
        self.key[cells] = -1
        self._free.extend(cells.tolist())

    def forget(self, keys: Ints) -> Ints:
        """Drops the open windows and habits of evicted keys; returns the dropped cells."""
        cells = self.slot[keys].reshape(-1).astype(np.int64)
        cells = cells[cells >= 0]
        gone = set(cells.tolist())
        if gone:
            for tick in {int(t) for t in (self.end_ms(cells) // self.step_ms).tolist()}:
                self.wheel[tick] = [cell for cell in self.wheel[tick] if cell not in gone]
        self.slot[keys] = -1
        self._give_back(cells)
        self.habits.forget(keys)
        return cells

    # --- snapshots -----------------------------------------------------------------------

    def open_cells(self) -> Ints:
        """The open windows in an order that does not depend on how blocks were cut."""
        cells = np.flatnonzero(self.key >= 0)
        return cells[np.lexsort((self.window[cells], self.key[cells]))]

    def state(self, cells: Ints, keys: Ints) -> dict[str, Any]:
        """Everything it holds: open windows as `cells`, habits of `keys`."""
        return {
            "tick": self.tick,
            "counts": [self.closed, self.opened, self.overflows],
            "cells": {name: getattr(self, name)[cells] for name in _CELL},
            "values": [
                [place, feature, list(counts.items())]
                for place, cell in enumerate(cells.tolist())
                for feature, counts in self.values.get(cell, {}).items()
            ],
            "tallies": {name: tally.state() for name, tally in self.tallies.items()},
            "habits": self.habits.state(keys),
        }

    def load(self, state: dict[str, Any], keys: Ints) -> Ints:
        """Puts back what `state` gave; returns the cells, in the same order."""
        self.tick = state["tick"]
        self.closed, self.opened, self.overflows = state["counts"]
        count = len(state["cells"]["key"])
        while len(self._free) < count:
            self._allocate(2 * self._cells)
        cells = np.array([self._free.pop() for _ in range(count)], np.int64)
        for name in _CELL:
            getattr(self, name)[cells] = state["cells"][name]
        self.slot[self.key[cells], self.window[cells] & 1] = cells
        ends = (self.end_ms(cells) // self.step_ms).tolist()
        for tick, cell in zip(ends, cells.tolist(), strict=True):
            self.wheel[tick].append(cell)
        for place, feature, counts in state["values"]:
            table = self.values.setdefault(int(cells[place]), {})
            table[feature] = dict(counts)
        for name, tally in self.tallies.items():
            tally.load(state["tallies"][name])
        self.habits.load(state["habits"], keys)
        return cells

    @property
    def open(self) -> int:
        """Number of open windows."""
        return self._cells - len(self._free)


_CELL = ("key", "window", "first_ms", "total", "base", "limit", "tail", "mature")


def rare_count(before: Any, months: Any, share: float, spec: WindowSpec) -> Any:
    """The count in one window that a steady rate passes at most `share` times a month.

    Poisson tail bounded by Chernoff: P(N >= n) <= exp(-(n ln(n/m) - n + m)) for n > m.

    Args:
        before: events so far.
        months: over which they came.
    """
    width = spec.width_ms / (30 * 24 * 3_600_000)
    mean = (before + 1.0) / (np.maximum(months, 0.0) + 0.1) * width
    wanted = np.log(1.0 / width / share)  # windows a month over alerts a month
    count = np.ceil(mean)
    for _ in range(40):
        safe = np.maximum(count, 1e-9)
        weak = safe * np.log(safe / mean) - safe + mean < wanted
        if not weak.any():
            break
        count = count + weak
    return count.astype(np.int64)
