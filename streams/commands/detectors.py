"""`tripmeter detectors`: what can be detected, and what a source is able to show."""

import argparse

from schemas.finding import About
from streams.commands.shared import add_json, fail, print_json, print_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--json`, `--source NAME`."""
    add_json(parser)
    parser.add_argument(
        "--source", metavar="NAME", help="which detectors this source gives enough fields for"
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints the catalog."""
    from detectors import CATALOG
    from streams.coverage import UnknownSource

    try:
        rows = [_row(detector.about, arguments.source) for detector in CATALOG]
    except UnknownSource as error:
        return fail(str(error))
    if arguments.json:
        print_json(rows)
        return 0
    columns = ["id", "family", "severity", "needs", "blind_spot"]
    if arguments.source:
        columns.append("coverage")
    print_table("Detectors", columns, [[row[column] for column in columns] for row in rows])
    return 0


def _row(about: About, source: str | None) -> dict[str, str]:
    from streams.coverage import missing

    row = {
        "id": about.id,
        "family": about.family,
        "severity": about.severity.value,
        "needs": ", ".join((*(f"{kind} events" for kind in about.kinds), *about.needs)),
        "blind_spot": about.blind_spot,
    }
    if source:
        lacking = missing(about, source)
        row["coverage"] = f"not covered: no {', '.join(lacking)}" if lacking else "covered"
    return row
