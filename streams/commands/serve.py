"""`tripmeter serve`: take events in, judge them, tell people."""

import argparse
from pathlib import Path

from streams.commands.shared import add_config, add_data, fail, log_to_stderr


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--data DIR [--listen ADDRESS:PORT] [--config FILE]`."""
    add_data(parser)
    add_config(parser)
    parser.add_argument(
        "--listen", metavar="ADDRESS:PORT", help="instead of the configured address"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serves until SIGTERM; 75 when the data directory is in use, 70 when judging failed."""
    from streams.configuration import load
    from streams.wiring import EXTRAS, token_problems

    log_to_stderr()
    overrides = {"server": {"listen": arguments.listen}} if arguments.listen else {}
    settings = load(
        arguments.config, (*EXTRAS, token_problems), overrides
    )  # before anything is opened
    from streams.collector import calm
    from streams.serve import EXIT_BUSY, DataInUse, serve

    calm()
    try:
        return serve(Path(arguments.data), settings)
    except DataInUse as error:
        return fail(str(error), EXIT_BUSY)
