"""`tripmeter deliver`: findings from Kafka to whoever is to be told."""

import argparse
from typing import TYPE_CHECKING

from streams.commands.shared import add_data, log_to_stderr
from streams.commands.shared_kafka import add_kafka, answered, configured

if TYPE_CHECKING:
    from streams.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--bootstrap HOST:PORT [--data DIR] [--listen ADDRESS:PORT] [--config FILE]`."""
    add_kafka(parser)
    add_data(parser)
    parser.add_argument(
        "--listen",
        default="127.0.0.1:0",
        metavar="ADDRESS:PORT",
        help="of /healthz, /readyz and /metrics (default: any free port of this machine)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Until SIGTERM; 78 with another pepper, 69 without a broker."""
    log_to_stderr()

    def load() -> "Settings":
        return configured(arguments, {"server": {"listen": arguments.listen}})

    settings = load()

    def work() -> int:
        from streams.kafka.deliver import deliver

        return deliver(arguments.data, settings, load)

    return answered(work)
