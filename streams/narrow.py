"""Shows a detector fewer events: only some keys', and of a day's like events only the first."""

from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.base import Detector
from schemas.fingerprint import fingerprint_of
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
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._only: frozenset[str] | None = None
        self._hashes = np.zeros(0, np.uint64)
        self._met = np.zeros(SLOTS if detector.once else 0, np.uint64)

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

    def _first(self, part: Part, columns: Columns, chosen: Ints) -> Ints:
        """Places of the events whose like was not shown on their day."""
        first, second = (part.of(columns[name])[chosen] for name in self._detector.once)
        days = (part.times[chosen] // DAY_MS).astype(np.uint64)
        names = pair(pair(first, second, 1), days, 2)
        slots = (names >> np.uint64(40)).astype(np.int64) & (SLOTS - 1)
        new = np.flatnonzero(self._met[slots] != names)
        _, unique = np.unique(names[new], return_index=True)
        self._met[slots[new]] = names[new]
        return np.asarray(np.sort(new[unique]), np.int64)
