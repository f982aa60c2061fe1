"""Sums for the overview: spend by tenant, what moves most, incidents by family. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from alerts.feed.histogram import Counted
from alerts.feed.usage import Hour
from schemas.finding import FAMILIES

MAX_TENANTS = 100
MAX_MOVERS = 12
UNNAMED = "(tenant not known)"


@dataclass(frozen=True, slots=True)
class Spend:
    """What some keys spent, beside the top of what is usual for them; dollars.

    `share` and `usual_share` place both between 0 and 100 of the widest row.
    """

    name: str
    cost_usd: float
    usual_usd: float
    keys: int
    share: float = 0.0
    usual_share: float = 0.0

    @property
    def named(self) -> bool:
        """Whether anybody knows whose keys these are."""
        return self.name != UNNAMED

    @property
    def over(self) -> bool:
        """Whether they spent more than usual."""
        return self.cost_usd > self.usual_usd > 0


@dataclass(frozen=True, slots=True)
class Mover:
    """A key whose hour strayed furthest from its habit."""

    entity: str
    tenant: str | None
    cost_usd: float
    times: float
    start: float


def owned(hours: Iterable[Hour], owners: Mapping[str, str]) -> list[Hour]:
    """Hours with the tenant that incidents name, where the hour itself names none."""
    return [h if h.tenant else replace(h, tenant=owners.get(h.entity)) for h in hours]


def spend_by_tenant(hours: Sequence[Hour]) -> list[Spend]:
    """The largest first."""
    return _spend([(hour.tenant or UNNAMED, hour) for hour in hours])


def spend_by_key(hours: Sequence[Hour]) -> list[Spend]:
    """The largest first."""
    return _spend([(hour.entity, hour) for hour in hours])


def _spend(named: Sequence[tuple[str, Hour]]) -> list[Spend]:
    cost: defaultdict[str, float] = defaultdict(float)
    usual: defaultdict[str, float] = defaultdict(float)
    keys: defaultdict[str, set[str]] = defaultdict(set)
    for name, hour in named:
        cost[name] += hour.cost_usd
        usual[name] += hour.usual_usd
        keys[name].add(hour.entity)
    widest = max((*cost.values(), *usual.values()), default=0.0) or 1.0
    rows = [
        Spend(
            name, cost[name], usual[name], len(keys[name]),
            round(100 * cost[name] / widest, 1), round(100 * usual[name] / widest, 1),
        )
        for name in cost
    ]  # fmt: skip
    return sorted(rows, key=lambda row: -row.cost_usd)


def movers(hours: Sequence[Hour]) -> list[Mover]:
    """Keys by how far an hour of theirs went beyond the top of what is usual."""
    best: dict[str, Mover] = {}
    for hour in hours:
        top = hour.usual_usd
        if top <= 0 or hour.cost_usd <= top:
            continue
        found = Mover(hour.entity, hour.tenant, hour.cost_usd, hour.cost_usd / top, hour.start)
        known = best.get(hour.entity)
        if known is None or found.times > known.times:
            best[hour.entity] = found
    return sorted(best.values(), key=lambda mover: -mover.times)[:MAX_MOVERS]


def families(counted: Counted) -> list[tuple[str, int]]:
    """How many incidents each family had."""
    found: defaultdict[str, int] = defaultdict(int)
    for _, family, _, count in counted:
        found[family] += count
    return [(name, found[name]) for name in FAMILIES if found[name]]
