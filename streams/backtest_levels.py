"""Which keys of a history came to another level: whom an operator may have reason to expect."""

from collections.abc import Iterable
from datetime import datetime
from math import log
from typing import Any

from schemas.records import Rollup
from streams.explain_levels import levels

FEATURE = "tokens"
MAX_WINDOWS = 1_000_000  # closed windows of all keys that are kept; more are counted as `beyond`
COLUMNS = ("lane", "entity", "tenant", "since", "times", "before", "now", "changes")


class Leveling:
    """Collects closed windows, and tells of each key the newest change of its level.

    Args:
        most: windows that are kept.
    """

    def __init__(self, most: int = MAX_WINDOWS) -> None:
        self._room = most
        self.beyond = 0
        self._seen: dict[tuple[str, str], list[tuple[datetime, int]]] = {}
        self._tenants: dict[tuple[str, str], str] = {}

    def add(self, rollups: Iterable[Rollup]) -> None:
        """Takes windows in."""
        for one in rollups:
            if not self._room:
                self.beyond += 1
                continue
            self._room -= 1
            name = (one.entity.lane, one.entity.id)
            self._seen.setdefault(name, []).append((one.start, one.totals.get(FEATURE, 0)))
            self._tenants[name] = one.tenant or ""

    def table(self, most: int) -> Any:
        """The keys whose level changed, those that changed most first, as a pandas table."""
        import pandas as pd

        rows = []
        for (lane, entity), windows in self._seen.items():
            known = levels(*zip(*sorted(windows), strict=True))
            if known is None or not known.changes:
                continue
            newest = known.changes[-1]
            tenant = self._tenants[lane, entity]
            sizes = (round(newest.times, 2), round(newest.before), round(newest.since))
            rows.append((lane, entity, tenant, newest.at, *sizes, len(known.changes)))
        rows.sort(key=lambda row: (-abs(log(max(row[4], 1e-9))), row[1]))
        table = pd.DataFrame(rows[:most], columns=list(COLUMNS))
        table["since"] = [when.strftime("%Y-%m-%d %H:%M") for when in table["since"]]
        return table
