"""What is usual for every key, learned when its windows close.

Every key has the small habit: exponentially weighted mean and variance of `log1p(total)`, kept as
columns and updated with the formulas of `river.stats.EWMean` and `river.stats.EWVar` (a test holds
them to river, bit for bit). Keys that keep coming are *promoted*: their highest windows are kept
too, and describe the tail.

A habit is used by windows that begin after everything it was learned from had closed for good, so
the two newest versions are kept with the number of the window they came from.
"""

from array import array
from bisect import bisect_left, insort
from math import log
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.base import Usual
from detectors.features import HOUR_MS, WindowSpec

FADING = 0.05  # weight of the newest window in mean and variance
PEAKS = 24  # highest windows kept for a promoted key and feature
ENOUGH_PEAKS = 12  # before the tail is described by them
PROMOTE_AFTER = 6  # closed windows
MAX_PROMOTED = 32_768  # keys; later ones keep the small habit
CLUSTER_MS = HOUR_MS  # high windows closer than this are one peak
LEAST_SCALE = 0.2  # a steady key's tail is never thinner (log units)
SMALL_SCALE = 0.6  # of the tail while there are too few peaks
SMALL_RATE = 0.02  # share of windows above mean + 2 sd of a small habit
MONTH_MS = 30 * 24 * HOUR_MS
NEVER = np.int32(-(2**31))

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
        features, counts = len(self.learned), len(self.counted)
        self.months_per_window = spec.width_ms / MONTH_MS
        self.gap = CLUSTER_MS // spec.width_ms
        self._columns: dict[str, tuple[tuple[int, ...], Any, Any]] = {
            "n": ((), 0, np.int32),  # closed windows
            "taught": ((), 0, np.int32),  # those among them that were learned
            "first": ((), 0, np.int32),  # number of the first window
            "mean": ((features,), 0.0, np.float64),  # of log1p(total)
            "square": ((features,), 0.0, np.float64),  # of log1p(total) squared
            "count": ((counts,), 0, np.int32),  # sums of the counted features
            "row": ((), -1, np.int32),  # of the promoted, else -1
            "version": ((2,), NEVER, np.int32),  # window it was learned from, newest first
            "version_n": ((2,), 0, np.int32),
            "version_count": ((2, counts), 0, np.int32),
            "tail": ((2, features, 4), 0.0, np.float32),  # typical, log tail, scale, log rate
        }
        self.size = 0
        self.grow(64)
        self.rows = 0
        self.free_rows: list[int] = []
        self.peaks: list[list[array[float]]] = []  # row -> feature -> highest windows, ascending
        self.last_peak: list[array[int]] = []  # window of the newest peak
        self.last_high: list[array[float]] = []  # and its value
        self.lowest: Floats = np.full((64, features), -np.inf)  # a new peak must be higher
        self.shape: Floats = np.zeros((64, features, 3))  # log tail, scale, log count; 0: unknown

    def grow(self, size: int) -> None:
        """Makes room for keys 0 to `size` - 1."""
        for name, (shape, fill, dtype) in self._columns.items():
            column = np.full((size, *shape), fill, dtype)
            if self.size:
                column[: self.size] = getattr(self, name)
            setattr(self, name, column)
        self.size = size

    n: npt.NDArray[np.int32]
    taught: npt.NDArray[np.int32]
    first: npt.NDArray[np.int32]
    mean: Floats
    square: Floats
    count: npt.NDArray[np.int32]
    row: npt.NDArray[np.int32]
    version: npt.NDArray[np.int32]
    version_n: npt.NDArray[np.int32]
    version_count: npt.NDArray[np.int32]
    tail: npt.NDArray[np.float32]

    def pinned(self, keys: Ints, windows: Ints) -> tuple[Any, Any, Any]:
        """The newest version from a window two or more before: tail, windows learned, counts."""
        newest = self.version[keys, 0] > windows - 2
        which = newest.astype(np.int64)
        known = self.version[keys, which] != NEVER
        n = np.where(known, self.version_n[keys, which], 0)
        return self.tail[keys, which], n, self.version_count[keys, which]

    def learn(self, keys: Ints, windows: Ints, totals: Ints, usual: npt.NDArray[np.bool_]) -> None:
        """Learns closed windows, at most one per key, and publishes what is usual now.

        Args:
            totals: rows of all features.
            usual: per learned feature; what was judged an attack is False and is not learned.
        """
        n = self.n[keys]
        new = n == 0
        self.first[keys[new]] = windows[new]
        value = np.log1p(totals[:, self.learned].astype(np.float64))
        mean, square = self.mean[keys], self.square[keys]
        start = (self.taught[keys] == 0)[:, None]  # the first lesson is taken as it is
        mean = np.where(usual, np.where(start, value, FADING * value + (1 - FADING) * mean), mean)
        power = value * value
        square = np.where(
            usual, np.where(start, power, FADING * power + (1 - FADING) * square), square
        )
        self.mean[keys], self.square[keys] = mean, square
        n = n + 1
        self.n[keys] = n
        self.taught[keys] += usual.all(1)
        if self.counted:
            self.count[keys] += totals[:, self.counted].astype(np.int32)
        self._promote(keys[n == PROMOTE_AFTER])
        rows = self.row[keys]
        if self.learned and (rows >= 0).any():
            self._keep_peaks(rows, windows, np.where(usual, value, -np.inf))
        self._publish(keys, windows, rows, n, mean, square)

    def _promote(self, keys: Ints) -> None:
        features = len(self.learned)
        for key in keys.tolist():
            if self.free_rows:
                row = self.free_rows.pop()
            elif self.rows < MAX_PROMOTED:
                row = self.rows
                self.rows += 1
                self.peaks.append([])
                self.last_peak.append(array("q"))
                self.last_high.append(array("d"))
                if row >= len(self.lowest):
                    self.lowest = np.concatenate([self.lowest, self.lowest])
                    self.shape = np.concatenate([self.shape, self.shape])
            else:
                return
            self.peaks[row] = [array("d") for _ in range(features)]
            self.last_peak[row] = array("q", [int(NEVER)] * features)
            self.last_high[row] = array("d", [-np.inf] * features)
            self.lowest[row] = -np.inf
            self.shape[row] = 0.0
            self.row[key] = row

    def _keep_peaks(self, rows: Any, windows: Ints, value: Floats) -> None:
        """Keeps the highest windows; of a cluster of high windows only the highest."""
        lowest = np.where((rows >= 0)[:, None], self.lowest[rows], np.inf)
        for at, feature in zip(*(i.tolist() for i in np.nonzero(value > lowest)), strict=True):
            row, window, high = int(rows[at]), int(windows[at]), float(value[at, feature])
            peaks = self.peaks[row][feature]
            if window - self.last_peak[row][feature] <= self.gap:
                last = self.last_high[row][feature]
                if high <= last:
                    continue
                place = bisect_left(peaks, last)
                if place < len(peaks) and peaks[place] == last:
                    del peaks[place]
            insort(peaks, high)
            del peaks[:-PEAKS]
            self.last_peak[row][feature] = window
            self.last_high[row][feature] = high
            self._describe(row, feature)

    def _describe(self, row: int, feature: int) -> None:
        """The tail above the lowest of the kept peaks: where it begins, how fast it thins out."""
        peaks = self.peaks[row][feature]
        count = len(peaks)
        if count == PEAKS:
            self.lowest[row, feature] = peaks[0]
        if count >= ENOUGH_PEAKS:
            excess = sum(peaks) / count - peaks[0]
            self.shape[row, feature] = peaks[0], max(excess, LEAST_SCALE), log(count)

    def _publish(
        self, keys: Ints, windows: Ints, rows: Any, n: Any, mean: Floats, square: Floats
    ) -> None:
        months = (windows - self.first[keys] + 1) * self.months_per_window
        deviation = np.sqrt(np.maximum(square - mean * mean, 0.0))
        tail = np.empty((len(keys), len(self.learned), 4), np.float32)
        tail[:, :, 0] = np.expm1(mean)
        tail[:, :, 1] = mean + 2 * deviation
        tail[:, :, 2] = np.maximum(deviation, SMALL_SCALE)
        tail[:, :, 3] = np.log(np.maximum(SMALL_RATE * n / months, 1e-9))[:, None]
        if self.learned and self.rows:
            shape = self.shape[rows]
            known = (rows >= 0)[:, None] & (shape[:, :, 1] > 0)
            shape[:, :, 2] -= np.log(months)[:, None]
            tail[:, :, 1:] = np.where(known[:, :, None], shape, tail[:, :, 1:])
        for column in (self.version, self.version_n, self.version_count, self.tail):
            column[keys, 1] = column[keys, 0]
        self.version[keys, 0] = windows
        self.version_n[keys, 0] = n
        self.version_count[keys, 0] = self.count[keys]
        self.tail[keys, 0] = tail

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
        own = rows[rows >= 0].tolist()
        columns = {name: getattr(self, name)[keys] for name in self._columns if name != "row"}
        return {
            "columns": columns,
            "promoted": np.flatnonzero(rows >= 0),
            "peaks": [[list(peaks) for peaks in self.peaks[row]] for row in own],
            "last_peak": [list(self.last_peak[row]) for row in own],
            "last_high": [list(self.last_high[row]) for row in own],
        }

    def load(self, state: dict[str, Any], keys: Ints) -> None:
        """Puts back what `state` gave for the same keys."""
        for name, column in state["columns"].items():
            getattr(self, name)[keys] = column
        promoted = keys[state["promoted"]]
        self._promote(promoted)
        for place, row in enumerate(self.row[promoted].tolist()):
            self.peaks[row] = [array("d", peaks) for peaks in state["peaks"][place]]
            self.last_peak[row] = array("q", state["last_peak"][place])
            self.last_high[row] = array("d", state["last_high"][place])
            for feature in range(len(self.learned)):
                self._describe(row, feature)


def limits(tail: Any, share: Any) -> Any:
    """The total that a habit reaches `share` times a month, as float64.

    Args:
        tail: `[..., 4]`: typical, log tail, scale, log rate.
        share: alerts a month a channel may raise for one key; one, or one per column of `tail`.
    """
    z = np.maximum(tail[..., 3].astype(np.float64) - np.log(share), 0.0)
    return np.expm1(np.minimum(tail[..., 1] + tail[..., 2] * z, 40.0))


def usual(tail: Any, share: float, windows: int) -> Usual:
    """One key's and feature's tail as detectors see it."""
    typical, log_tail, scale, log_rate = (float(value) for value in tail)
    limit = float(limits(np.asarray(tail), share))
    return Usual(typical, limit, windows, log_tail, max(scale, 1e-9), log_rate)
