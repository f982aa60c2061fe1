"""A series that comes to another level: river's ADWIN notices it, a sum of differences dates it."""

from typing import Any

import numpy as np
import numpy.typing as npt
from river._river_rust.drift import AdaptiveWindowing as AdaptiveWindowing  # without scipy

Floats = npt.NDArray[np.float64]


def adwin(delta: float) -> AdaptiveWindowing:
    """What `river.drift.ADWIN` wraps, looking at every value; `river.drift` would load scipy.

    Args:
        delta: its confidence.
    """
    return AdaptiveWindowing(delta, 1, 5, 5, 10)


def apart(values: Any) -> Floats:
    """How far the means before and after each place but the ends differ, by a sum (CUSUM).

    Returns:
        One number less than there are values, the first for a cut behind the first value; above 0
        where what comes before is higher, of a scale that makes places comparable.

    >>> 1 + int(np.argmax(-apart([0, 0, 1, 0, 0, 1, 0, 1, 1, 1])))
    7
    """
    found = np.asarray(values, np.float64)
    before = np.arange(1, len(found))
    sums = np.cumsum(found)[:-1] - before * found.mean()
    return np.asarray(sums / np.sqrt(before * (len(found) - before)), np.float64)
