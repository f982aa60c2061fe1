"""`tripmeter resolve ID...`: it is over, or it never was one."""

import argparse

from streams.commands.shared_incidents import act, add_by, add_common


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`ID... [--false-positive | --reopen] [--reason TEXT] [--by NAME]`."""
    parser.add_argument("ids", nargs="+", metavar="ID", help="incident, or the beginning of its id")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--false-positive", action="store_true", help="it never was one")
    how.add_argument("--reopen", action="store_true", help="it is not over, after all")
    add_by(parser, reason=False)
    add_common(parser)


def run(arguments: argparse.Namespace) -> int:
    """Closes incidents; a recurrence reopens them, after a false positive it opens another."""
    if arguments.reopen:
        return act(arguments, "reopen")
    return act(arguments, "false_positive" if arguments.false_positive else "resolve")
