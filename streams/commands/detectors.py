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
    from streams.coverage import UnknownSource, provides

    provided: frozenset[str] | None = None
    if arguments.source:
        try:
            provided = provides(arguments.source)
        except UnknownSource as error:
            return fail(str(error))
    rows = [_row(detector.about, provided) for detector in CATALOG]
    if arguments.json:
        print_json(rows)
        return 0
    columns = ["id", "family", "severity", "needs", "blind_spot"]
    if provided is not None:
        columns.append("coverage")
    print_table("Detectors", columns, [[row[column] for column in columns] for row in rows])
    return 0


def _row(about: About, provided: frozenset[str] | None) -> dict[str, str]:
    row = {
        "id": about.id,
        "family": about.family,
        "severity": about.severity.value,
        "needs": ", ".join(about.needs),
        "blind_spot": about.blind_spot,
    }
    if provided is not None:
        missing = [name for name in about.needs if name not in provided]
        row["coverage"] = f"not covered: no {', '.join(missing)}" if missing else "covered"
    return row
