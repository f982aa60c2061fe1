"""`tripmeter dlq`: what was rejected, why, and another try after an upgrade or a correction."""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from streams.commands.shared import add_data, add_json, fail, print_json, print_table
from streams.commands.shared_kafka import add_kafka, answered, configured

if TYPE_CHECKING:
    from streams.retry import Told

DEFAULT_LIMIT = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`list`, `show ID`, `retry`, `pull`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, help in (
        ("list", "the newest rejected originals"),
        ("show", "the structure of one: names and types, never values"),
        ("retry", "convert them again; what passes now is judged"),
        ("pull", "Kafka: bring rejected originals from their topic here"),
    ):
        action = actions.add_parser(name, help=help, description=help)
        add_data(action)
        add_json(action)
        if name == "show":
            action.add_argument("id", metavar="ID")
        elif name != "pull":
            action.add_argument("--source", metavar="NAME", help="only of this sender or file")
            default = DEFAULT_LIMIT if name == "list" else None
            help = f"only the newest N (default: {default or 'all'})"
            action.add_argument("--limit", type=int, default=default, metavar="N", help=help)
        if name in ("retry", "pull"):
            add_kafka(action)
        if name == "retry":
            action.add_argument("id", metavar="ID", nargs="?", help="default: all of them")


def run(arguments: argparse.Namespace) -> int:
    """Runs the action."""
    from streams.quarantine import DATABASE_FILE

    if arguments.action == "pull":
        return answered(lambda: _pull(arguments))
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
    if arguments.bootstrap:
        return answered(lambda: _retry_on_kafka(arguments))
    from streams.configuration import load
    from streams.retry import retry
    from streams.wiring import EXTRAS

    settings = load(arguments.config, EXTRAS)
    told = retry(arguments.data, settings, arguments.id, arguments.source, arguments.limit)
    where = "in the journal; a running serve judges them now, another when it starts"
    return _tell(arguments, told, where)


def _retry_on_kafka(arguments: argparse.Namespace) -> int:
    from streams.kafka.ingest import shared_pepper
    from streams.kafka.pull import sender
    from streams.retry import retry

    settings = configured(arguments)
    pepper = shared_pepper(settings, arguments.data)
    append, producer = sender(settings.kafka, settings.base)
    try:
        told = retry(
            arguments.data,
            settings,
            arguments.id,
            arguments.source,
            arguments.limit,
            append,
            pepper,
        )
    finally:
        producer.close()
    return _tell(arguments, told, "on the events topic; workers judge them")


def _tell(arguments: argparse.Namespace, told: "Told", where: str) -> int:
    if arguments.json:
        print(json.dumps(told.__dict__))
    else:
        print(f"{told.tried} tried, {told.events} events accepted, {told.left} entries left")
        if told.events:
            print(f"they are {where}")
    return 0


def _pull(arguments: argparse.Namespace) -> int:
    from streams.kafka.pull import pull

    settings = configured(arguments)
    Path(arguments.data).mkdir(mode=0o700, parents=True, exist_ok=True)
    told = pull(settings.kafka, settings.base, arguments.data)
    if arguments.json:
        print(json.dumps(told.__dict__))
        return 0
    print(f"{told.kept} rejected originals kept in {arguments.data}")
    if told.locked:
        print(f"{told.locked} were sealed with another key; see kafka.invalid_key_file")
    if told.unknown:
        print(f"{told.unknown} records of the topic are none of ours")
    return 0


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
