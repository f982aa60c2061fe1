"""`tripmeter init`: write a configuration file in which every default is explained."""

import argparse
import sys
from pathlib import Path

from streams.commands.shared import fail


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`[FILE]`."""
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        default=Path("tripmeter.toml"),
        metavar="FILE",
        help="default: tripmeter.toml; - is standard output",
    )


def run(arguments: argparse.Namespace) -> int:
    """Writes it; never over a file that is there."""
    from streams.template import template

    text = template()
    if str(arguments.file) == "-":
        sys.stdout.write(text)
        return 0
    try:
        with arguments.file.open("x") as file:
            file.write(text)
    except FileExistsError:
        return fail(f"{arguments.file} is already there; it was left as it is")
    except OSError as error:
        return fail(f"{arguments.file}: {error.strerror}")
    print(f"{arguments.file} written; every line in it is a default. Next: tripmeter serve")
    return 0
