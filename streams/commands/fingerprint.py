"""`tripmeter fingerprint`: what a key is called in events, for lists in the configuration."""

import argparse
import hashlib
import sys
from getpass import getpass

from streams.commands.shared import add_data, fail


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--data DIR`, `--source NAME`."""
    add_data(parser)
    parser.add_argument(
        "--source",
        choices=("key", "litellm"),
        default="key",
        help="litellm names a key by its SHA-256; other sources by the key itself",
    )


def run(arguments: argparse.Namespace) -> int:
    """Reads a key from standard input (never from an argument) and prints its fingerprint."""
    from schemas.identity import Pepper, UnsafePepper, identifier

    path = arguments.data / "pepper"
    if not path.is_file():
        return fail(f"{path} does not exist; `tripmeter serve --data {arguments.data}` makes it")
    try:
        pepper = Pepper.load(path)
    except (UnsafePepper, OSError) as error:
        return fail(str(error))
    key = getpass("key: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not key:
        return fail("no key came; write it to standard input")
    if arguments.source == "litellm" and key.startswith("sk-"):
        key = hashlib.sha256(key.encode()).hexdigest()
    print(identifier(pepper.secret, key))
    return 0
