"""Incidents over time: in which step of time how many were opened, by severity. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from alerts.feed.filters import Filter
from schemas.finding import Severity

USUAL = timedelta(days=14)  # drawn where nothing says how much
STEPS_S = (60, 300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86_400, 7 * 86_400)
MAX_STEPS = 60

Counted = Sequence[tuple[int, str, int, int]]  # step, family, severity rank, incidents


@dataclass(frozen=True, slots=True)
class Step:
    """Incidents opened in one step, stacked with the worst on top.

    `parts` are severity, count, and offset from the top and height in percent of the highest step.
    """

    start: datetime
    end: datetime
    total: int
    parts: tuple[tuple[str, int, float, float], ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """Where a histogram begins, and its steps."""

    begin: datetime
    step_s: int
    count: int

    @classmethod
    def of(cls, wanted: Filter, now: datetime) -> "Grid":
        """The steps that show what a filter asks for."""
        start, until = wanted.opened
        end = until or now
        begin = start or wanted.begin(now) or end - USUAL
        span = max(60.0, (end - begin).total_seconds())
        step = next((s for s in STEPS_S if span / s <= MAX_STEPS), STEPS_S[-1])
        first = int(begin.timestamp() // step)
        last = min(int(-(-end.timestamp() // step)), first + 10 * MAX_STEPS)
        return cls(datetime.fromtimestamp(first * step, UTC), step, max(1, last - first))


def stacked(counted: Counted, grid: Grid) -> list[Step]:
    """The steps of a grid."""
    by_step: defaultdict[int, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    for step, _, rank, count in counted:
        if step < grid.count:
            by_step[step][rank] += count
    most = max((sum(ranks.values()) for ranks in by_step.values()), default=0)
    width = timedelta(seconds=grid.step_s)
    made = []
    for number in range(grid.count):
        at, parts = 0.0, []
        for severity in Severity:
            if count := by_step[number][severity.rank]:
                height = 100 * count / most
                at += height
                parts.append((severity.value, count, round(100 - at, 2), round(height, 2)))
        start = grid.begin + number * width
        made.append(Step(start, start + width, sum(by_step[number].values()), tuple(parts)))
    return made
