"""`tripmeter expected ID`: this is how it is meant to be; do not tell it again for a while."""

import argparse
import json
from datetime import UTC, datetime

from streams.commands.shared_incidents import (
    act,
    add_by,
    add_common,
    add_until,
    answered,
    desk_of,
    end_of,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`ID... --reason TEXT [--for TIME] [--preview] [--by NAME]`."""
    parser.add_argument("ids", nargs="+", metavar="ID", help="incident, or the beginning of its id")
    add_until(parser, "the like is hidden", "30d")
    parser.add_argument(
        "--preview", action="store_true", help="only say what it would have hidden in 30 days"
    )
    add_by(parser, reason=True)
    add_common(parser)


def run(arguments: argparse.Namespace) -> int:
    """Closes incidents and hides the same detectors' findings on the same entity."""
    return (
        answered(lambda: _preview(arguments)) if arguments.preview else act(arguments, "expected")
    )


def _preview(arguments: argparse.Namespace) -> int:
    from alerts.incident import Action

    now = datetime.now(UTC)
    desk = desk_of(arguments)
    until = end_of(arguments.until, now)
    for id in arguments.ids:
        action = Action(
            verb="expected", by=arguments.by, at=now, reason=arguments.reason, until=until
        )
        for control in desk.expected(id, action):
            preview = desk.preview(control)
            if arguments.json:
                print(json.dumps({"detector": control.detector, **preview.as_json()}))
            else:
                print(f"{control.detector}: {preview.told}")
    return 0
