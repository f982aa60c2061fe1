"""`tripmeter ingest`: the endpoints of `serve`, in front of Kafka."""

import argparse

from streams.commands.shared import add_data, log_to_stderr
from streams.commands.shared_kafka import add_kafka, answered, configured


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--bootstrap HOST:PORT [--data DIR] [--listen ADDRESS:PORT] [--config FILE]`."""
    add_kafka(parser)
    add_data(parser)
    parser.add_argument(
        "--listen", metavar="ADDRESS:PORT", help="instead of the configured address"
    )


def run(arguments: argparse.Namespace) -> int:
    """Until SIGTERM; 78 with another pepper, 69 without a broker, 70 when it cannot go on."""
    log_to_stderr()
    listen = {"server": {"listen": arguments.listen}} if arguments.listen else {}
    settings = configured(arguments, listen)

    def work() -> int:
        from streams.kafka.ingest import ingest

        return ingest(arguments.data, settings)

    return answered(work)
