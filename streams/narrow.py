"""Shows a detector fewer events: only some keys', and of like events few."""

from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.base import Detector
from schemas.fingerprint import fingerprint_of
from streams import probes
from streams.columns import Columns
from streams.pairs import pair
from streams.part import Part
from streams.reports import DAY_MS

SLOTS = 1 << 18  # like events remembered; where two share a slot, both are shown again and again

Ints = npt.NDArray[np.int64]


class Narrow:
    """What one detector is spared.

    The memory of `once` is a pure cache: forgetting it (after a restart, or where two share a slot)
    shows more events, never fewer.

    Args:
        detector: whose `only` and `once` are honoured.

    Attributes:
        wanted: it may spare the detector anything.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._only: frozenset[str] | None = None
        self._hashes = np.zeros(0, np.uint64)
        self.wanted = bool(detector.once) or detector.only is not None
        size = SLOTS if detector.once else 0
        self._met, self._earliest = np.zeros(size, np.uint64), np.zeros(size, np.int64)

    def __call__(self, part: Part, columns: Columns, chosen: Ints) -> Ints:
        """Those of the chosen events of a part that the detector has to see."""
        if (only := self._detector.only) is not None:
            chosen = chosen[self._wanted(only, part.of(columns["key"])[chosen])]
        if self._detector.once and len(chosen):
            chosen = chosen[self._first(part, columns, chosen)]
        return chosen

    def _wanted(self, only: frozenset[str], keys: Any) -> npt.NDArray[np.bool_]:
        if only is not self._only:
            self._hashes = np.sort(np.array([fingerprint_of(key) for key in only], np.uint64))
            self._only = only
        if not len(self._hashes):
            return np.zeros(len(keys), np.bool_)
        place = np.minimum(np.searchsorted(self._hashes, keys), len(self._hashes) - 1)
        return np.asarray(self._hashes[place] == keys)

    def _first(self, part: Part, columns: Columns, chosen: Ints) -> npt.NDArray[np.bool_]:
        """Which events have to be shown: their like was not yet, on this day and of this day."""
        first, second = (part.of(columns[name])[chosen] for name in self._detector.once)
        like, times = pair(first, second, 1), part.times[chosen]
        days = part.clock[chosen] // DAY_MS
        names = pair(like, (days * 64 + times // DAY_MS - days).astype(np.uint64), 2)
        slots = (like >> np.uint64(40)).astype(np.int64) & (SLOTS - 1)
        shown = np.empty(len(names), np.bool_)
        probes.spare(self._met, self._earliest, slots, names, times, shown)
        return shown
