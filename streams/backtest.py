"""How many alerts each budget would have raised on an operator's own history."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from alerts.incident import Policy
from schemas.finding import Finding
from streams.backtest_census import Census
from streams.backtest_levels import Leveling
from streams.output import Output
from streams.pipeline import CoreSettings, Pipeline

ALERT_GAP = timedelta(hours=1)  # alerts of one entity closer than this are one
MAX_ALERTS = 500_000  # findings kept for all budgets together; more are counted as `untold`
WORST = 10  # entities that are listed
UNKNOWN = float("nan")  # a rate without key-months
COLUMNS = (
    "budget",
    "time",
    "detector",
    "family",
    "mode",
    "severity",
    "lane",
    "entity",
    "tenant",
    "cost_usd",
)


@dataclass(frozen=True, slots=True)
class Backtest:
    """What came of it, as pandas tables.

    Attributes:
        census: the keys of the history.
        budgets: one row a budget: alerts, a key-month, 95 % interval, incidents, quiet days.
        detectors: one row a budget and detector.
        days: alerts by day (index) and budget (columns).
        worst: the entities with most alerts, for each budget.
        short: in words, what the history is too short for.
        levels: keys whose level of tokens changed, with the newest change.
        untold: findings beyond `MAX_ALERTS`.
        rejected: records that could not be read.
    """

    census: Census
    budgets: Any
    detectors: Any
    days: Any
    worst: Any
    short: list[str]
    levels: Any
    untold: int = 0
    rejected: int = 0

    def rows(self) -> Iterator[dict[str, Any]]:
        """Everything as plain JSON objects; `row` says what each is."""
        census = self.census
        yield {
            "row": "history",
            "events": census.events,
            "keys": len(census.keys),
            "key_months": round(census.key_months(), 3),
            "days": round(census.days, 2),
            "cost_usd": round(census.cost_usd, 2),
            "rejected": self.rejected,
            "untold": self.untold,
        }
        for name in ("budgets", "detectors", "worst", "levels"):
            for record in getattr(self, name).to_dict("records"):
                plain = {key: None if value != value else value for key, value in record.items()}
                yield {"row": name.removesuffix("s"), **plain}
        for day, counts in self.days.iterrows():
            alerts = {f"{budget:g}": int(count) for budget, count in counts.items()}
            yield {"row": "day", "day": day.strftime("%Y-%m-%d"), "alerts": alerts}
        for told in self.short:
            yield {"row": "short", "told": told}


class Trial:
    """Judges one history under several budgets, read once.

    Args:
        settings: everything else stays as configured.
        budgets: false alerts a key-month, each above 0.
    """

    def __init__(self, settings: CoreSettings, budgets: Sequence[float]) -> None:
        self.budgets = sorted(set(budgets))
        self.census = Census()
        self.levels = Leveling()
        self.pipelines = [
            Pipeline(type(settings).model_validate({**dict(settings), "alert_budget": budget}))
            for budget in self.budgets
        ]
        self.untold = 0
        self._found: list[tuple[Any, ...]] = []

    def judge(self, block: bytes) -> None:
        """Shows a block of canonical NDJSON to every pipeline."""
        self.census.add(block)
        for budget, pipeline in zip(self.budgets, self.pipelines, strict=True):
            self._take(budget, pipeline, pipeline.process(block))

    def result(self, rejected: int = 0, worst: int = WORST) -> Backtest:
        """The tables, when all blocks were shown."""
        for budget, pipeline in zip(self.budgets, self.pipelines, strict=True):
            self._take(budget, pipeline, pipeline.finish())
        rejected += self.pipelines[0].stats.rejected
        return tabulate(
            self._found,
            self.budgets,
            self.census,
            rejected,
            self.untold,
            worst,
            self.levels,
        )

    def _take(self, budget: float, pipeline: Pipeline, output: Output) -> None:
        self._keep(budget, output.findings)
        if pipeline is self.pipelines[0]:  # what was used is the same under every budget
            self.levels.add(output.rollups)

    def _keep(self, budget: float, findings: Iterable[Finding]) -> None:
        for finding in findings:
            if finding.revision != 1:
                continue
            if len(self._found) >= MAX_ALERTS:
                self.untold += 1
                continue
            self._found.append(
                (
                    budget,
                    finding.time,
                    finding.detector,
                    finding.family,
                    finding.mode,
                    finding.severity.value,
                    finding.entity.lane,
                    finding.entity.id,
                    finding.tenant or "",
                    finding.cost_usd or 0.0,
                )
            )


def tabulate(
    found: Sequence[tuple[Any, ...]],
    budgets: Sequence[float],
    census: Census,
    rejected: int = 0,
    untold: int = 0,
    worst: int = WORST,
    levels: Leveling | None = None,
) -> Backtest:
    """Counts what was found.

    An alert is a finding that would page, unless the same entity had one within the hour before; an
    incident ends after the time without news after which incidents resolve themselves.

    Args:
        found: rows of `COLUMNS`, one a finding, first revisions only.
    """
    import pandas as pd

    table = pd.DataFrame(list(found), columns=list(COLUMNS))
    table["time"] = pd.to_datetime(table["time"], utc=True)
    pages = table[(table["family"] != "health") & (table["mode"] == "active")]
    months = census.key_months()
    from streams.backtest_short import too_short

    by_budget = _budgets(pages, table, budgets, census)
    return Backtest(
        census,
        by_budget,
        _detectors(table, months),
        _days(pages, budgets, census),
        _worst(pages, worst),
        too_short(census, budgets),
        (levels or Leveling()).table(worst),
        untold,
        rejected,
    )


def byar(count: int, months: float) -> tuple[float, float]:
    """95 % interval of a rate from a count (Byar's approximation to Poisson's exact limits).

    >>> [round(limit, 1) for limit in byar(10, 1.0)]
    [4.8, 18.4]
    """
    if months <= 0:
        return 0.0, float("inf")
    low = count * (1 - 1 / (9 * count) - 1.96 / (3 * count**0.5)) ** 3 if count else 0.0
    more = count + 1
    return low / months, more * (1 - 1 / (9 * more) + 1.96 / (3 * more**0.5)) ** 3 / months


def _apart(table: Any, by: list[str], gap: timedelta) -> Any:
    """The rows that come more than `gap` after the row before them of the same group."""
    ordered = table.sort_values([*by, "time"], kind="stable")
    since = ordered.groupby(by, sort=False)["time"].diff()
    return ordered[since.isna() | (since > gap)]


def _told(table: Any, by: list[str]) -> Any:
    """The rows that are alerts: an hour or more after the alert before them of the same group."""
    ordered = table.sort_values([*by, "time"], kind="stable")
    kept, group, last = [], None, None
    for row, name in zip(ordered.itertuples(), ordered[by].itertuples(index=False), strict=True):
        if tuple(name) != group or row.time - last >= ALERT_GAP:
            kept.append(row.Index)
            group, last = tuple(name), row.time
    return ordered.loc[kept]


def _budgets(pages: Any, table: Any, budgets: Sequence[float], census: Census) -> Any:
    import pandas as pd

    months, quiet = census.key_months(), Policy().quiet
    alerts = _told(pages, ["budget", "lane", "entity"])
    incidents = _apart(pages, ["budget", "family", "lane", "entity"], quiet)
    days = len(_calendar(census))
    rows = []
    for budget in budgets:
        mine = alerts[alerts["budget"] == budget]
        low, high = byar(len(mine), months)
        health = table[(table["budget"] == budget) & (table["family"] == "health")]
        rows.append(
            {
                "budget": budget,
                "alerts": len(mine),
                "per_key_month": round(len(mine) / months, 3) if months else UNKNOWN,
                "low": round(low, 3),
                "high": round(high, 3) if months else UNKNOWN,
                "findings": int((pages["budget"] == budget).sum()),
                "incidents": int((incidents["budget"] == budget).sum()),
                "entities": mine[["lane", "entity"]].drop_duplicates().shape[0],
                "quiet_days": days - min(days, mine["time"].dt.date.nunique()),
                "days": days,
                "notes_on_health": len(health),
            }
        )
    return pd.DataFrame(rows)


def _detectors(table: Any, months: float) -> Any:
    alerts = _told(table, ["budget", "detector", "lane", "entity"])
    incidents = _apart(table, ["budget", "detector", "lane", "entity"], Policy().quiet)
    by = ["budget", "detector", "family"]
    rows = alerts.groupby(by).agg(
        alerts=("time", "size"), entities=("entity", "nunique"), cost_usd=("cost_usd", "sum")
    )
    rows["incidents"] = incidents.groupby(by).size()
    rows["per_key_month"] = (rows["alerts"] / months).round(3) if months else UNKNOWN
    rows["cost_usd"] = rows["cost_usd"].round(2)
    order = ["budget", "alerts", "detector"]
    return rows.reset_index().sort_values(order, ascending=[True, False, True], kind="stable")


def _days(pages: Any, budgets: Sequence[float], census: Census) -> Any:
    alerts = _told(pages, ["budget", "lane", "entity"])
    counts = alerts.groupby([alerts["time"].dt.normalize(), "budget"]).size().unstack(fill_value=0)
    return counts.reindex(index=_calendar(census), columns=list(budgets), fill_value=0)


def _calendar(census: Census) -> Any:
    """Every day (UTC) that the history touches."""
    import pandas as pd

    span = (census.first_ms, census.last_ms) if census.events else (0, -1)
    first, last = (pd.Timestamp(ms, unit="ms", tz="UTC").normalize() for ms in span)
    return pd.date_range(first, last, freq="D")


def _worst(pages: Any, worst: int) -> Any:
    alerts = _told(pages, ["budget", "lane", "entity"])
    by = ["budget", "lane", "entity"]
    rows = alerts.groupby(by).agg(
        tenant=("tenant", "first"), alerts=("time", "size"), cost_usd=("cost_usd", "sum")
    )
    named = pages.groupby(by)["detector"]
    rows["detectors"] = named.agg(lambda names: ", ".join(sorted(set(names))))
    rows["cost_usd"] = rows["cost_usd"].round(2)
    order = ["budget", "alerts", "cost_usd"]
    ranked = rows.reset_index().sort_values(order, ascending=[True, False, False], kind="stable")
    return ranked.groupby("budget").head(worst)
