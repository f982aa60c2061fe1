"""`tripmeter serve`: take events in, judge them, tell people."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from streams.commands.shared import add_config, add_data, fail, log_to_stderr

if TYPE_CHECKING:
    from streams.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--data DIR [--listen ADDRESS:PORT] [--config FILE]`."""
    add_data(parser)
    add_config(parser)
    parser.add_argument(
        "--listen", metavar="ADDRESS:PORT", help="instead of the configured address"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serves until SIGTERM; 75 when the data directory is in use, 70 when judging failed.

    SIGHUP reads destinations and routes again.
    """
    from streams.configuration import load
    from streams.wiring import EXTRAS, token_problems

    log_to_stderr()
    overrides = {"server": {"listen": arguments.listen}} if arguments.listen else {}

    def configured() -> "Settings":
        return load(arguments.config, (*EXTRAS, token_problems), overrides)

    settings = configured()  # before anything is opened
    from streams.collector import calm
    from streams.serve import EXIT_BUSY, DataInUse, serve

    calm()
    try:
        return serve(Path(arguments.data), settings, configured)
    except DataInUse as error:
        return fail(str(error), EXIT_BUSY)
