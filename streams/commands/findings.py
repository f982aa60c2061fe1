"""`tripmeter findings`: what was found, newest first."""

import argparse
from datetime import UTC, datetime

from schemas.finding import Severity
from streams.commands.shared import add_config, add_data, add_json, fail, print_json, print_table

DEFAULT_LIMIT = 100
MAX_LIMIT = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Filters."""
    add_data(parser)
    add_config(parser)
    add_json(parser)
    names = [severity.value for severity in Severity]
    parser.add_argument("--severity", choices=names, help="at least so severe")
    parser.add_argument("--since", metavar="TIME", help="30m, 2h, 7d, or an ISO 8601 instant")
    parser.add_argument("--detector", metavar="NAME", help="only of this detector")
    parser.add_argument("--limit", type=int, default=DEFAULT_LIMIT, metavar="N")
    parser.add_argument(
        "--fail-on", choices=names, help="exit with 1 if a finding is at least so severe"
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints them; 1 with --fail-on when one is severe enough."""
    from streams.configuration import load
    from streams.store import Findings, parse_since

    if not 1 <= arguments.limit <= MAX_LIMIT:
        return fail(f"--limit must be between 1 and {MAX_LIMIT}")
    since = None
    if arguments.since:
        try:
            since = parse_since(arguments.since, datetime.now(UTC))
        except (ValueError, OverflowError):
            return fail("--since: write 30m, 2h, 7d or 2026-01-31T12:00:00Z")
    try:
        store = Findings(arguments.data, load(arguments.config).store.url())
    except FileNotFoundError:
        return fail(f"no findings in {arguments.data}: has `tripmeter serve` run there? see --data")
    rows = store.select(
        rank=Severity(arguments.severity).rank if arguments.severity else 1,
        detector=arguments.detector,
        since=since,
        limit=arguments.limit,
    )
    store.close()
    if arguments.json:
        print_json(rows)
    else:
        print_table(
            "Findings",
            ("time", "severity", "detector", "entity", "tenant", "summary", "id"),
            [
                (
                    row["time"],
                    row["severity"],
                    row["detector"],
                    row["entity"]["id"],
                    row["tenant"],
                    row["summary"],
                    row["id"][:12],
                )
                for row in rows
            ],
        )
    worst = max((Severity(row["severity"]).rank for row in rows), default=0)
    return int(bool(arguments.fail_on) and worst >= Severity(arguments.fail_on or "low").rank)
