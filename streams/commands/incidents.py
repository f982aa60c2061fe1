"""`tripmeter incidents`: what is going on, and the whole story of one."""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.finding import FAMILIES, Severity
from streams.commands.shared import fail, print_json, print_table
from streams.commands.shared_incidents import (
    add_common,
    answered,
    as_json,
    iso,
    settings_of,
    shown,
    state_of,
    target_of,
)

if TYPE_CHECKING:
    from alerts.incident import Incident

STATES = ("open", "acked", "snoozed", "resolved", "false_positive")
DEFAULT_LIMIT = 100
MAX_LIMIT = 100_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`[ID]` and filters."""
    parser.add_argument("id", nargs="?", metavar="ID", help="the whole story of one")
    parser.add_argument(
        "--state", action="append", choices=STATES, help="(repeat for several; default: active)"
    )
    parser.add_argument("--all", action="store_true", help="closed ones, too")
    parser.add_argument("--severity", choices=[s.value for s in Severity], help="at least so bad")
    parser.add_argument("--family", choices=FAMILIES)
    parser.add_argument("--tenant", metavar="NAME")
    parser.add_argument("--entity", metavar="ID", help="the key, session or service it is about")
    parser.add_argument("--since", metavar="TIME", help="30m, 2h, 7d, or an ISO 8601 instant")
    parser.add_argument("--limit", type=int, default=DEFAULT_LIMIT, metavar="N")
    add_common(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints them, newest first."""
    return answered(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    from alerts.store_query import Query
    from streams.store import parse_since

    if not 1 <= arguments.limit <= MAX_LIMIT:
        return fail(f"--limit must be between 1 and {MAX_LIMIT}")
    query = Query(target_of(Path(arguments.data), settings_of(arguments)))
    if arguments.id:
        incident = query.incident(arguments.id)
        if incident is None:
            return fail(f"no single incident begins with {arguments.id!r}")
        return _story(incident, query, arguments)
    states = tuple(arguments.state or (() if arguments.all else STATES[:3]))
    found = query.incidents(
        states=states,
        rank=Severity(arguments.severity).rank if arguments.severity else 1,
        family=arguments.family,
        tenant=arguments.tenant,
        entity=arguments.entity,
        since=parse_since(arguments.since, datetime.now(UTC)) if arguments.since else None,
        limit=arguments.limit,
    )
    shown(found, arguments, "Incidents")
    return 0


def _story(incident: "Incident", query: Any, arguments: argparse.Namespace) -> int:
    history, findings = query.history(incident.id), query.findings_of(incident.id)
    if arguments.json:
        told = [{**row, "at": iso(row["at"]), "until": iso(row["until"])} for row in history]
        print_json([{**as_json(incident), "history": told, "all_findings": findings}])
        return 0
    cost = "unknown" if incident.cost_usd is None else f"${incident.cost_usd:,.2f} so far"
    print_table(
        f"Incident {incident.id}",
        ("", ""),
        [
            ("what", f"{incident.title} ({incident.severity})"),
            ("summary", incident.summary),
            ("state", state_of(incident)),
            ("owner", incident.owner or "nobody"),
            ("entity", f"{incident.entity.lane} {incident.entity.id}"),
            ("tenant", incident.tenant or "unknown"),
            ("since", incident.since.isoformat()),
            ("last", incident.last.isoformat()),
            ("cost", cost),
            ("findings", incident.count),
            ("detectors", ", ".join(incident.detectors)),
            ("before it", incident.previous or ""),
        ],
    )
    print_table(
        "History",
        ("at", "who", "what", "why", "until"),
        [
            (iso(r["at"]), r["by"], r["change"], r["reason"], iso(r["until"]))
            for r in history
            if r["change"] != "updated"
        ],
    )
    print_table(
        "Findings",
        ("time", "severity", "detector", "revision", "summary", "id"),
        [
            (f["time"], f["severity"], f["detector"], f["revision"], f["summary"], f["id"][:12])
            for f in findings
        ],
    )
    return 0
