"""`tripmeter lag`: how many records workers have yet to judge."""

import argparse
import json
from typing import TYPE_CHECKING

from streams.commands.shared import add_json, print_table
from streams.commands.shared_kafka import add_kafka, answered, configured

if TYPE_CHECKING:
    from streams.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--bootstrap HOST:PORT [--json]`."""
    add_kafka(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints it; 0 whatever it is, 69 when no broker answers."""
    settings = configured(arguments)
    return answered(lambda: _print(arguments, settings))


def _print(arguments: argparse.Namespace, settings: "Settings") -> int:
    from streams.kafka.lag import measure

    lag = measure(settings.kafka, settings.base)
    if arguments.json:
        print(json.dumps(lag.shown()))
        return 0
    print_table("Records to judge", ("topic", "records"), [*lag.topics().items()])
    shown = lag.shown()
    print(f"{lag.total:,} records to judge, {shown['deliver']:,} findings to deliver")
    if shown["lost"]:
        print(f"{shown['lost']:,} records left their topic before a worker read them")
    return 0
