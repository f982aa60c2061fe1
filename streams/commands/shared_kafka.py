"""Options and errors that the commands of Kafka have in common."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from streams.commands.shared import add_config, fail

if TYPE_CHECKING:
    from streams.settings import Settings

EXIT_UNAVAILABLE = 69  # no broker answers; a supervisor should try again


def add_kafka(parser: argparse.ArgumentParser) -> None:
    """`--bootstrap HOST:PORT [--config FILE]`."""
    parser.add_argument(
        "--bootstrap",
        metavar="HOST:PORT",
        help="brokers, with commas between (default: kafka.bootstrap of the configuration)",
    )
    add_config(parser)


def configured(
    arguments: argparse.Namespace, overrides: dict[str, dict[str, Any]] | None = None
) -> "Settings":
    """The settings with `--bootstrap` applied.

    Raises:
        BadConfig: file, line, key, what is wrong, what to do.
    """
    from streams.configuration import load
    from streams.wiring import EXTRAS

    overrides = dict(overrides or {})
    if arguments.bootstrap:
        overrides["kafka"] = {"bootstrap": arguments.bootstrap, **overrides.get("kafka", {})}
    return load(arguments.config, EXTRAS, overrides)


def answered(work: Callable[[], int]) -> int:
    """Runs a command and puts the errors of a broker in words and exit codes."""
    from streams.kafka.clients import BrokerAway

    try:
        return work()
    except BrokerAway as error:
        return fail(str(error), EXIT_UNAVAILABLE)
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("kafka", "aiokafka", "faust"):
            raise
        return fail("this command needs `pip install '.[kafka]'`")
