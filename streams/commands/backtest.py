"""`tripmeter backtest`: how many alerts each budget would have raised on your own history."""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from streams.commands.shared import (
    add_config,
    add_data,
    add_format,
    add_json,
    fail,
    print_json,
    print_table,
    safe,
)

BUDGETS = (0.3, 1.0, 3.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Files, budgets, and where the report goes."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="recorded events; - is stdin")
    parser.add_argument(
        "--budgets",
        nargs="+",
        type=float,
        default=list(BUDGETS),
        metavar="RATE",
        help="false alerts a key-month (default: 0.3 1 3)",
    )
    parser.add_argument("--html", type=Path, metavar="REPORT.html", help="write a report, one file")
    parser.add_argument("--worst", type=int, default=10, help="entities listed a budget, and keys")
    add_format(parser)
    add_data(parser)
    add_config(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints tables or JSON lines; 0, or 2 when something cannot be read."""
    from schemas.adapters import UnknownFormat

    if not all(0 < budget <= 1000 for budget in arguments.budgets):
        return fail("a budget is a number above 0 and at most 1000: false alerts a key-month")
    try:
        import pandas  # noqa: F401
    except ImportError:
        return fail("a backtest needs `pip install '.[reports]'`")
    try:
        result = _judge(arguments)
        if arguments.html:
            from streams.backtest_html import page

            arguments.html.write_text(page(result, list(arguments.files)), encoding="utf-8")
    except (OSError, UnknownFormat) as error:
        return fail(str(error))
    if arguments.json:
        print_json(result.rows())
    else:
        _tell(result)
    if arguments.html:
        print(f"report: {arguments.html}", file=sys.stderr)
    return 0


def _judge(arguments: argparse.Namespace) -> Any:
    from streams.backtest import Trial
    from streams.collector import calm
    from streams.configuration import load
    from streams.replay import grouped, merged
    from streams.wiring import JUDGED, core_settings

    calm()
    settings = load(arguments.config, JUDGED)
    files = recordings(arguments.files, arguments.data, arguments.format, settings)
    trial = Trial(core_settings(settings), arguments.budgets)
    for pieces in grouped(merged(files)):
        trial.judge(b"\n".join(piece.block for piece in pieces))
    return trial.result(sum(one.rejected for one in files), arguments.worst)


def recordings(names: list[str], data: Path, format: str, settings: Any) -> list[Any]:
    """Files to be judged without leaving anything behind, under the same settings as `serve`.

    Raises:
        OSError: one is not there.
    """
    from streams.replay import Recording

    for name in names:
        if name != "-" and not Path(name).is_file():
            raise OSError(f"{name}: no such file")
    context = _context(data, settings)
    return [Recording(name, lambda: context, format) for name in names]


def _context(data: Path, settings: Any) -> Any:
    """What adapters need; with the installation's own pepper, if it has one."""
    from schemas.identity import Pepper
    from streams.commands.replay import PEPPER_FILE
    from streams.wiring import context

    file = data / PEPPER_FILE
    pepper = Pepper.load(file).secret if file.exists() else os.urandom(32)
    return replace(context(settings, pepper), controls=True)


def _tell(result: Any) -> None:
    census = result.census
    print(
        f"{census.events:,} events of {len(census.keys):,} keys over {census.days:.1f} days:"
        f" {census.key_months():.2f} key-months, an estimated ${census.cost_usd:,.2f}"
    )
    if result.rejected or result.untold:
        print(f"{result.rejected:,} records rejected, {result.untold:,} findings not counted")
    print_table(
        "What each budget would have raised (right or wrong: nobody labelled this history)",
        ("budget", "alerts", "a key-month", "95 %", "incidents", "entities", "quiet days"),
        [
            (
                f"{row.budget:g}",
                row.alerts,
                _rate(row.per_key_month),
                f"{_rate(row.low)} to {_rate(row.high)}",
                row.incidents,
                row.entities,
                f"{row.quiet_days} of {row.days}",
            )
            for row in result.budgets.itertuples()
        ],
    )
    budgets = result.budgets["budget"].tolist()
    print_table(
        "Alerts by detector and budget (a key-month)",
        ("detector", "family", *(f"{budget:g}" for budget in budgets), "incidents", "USD at most"),
        _wide(result.detectors, budgets),
    )
    print_table(
        "Entities with most alerts",
        ("budget", "lane", "entity", "tenant", "alerts", "detectors", "USD"),
        [
            (
                f"{row.budget:g}",
                row.lane,
                row.entity,
                row.tenant,
                row.alerts,
                row.detectors,
                f"{row.cost_usd:,.2f}",
            )
            for row in result.worst.itertuples()
        ],
    )
    print_table(
        "Keys whose level of tokens changed (expect those you know the reason of)",
        ("lane", "entity", "tenant", "since", "times", "an hour before", "since then", "changes"),
        [
            (
                row.lane,
                row.entity,
                row.tenant,
                row.since,
                f"{row.times:,.2f}",
                f"{row.before:,}",
                f"{row.now:,}",
                row.changes,
            )
            for row in result.levels.itertuples()
        ],
    )
    for told in result.short:
        print(f"too short: {safe(told)}")


def _wide(detectors: Any, budgets: list[float]) -> list[tuple[Any, ...]]:
    """One row a detector, then one a family: alerts of each budget, with their rate."""
    rows: list[tuple[Any, ...]] = []
    for by in (["detector", "family"], ["family"]):
        for name, mine in detectors.groupby(by, sort=False):
            rate = {row.budget: row for row in _sums(mine).itertuples()}
            cells = [
                f"{rate[budget].alerts} ({_rate(rate[budget].per_key_month)})"
                if budget in rate
                else "0"
                for budget in budgets
            ]
            label = name if len(by) == 2 else ("all", name[0])
            last = mine[mine["budget"] == mine["budget"].max()]
            cost = f"{mine.groupby('budget')['cost_usd'].sum().max():,.2f}"
            rows.append((*label, *cells, last["incidents"].sum(), cost))
    return rows


def _sums(detectors: Any) -> Any:
    sums = ["alerts", "per_key_month"]
    return detectors.groupby("budget", as_index=False)[sums].sum(min_count=1)


def _rate(value: float) -> str:
    return "unknown" if value != value else f"{value:.2f}"
