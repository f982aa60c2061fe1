"""`tripmeter version`: which program this is."""

import argparse
import platform

UNINSTALLED = "0+source"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Takes none."""


def run(_: argparse.Namespace) -> int:
    """Prints the versions of tripmeter, of its event schema, and of Python."""
    from schemas.event import SCHEMA_VERSION

    print(f"tripmeter {version()} (events {SCHEMA_VERSION}, Python {platform.python_version()})")
    return 0


def version() -> str:
    """The installed version, or a name that says it runs from its source."""
    from importlib import metadata

    try:
        return metadata.version("tripmeter")
    except metadata.PackageNotFoundError:
        return UNINSTALLED
