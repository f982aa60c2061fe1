"""`tripmeter dlq`: what was rejected, why, and another try after an upgrade or a correction."""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

from streams.commands.shared import (
    add_config,
    add_data,
    add_json,
    fail,
    print_json,
    print_table,
)

DEFAULT_LIMIT = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`list`, `show ID`, `retry`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, help in (
        ("list", "the newest rejected originals"),
        ("show", "the structure of one: names and types, never values"),
        ("retry", "convert them again; what passes now is judged"),
    ):
        action = actions.add_parser(name, help=help, description=help)
        add_data(action)
        add_json(action)
        if name == "show":
            action.add_argument("id", metavar="ID")
        else:
            action.add_argument("--source", metavar="NAME", help="only of this sender or file")
            action.add_argument("--limit", type=int, default=DEFAULT_LIMIT, metavar="N")
        if name == "retry":
            add_config(action)
            action.add_argument("id", metavar="ID", nargs="?", help="default: all of them")


def run(arguments: argparse.Namespace) -> int:
    """Runs the action."""
    from streams.quarantine import DATABASE_FILE

    if not (Path(arguments.data) / DATABASE_FILE).exists():
        return fail(f"no quarantine in {arguments.data}; see --data")
    return {"list": _list, "show": _show, "retry": _retry}[arguments.action](arguments)


def _list(arguments: argparse.Namespace) -> int:
    from streams.quarantine import Quarantine

    quarantine = Quarantine(arguments.data)
    entries = quarantine.entries(arguments.limit, arguments.source)
    if arguments.json:
        print_json(entry.shown() for entry in entries)
        return 0
    print_table(
        f"Rejected originals ({quarantine.count()} kept, {quarantine.dropped()} dropped)",
        ("id", "at", "source", "place", "field", "reason", "bytes", "times"),
        [
            (e.id[:12], _when(e.at), e.source, e.place, e.field, e.reason, e.size, e.times)
            for e in entries
        ],
    )
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from streams.quarantine import Quarantine
    from streams.seal import QuarantineLocked
    from streams.structure import structure

    quarantine = Quarantine(arguments.data)
    entry = quarantine.get(arguments.id)
    if entry is None:
        return fail(f"no single entry begins with {arguments.id!r}; see `tripmeter dlq list`")
    try:
        lines = structure(quarantine.original(entry.id))
    except QuarantineLocked as error:
        return fail(str(error))
    if arguments.json:
        print(json.dumps({**entry.shown(), "structure": lines}))
        return 0
    print_table(f"Entry {entry.id}", ("", ""), [*entry.shown().items()])
    print_table("Structure (no values)", ("",), [(line,) for line in lines])
    return 0


def _retry(arguments: argparse.Namespace) -> int:
    from streams.configuration import load
    from streams.retry import retry
    from streams.wiring import EXTRAS

    settings = load(arguments.config, EXTRAS)
    told = retry(arguments.data, settings, arguments.id, arguments.source, arguments.limit)
    if arguments.json:
        print(json.dumps(told.__dict__))
    else:
        print(f"{told.tried} tried, {told.events} events accepted, {told.left} entries left")
        if told.events:
            print(
                "they are in the journal; a running serve judges them now, another when it starts"
            )
    return 0


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
