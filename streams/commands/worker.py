"""`tripmeter worker`: route and judge what is on Kafka; add workers and they share the load."""

import argparse

from streams.commands.shared import add_data, log_to_stderr
from streams.commands.shared_kafka import add_kafka, answered, configured


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--bootstrap HOST:PORT [--data DIR] [--listen ADDRESS:PORT] [--config FILE]`."""
    add_kafka(parser)
    add_data(parser)
    parser.add_argument(
        "--listen",
        metavar="ADDRESS:PORT",
        default="127.0.0.1:0",
        help="where /healthz, /readyz and /metrics answer (default: a free port of this machine)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Until SIGTERM; 78 with another pepper, 69 without a broker, 70 when it cannot go on."""
    log_to_stderr()
    settings = configured(arguments, {"server": {"listen": arguments.listen}})

    def work() -> int:
        from streams.kafka.working import work

        return work(arguments.data, settings)

    return answered(work)
