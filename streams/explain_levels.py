"""Since when a key is at the level it is, and how often that changed before, with river's ADWIN.

For reports: it looks at all windows that are known at once, so it judges nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from math import log
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.drift import adwin, apart

LEAST_WINDOWS = 30  # below it nothing is said
DELTA = 0.002  # ADWIN's confidence, as river has it
TIMES = 2.0  # a level is another one when it differs by this factor
SAME_HOUR = 3  # windows of one hour of the day before it has a usual of its own

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Change:
    """A level that became another one.

    Attributes:
        at: when the first window of the new level began.
        before, since: typical totals of a window (medians), in the unit of the values.
    """

    at: datetime
    before: float
    since: float

    @property
    def times(self) -> float:
        """How many times as high the new level is; below 1 for a fall."""
        return self.since / self.before if self.before else float("inf")


@dataclass(frozen=True, slots=True)
class Levels:
    """What is known of one feature's level.

    Attributes:
        windows: that it is known from.
        changes: oldest first; none for a key that has one level, however bursty.
    """

    windows: int
    changes: tuple[Change, ...]

    def told(self, unit: str) -> str:
        """In words."""
        if not self.changes:
            return f"the same in all {self.windows} windows that are known"
        *earlier, newest = self.changes
        how = f"{newest.times:,.1f} times what" if newest.before else "more than"
        before = "; it had not changed before"
        if earlier:
            days = ", ".join(f"{one.at:%Y-%m-%d %H:%M}" for one in earlier)
            before = f"; it had changed before: {days}"
        return (
            f"since {newest.at:%Y-%m-%d %H:%M} {how} it was: {_number(newest.since)} {unit} a"
            f" window, before {_number(newest.before)}{before}"
        )

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        changes = [
            {"at": one.at.isoformat(), "before": one.before, "since": one.since}
            for one in self.changes
        ]
        return {"windows": self.windows, "changes": changes}


def levels(starts: Sequence[datetime], values: Sequence[float]) -> Levels | None:
    """The levels of a series; None when too few windows are known.

    What every hour of the day usually has is taken out first, on a logarithmic scale, so nights
    are no change. ADWIN then says that the mean has changed, the sum of differences where, and
    a change to less than twice or more than half is none.

    Args:
        starts: of the windows, ascending; those without use may be missing.
        values: their totals, 0 and above.
    """
    if len(values) < LEAST_WINDOWS:
        return None
    raw = np.asarray(values, np.float64)
    least = min((value for value in values if value > 0), default=1.0)
    logs = np.log(np.maximum(raw, least / 10))  # nothing is less than the least
    rest = logs - _by_hour([start.hour for start in starts], logs)
    cuts = _lasting(rest, _drifts(rest))
    edges = [0, *cuts, len(raw)]
    middles = [_median(raw[a:b]) for a, b in pairwise(edges)]
    changes = (
        Change(starts[cut], before, since)
        for cut, before, since in zip(cuts, middles, middles[1:], strict=False)
    )
    return Levels(len(raw), tuple(changes))


def _by_hour(hours: Sequence[int], logs: Floats) -> Floats:
    """What is usual at the hour of each window; of all hours where too few are known."""
    of, overall = np.asarray(hours), float(logs.mean())
    usual = np.full(len(logs), overall)
    for hour in range(24):
        mine = of == hour
        if mine.sum() >= SAME_HOUR:
            usual[mine] = logs[mine].mean()  # a median would hide what changed halfway
    return usual


def _drifts(rest: Floats) -> list[int]:
    """Where ADWIN finds that the mean has changed: the first window of each new level."""
    cuts, start, at, window = [0], 0, 0, adwin(DELTA)
    while at < len(rest):
        drifted = window.update(float(rest[at]))
        at += 1
        if drifted:
            start += 1 + int(np.argmax(np.abs(apart(rest[start:at]))))
            cuts.append(start)
            at, window = start, adwin(DELTA)  # the new level is shown to a new window
    return cuts[1:]


def _lasting(rest: Floats, cuts: list[int]) -> list[int]:
    """The cuts whose sides differ by `TIMES`; the smallest difference goes first."""
    kept = list(cuts)
    while kept:
        edges = [0, *kept, len(rest)]
        middles = [_median(rest[a:b]) for a, b in pairwise(edges)]
        steps = [abs(b - a) for a, b in pairwise(middles)]
        least = int(np.argmin(steps))
        if steps[least] >= log(TIMES):
            break
        del kept[least]
    return kept


def _median(values: Floats) -> float:
    return float(np.median(values))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"
