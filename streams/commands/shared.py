"""Options and printing that several commands have in common."""

import argparse
import json
import logging
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

DEFAULT_DATA = Path("tripmeter-data")


def add_data(parser: argparse.ArgumentParser) -> None:
    """`--data DIR`."""
    parser.add_argument(
        "--data",
        type=Path,
        default=DEFAULT_DATA,
        metavar="DIR",
        help=f"data directory (default: ./{DEFAULT_DATA})",
    )


def add_config(parser: argparse.ArgumentParser) -> None:
    """`--config FILE`."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="configuration (default: ./tripmeter.toml, if there is one)",
    )


def add_format(parser: argparse.ArgumentParser) -> None:
    """`--format NAME`."""
    parser.add_argument(
        "--format", type=_format, default="auto", metavar="NAME", help="auto, or a known format"
    )


def budget(text: str) -> float:
    """An alert budget of the command line."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1000:
        raise argparse.ArgumentTypeError(
            "a budget is a number above 0 and at most 1000: false alerts a key-month"
        )
    return number


def _format(text: str) -> str:
    from schemas.adapters import FORMATS

    if text not in ("auto", *FORMATS):
        known = ", ".join(("auto", *FORMATS))
        raise argparse.ArgumentTypeError(f"no such format; known here: {known}")
    return text


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def print_json(rows: Iterable[Any]) -> None:
    """One object a line."""
    for row in rows:
        print(json.dumps(row, default=str))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A drawn table on a terminal, tab-separated lines elsewhere; contents stay on their line."""
    cells = [[safe(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for row in cells:
            print("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    for row in cells:
        table.add_row(*map(Text, row))
    Console().print(table)


def safe(value: Any) -> str:
    """Text for a terminal: control, bidirectional and other unprintable characters escaped.

    >>> safe("a\\x1b[2Jb\\u202e")
    'a\\\\x1b[2Jb\\\\u202e'
    """
    text = "" if value is None else str(value)
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def fail(message: str, code: int = 2) -> int:
    """Prints a reason on standard error and gives the exit code."""
    print(f"tripmeter: {message}", file=sys.stderr)
    return code


def log_to_stderr() -> None:
    """Sends the log of a process that stays to standard error, in UTC."""
    formatter = logging.Formatter(
        "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "slack_sdk", "asyncio", "uvicorn", "kafka", "aiokafka"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
