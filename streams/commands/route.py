"""`tripmeter route explain`: who would be told of a finding, and why."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from streams.commands.shared import (
    add_config,
    add_data,
    add_json,
    fail,
    print_json,
    print_table,
    safe,
)

if TYPE_CHECKING:
    from alerts.incident import Incident
    from alerts.routes import Decision, Reading
    from schemas.finding import Finding

MAX_FILE = 64 * 2**20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`explain FINDING`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    action = actions.add_parser(
        "explain",
        help="who would be told of a finding, and why",
        description="who is told, and why",
    )
    add_data(action)
    add_config(action)
    add_json(action)
    action.add_argument(
        "finding",
        metavar="FINDING",
        help="id of a finding, or a file of findings as `findings --json` and `replay --json`"
        " print them; - is standard input",
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints the routes that were looked at, and a line for every destination."""
    from streams.configuration import load
    from streams.delivery import Delivery
    from streams.wiring import EXTRAS

    router = Delivery(Path(arguments.data), load(arguments.config, EXTRAS)).router
    try:
        findings = _findings(arguments)
    except _NotThere as error:
        return fail(str(error))
    for finding in findings:
        incident = _incident(finding)
        readings = router.read(finding)
        people = {each.destination: each for each in router.decide(incident)}
        decisions = [
            people[each.destination] if each.why.startswith("takes incidents") else each
            for each in router.decide(finding)
        ]
        if arguments.json:
            print_json([_told(finding, readings, decisions)])
        else:
            _show(finding, readings, decisions)
    return 0


def _incident(finding: "Finding") -> "Incident":
    """The incident it would open, if it were the first of its kind."""
    from alerts.incident import Policy
    from alerts.incident_steps import receive

    return receive(None, finding, finding.time, Policy())


class _NotThere(Exception):
    pass


def _findings(arguments: argparse.Namespace) -> "list[Finding]":
    from schemas.finding import Finding
    from streams.store import Findings

    path = Path(arguments.finding)
    if arguments.finding == "-" or path.is_file():
        text = sys.stdin.buffer if arguments.finding == "-" else path.open("rb")
        with text as file:
            lines = file.read(MAX_FILE).splitlines()
        try:
            return [Finding.model_validate_json(line) for line in lines if line.strip()]
        except ValueError:
            hint = "one finding a line, as `tripmeter findings --json` prints them"
            raise _NotThere(f"{arguments.finding}: is not a file of findings ({hint})") from None
    try:
        store = Findings(arguments.data)
    except FileNotFoundError:
        hint = "has `tripmeter serve` run there? see --data"
        raise _NotThere(f"no findings in {arguments.data}, and no such file: {hint}") from None
    revisions = store.revisions(arguments.finding)
    store.close()
    if not revisions:
        told = f"no single finding begins with {arguments.finding!r}, and there is no such file"
        raise _NotThere(f"{told}; see `tripmeter findings`")
    return [Finding.model_validate(revisions[-1])]


def _told(
    finding: "Finding", readings: "list[Reading]", decisions: "list[Decision]"
) -> dict[str, object]:
    return {
        "finding": finding.id,
        "revision": finding.revision,
        "routes": [{"route": each.title, "differs": each.differs} for each in readings],
        "destinations": [each._asdict() for each in decisions],
    }


def _show(finding: "Finding", readings: "list[Reading]", decisions: "list[Decision]") -> None:
    print(safe(f"{finding.id}: {finding.detector}, {finding.severity}, {finding.tenant or '-'}"))
    for each in readings:
        print(f"  {safe(each.title)}: {safe(each.differs or 'matches')}")
    print_table(
        "Who is told",
        ("destination", "told", "why"),
        [(each.destination, "yes" if each.told else "no", each.why) for each in decisions],
    )
