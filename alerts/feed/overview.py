"""Sums for the overview: incidents a day, spend by tenant, what moves most. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.feed.usage import Window
from schemas.finding import FAMILIES, Severity

MAX_ROWS = 12
UNNAMED = "(tenant not known)"


@dataclass(frozen=True, slots=True)
class Spend:
    """What a tenant's keys spent in a day, beside the top of what is usual for them. Dollars."""

    tenant: str
    cost_usd: float
    usual_usd: float
    keys: int
    share: float

    @property
    def named(self) -> bool:
        """Whether anybody knows whose keys these are."""
        return self.tenant != UNNAMED


@dataclass(frozen=True, slots=True)
class Mover:
    """A key whose hour strayed furthest from its habit."""

    entity: str
    tenant: str | None
    cost_usd: float
    times: float
    start: float


@dataclass(frozen=True, slots=True)
class Day:
    """Incidents opened in one day: by severity from critical to informational, stacked."""

    day: datetime
    total: int
    parts: tuple[tuple[str, int, float, float], ...]  # severity, count, offset and height in %


@dataclass(frozen=True, slots=True)
class OverTime:
    """Days, and totals by family."""

    days: list[Day]
    families: list[tuple[str, int]]
    most: int


def spend(windows: Sequence[tuple[Window, str | None]]) -> list[Spend]:
    """By tenant, the largest first; only keys with a habit, whose windows are kept."""
    cost: defaultdict[str, float] = defaultdict(float)
    usual: defaultdict[str, float] = defaultdict(float)
    keys: defaultdict[str, set[str]] = defaultdict(set)
    for window, tenant in windows:
        name = tenant or UNNAMED
        cost[name] += window.cost_usd
        usual[name] += window.usual.get("nanousd", (0.0, 0.0))[1]
        keys[name].add(window.entity)
    widest = max(cost.values(), default=0.0) or 1.0
    rows = [
        Spend(n, cost[n], usual[n], len(keys[n]), round(100 * cost[n] / widest, 1)) for n in cost
    ]
    return sorted(rows, key=lambda row: -row.cost_usd)[:MAX_ROWS]


def movers(windows: Sequence[tuple[Window, str | None]]) -> list[Mover]:
    """Keys by how far an hour of theirs went beyond the top of what is usual."""
    best: dict[str, Mover] = {}
    for window, tenant in windows:
        top = window.usual.get("nanousd", (0.0, 0.0))[1]
        if top <= 0 or window.cost_usd <= top:
            continue
        found = Mover(window.entity, tenant, window.cost_usd, window.cost_usd / top, window.start)
        known = best.get(window.entity)
        if known is None or found.times > known.times:
            best[window.entity] = found
    return sorted(best.values(), key=lambda mover: -mover.times)[:MAX_ROWS]


def over_time(counted: Sequence[tuple[int, str, int, int]], begin: datetime, days: int) -> OverTime:
    """Stacks of days from counts of (day, family, severity rank, incidents)."""
    by_day: defaultdict[int, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    families: defaultdict[str, int] = defaultdict(int)
    for day, family, rank, count in counted:
        by_day[min(day, days - 1)][rank] += count
        families[family] += count
    most = max((sum(ranks.values()) for ranks in by_day.values()), default=0)
    made = []
    for day in range(days):
        at = 0.0
        parts = []
        for severity in Severity:
            if count := by_day[day][severity.rank]:
                height = 100 * count / most
                at += height
                parts.append((severity.value, count, round(100 - at, 2), round(height, 2)))
        total = sum(by_day[day].values())
        made.append(Day(begin + timedelta(days=day), total, tuple(parts)))
    return OverTime(made, [(name, families[name]) for name in FAMILIES if families[name]], most)
