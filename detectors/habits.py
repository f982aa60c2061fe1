"""What is usual for every key, learned when its windows close.

Every key has the small habit: exponentially weighted mean and variance of `log1p(total)`, kept as
columns and updated with the formulas of `river.stats.EWMean` and `river.stats.EWVar` (a test holds
them to river, bit for bit). Keys that keep coming are *promoted*: their highest windows are kept
too, and describe the tail.

A habit is used by windows that begin after everything it was learned from had closed for good, so
the two newest versions are kept with the number of the window they came from.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from detectors import habit_loops
from detectors.base import Usual
from detectors.features import HOUR_MS, WindowSpec

PEAKS = 24  # highest windows kept for a promoted key and feature
ENOUGH_PEAKS = 12  # before the tail is described by them
PROMOTE_AFTER = 6  # closed windows
MAX_PROMOTED = 32_768  # keys; later ones keep the small habit
CLUSTER_MS = HOUR_MS  # high windows closer than this are one peak
MONTH_MS = 30 * 24 * HOUR_MS
NEVER = np.int32(-(2**31))
TALL = ("peak", "peaks", "last_peak", "last_high")  # columns by promoted row

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Habits:
    """The habits of all keys in the windows of one spec.

    Args:
        spec: which features are learned or counted.
    """

    def __init__(self, spec: WindowSpec) -> None:
        self.spec = spec
        self.learned = [spec.index[name] for name in spec.learned]
        self.counted = [spec.index[name] for name in spec.counted]
        self.recorded = [spec.index[law.feature] for law in spec.recorded]
        features, counts, records = len(self.learned), len(self.counted), len(self.recorded)
        self.months_per_window = spec.width_ms / MONTH_MS
        self._spec = (
            np.array(self.learned, np.int64),
            np.log1p(np.array(spec.modest or [0] * features, np.float64)),
            np.array(self.counted, np.int64),
            np.array(self.recorded, np.int64),
            CLUSTER_MS // spec.width_ms,
            self.months_per_window,
            ENOUGH_PEAKS,
        )
        self._columns: dict[str, tuple[tuple[int, ...], Any, Any]] = {
            "n": ((), 0, np.int32),  # closed windows
            "taught": ((), 0, np.int32),  # those among them that were learned
            "first": ((), 0, np.int32),  # number of the first window
            "mean": ((features,), 0.0, np.float64),  # of log1p(total)
            "square": ((features,), 0.0, np.float64),  # of log1p(total) squared
            "count": ((counts + 1,), 0, np.int32),  # sums of the counted features; not learned
            "most": ((records,), 0, np.int64),  # highest totals of the recorded features
            "row": ((), -1, np.int32),  # of the promoted, else -1
            "version": ((2,), NEVER, np.int32),  # newest windows that were learned, newest first
            "tail": ((features, 4), 0.0, np.float32),  # of the version before the newest
            "counts": ((counts + 1,), 0, np.int32),  # likewise
            "mosts": ((records,), 0, np.int64),  # likewise
        }
        self.size = 0
        self.grow(64)
        self.rows = 0
        self.free_rows: list[int] = []
        self.peak: Floats = np.zeros((0, features, PEAKS))  # by promoted row, ascending
        self.peaks = np.zeros((0, features), np.int32)  # how many of them there are
        self.last_peak = np.zeros((0, features), np.int64)  # window of the newest
        self.last_high: Floats = np.zeros((0, features))  # and its value
        self._grow_rows(64)

    def grow(self, size: int) -> None:
        """Makes room for keys 0 to `size` - 1."""
        for name, (shape, fill, dtype) in self._columns.items():
            column = np.full((size, *shape), fill, dtype)
            if self.size:
                column[: self.size] = getattr(self, name)
            setattr(self, name, column)
        self.size = size

    def _grow_rows(self, size: int) -> None:
        for name in TALL:
            old = getattr(self, name)
            new = np.zeros((size, *old.shape[1:]), old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)

    n: npt.NDArray[np.int32]
    taught: npt.NDArray[np.int32]
    first: npt.NDArray[np.int32]
    mean: Floats
    square: Floats
    count: npt.NDArray[np.int32]
    most: Ints
    row: npt.NDArray[np.int32]
    version: npt.NDArray[np.int32]
    tail: npt.NDArray[np.float32]
    counts: npt.NDArray[np.int32]
    mosts: Ints

    def learn(self, keys: Any, windows: Any, totals: Ints, usual: npt.NDArray[np.bool_]) -> None:
        """Learns closed windows, at most one per key, and publishes what is usual now.

        Args:
            totals: rows of all features.
            usual: by window; what was judged an attack is False and is not learned.
        """
        self._promote(keys[self.n[keys] == PROMOTE_AFTER - 1])
        asked = (keys, windows, totals, usual)
        habit_loops.learn(*self._known(), asked, self._spec)

    def pinned(self, keys: Any, windows: Any) -> tuple[Any, Any, Any, Any]:
        """The newest version from a window two or more before.

        It stays the same from when the window opens until it closes.

        Returns:
            By window: the tails of the learned features `[windows, features, 4]` as typical, log
            tail, scale, log rate; how many windows they were learned from; the counts, and last how
            many windows were not learned; the records.
        """
        size = len(keys)
        tails = np.empty((size, len(self.learned), 4), np.float32)
        counts = np.empty((size, len(self.counted) + 1), np.int64)
        records = np.empty((size, len(self.recorded)), np.int64)
        found = (tails, np.empty(size, np.int64), counts, records)
        habit_loops.pinned(*self._known(), (keys, windows), self._spec, found)
        return found

    def _known(self) -> tuple[Any, Any, Any]:
        small = (self.n, self.taught, self.first, self.mean, self.square, self.count, self.row)
        tall = (self.peak, self.peaks, self.last_peak, self.last_high)
        return (*small, self.version, self.most), tall, (self.tail, self.counts, self.mosts)

    def _promote(self, keys: Ints) -> None:
        for key in keys.tolist():
            if self.free_rows:
                row = self.free_rows.pop()
            elif self.rows < MAX_PROMOTED:
                row = self.rows
                self.rows += 1
                if row >= len(self.peaks):
                    self._grow_rows(2 * len(self.peaks))
            else:
                return
            self.peaks[row], self.last_peak[row], self.last_high[row] = 0, NEVER, -np.inf
            self.row[key] = row

    def forget(self, keys: Ints) -> None:
        """Empties the columns of evicted keys."""
        for row in self.row[keys].tolist():
            if row >= 0:
                self.free_rows.append(row)
        for name, (_, fill, _dtype) in self._columns.items():
            getattr(self, name)[keys] = fill

    def state(self, keys: Ints) -> dict[str, Any]:
        """The habits of these keys, promoted rows in the order of their keys."""
        rows = self.row[keys]
        own = rows[rows >= 0]
        columns = {name: getattr(self, name)[keys] for name in self._columns if name != "row"}
        tall = {name: getattr(self, name)[own] for name in TALL}
        return {"columns": columns, "promoted": np.flatnonzero(rows >= 0), "tall": tall}

    def load(self, state: dict[str, Any], keys: Ints) -> None:
        """Puts back what `state` gave for the same keys."""
        for name, column in state["columns"].items():
            getattr(self, name)[keys] = column
        promoted = keys[state["promoted"]]
        self._promote(promoted)
        for name, column in state["tall"].items():
            getattr(self, name)[self.row[promoted]] = column


def limits(tails: Any, shares: Any) -> Floats:
    """The total that habits reach `shares` times a month.

    Args:
        tails: `[keys, columns, 4]`: typical, log tail, scale, log rate.
        shares: alerts a month a channel may raise for one key, one per column.
    """
    found = np.empty(tails.shape[:2])
    habit_loops.limits(tails, shares, found)
    return found


def usual(tail: Any, share: float, windows: int) -> Usual:
    """One key's and feature's tail as detectors see it."""
    typical, log_tail, scale, log_rate = (float(value) for value in tail)
    limit = float(limits(np.asarray(tail)[None, None], np.array([share]))[0, 0])
    return Usual(typical, limit, windows, log_tail, max(scale, 1e-9), log_rate)
