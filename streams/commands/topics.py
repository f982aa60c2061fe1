"""`tripmeter topics`: create the topics, or say what is wrong with them."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from streams.cli import EXIT_CONFIG, EXIT_OK
from streams.commands.shared import DEFAULT_DATA, add_json, fail, print_table
from streams.commands.shared_kafka import add_kafka, answered, configured

if TYPE_CHECKING:
    from schemas.identity import Pepper
    from streams.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--bootstrap HOST:PORT [--create [--alter] | --check]`."""
    add_kafka(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--create", action="store_true", help="create what is missing")
    what.add_argument("--check", action="store_true", help="say what differs (the default)")
    parser.add_argument(
        "--alter", action="store_true", help="with --create: also set options that differ"
    )
    parser.add_argument(
        "--grant",
        action="append",
        default=[],
        metavar="ROLE=USER",
        help="with --create: give a user the rights of ingest, worker, deliver or sender",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder with the pepper all processes share; --create makes one there"
        f" (default: ./{DEFAULT_DATA}, if it has one)",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 when all topics are as needed, 78 when they are not, 69 when no broker answers."""
    from streams.kafka.grants import parse

    try:
        arguments.grant = [parse(text) for text in arguments.grant]
    except ValueError as error:
        return fail(f"--grant: {error}")
    settings = configured(arguments)
    return answered(lambda: (_create if arguments.create else _check)(arguments, settings))


def _create(arguments: argparse.Namespace, settings: "Settings") -> int:
    from kafka.errors import KafkaError

    from streams.kafka import clients, installation
    from streams.kafka.grants import make
    from streams.kafka.provision import CannotCreate, alter, check, create
    from streams.kafka.topics import Names, specs

    kafka, base = settings.kafka, settings.base
    if arguments.data is not None:
        pepper: Pepper | None = installation.make_pepper(kafka, base, arguments.data)
    else:
        pepper = installation.find_pepper(kafka, base, DEFAULT_DATA)
    admin = clients.admin(kafka, base)
    try:
        wanted = specs(kafka)
        made = create(admin, wanted)
        agreed = installation.establish(kafka, base, pepper)
        make(admin, Names(kafka.prefix), arguments.grant)
        changed = alter(admin, check(admin, kafka), wanted) if arguments.alter else []
    except CannotCreate as error:
        return fail(f"the broker refused: {error}", EXIT_CONFIG)
    except KafkaError as error:
        raise clients.away(kafka, error) from None
    finally:
        admin.close()
    _tell(arguments, [(name, "created") for name in made] + [(name, "altered") for name in changed])
    if agreed.pepper is None:
        print(
            "no pepper yet: the first process that has one decides;"
            " `tripmeter topics --create --data DIR` makes one",
            file=sys.stderr,
        )
    return _check(arguments, settings)


def _check(arguments: argparse.Namespace, settings: "Settings") -> int:
    from kafka.errors import KafkaError

    from streams.kafka import clients, installation
    from streams.kafka.provision import check

    kafka, base = settings.kafka, settings.base
    agreed = installation.read(kafka, base)
    admin = clients.admin(kafka, base)
    try:
        found = check(admin, agreed.settle(kafka) if agreed else kafka)
    except KafkaError as error:
        raise clients.away(kafka, error) from None
    finally:
        admin.close()
    for difference in found:
        if arguments.json:
            print(json.dumps({"topic": difference.topic, "what": difference.what,
                              "remedy": difference.remedy}))  # fmt: skip
        else:
            print(difference.line())
    pepper = installation.find_pepper(kafka, base, arguments.data or DEFAULT_DATA)
    installation.agree(kafka, base, pepper)
    if not found and not arguments.json:
        print("all topics are as needed")
    return EXIT_CONFIG if found else EXIT_OK


def _tell(arguments: argparse.Namespace, rows: list[tuple[str, str]]) -> None:
    if arguments.json:
        for topic, what in rows:
            print(json.dumps({"topic": topic, "what": what}))
    elif rows:
        print_table("Topics", ("topic", "what happened"), rows)
