"""`tripmeter snooze ID...`: not now; it comes back."""

import argparse

from streams.commands.shared_incidents import act, add_by, add_common, add_until


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`ID... [--for TIME] [--reason TEXT] [--by NAME]`."""
    parser.add_argument("ids", nargs="+", metavar="ID", help="incident, or the beginning of its id")
    add_until(parser, "it sleeps", "incidents.snooze_hours")
    add_by(parser, reason=False)
    add_common(parser)


def run(arguments: argparse.Namespace) -> int:
    """Puts incidents off; a higher severity wakes them earlier."""
    return act(arguments, "snooze")
