"""`tripmeter ack ID...`: somebody looks at it; others need not."""

import argparse

from streams.commands.shared_incidents import act, add_by, add_common, add_until


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`ID... [--for TIME] [--reason TEXT] [--by NAME]`."""
    parser.add_argument("ids", nargs="+", metavar="ID", help="incident, or the beginning of its id")
    add_until(parser, "it holds", "incidents.ack_hours")
    add_by(parser, reason=False)
    add_common(parser)


def run(arguments: argparse.Namespace) -> int:
    """Acknowledges; findings still come in, and it wakes people when it gets worse or runs out."""
    return act(arguments, "ack")
