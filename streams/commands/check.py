"""`tripmeter check`: whether a configuration can be used, and if not, where and why."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alerts.destinations import Destinations

EXIT_FAILED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`[FILE] [--connect]`."""
    parser.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="default: tripmeter.toml"
    )
    parser.add_argument(
        "--connect", action="store_true", help="also talk to every destination, telling it nothing"
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints a summary; every problem goes to standard error with exit code 78.

    With --connect: 1 when a destination cannot be used.
    """
    from alerts.destinations import Destinations
    from streams.configuration import DEFAULT_FILE, load
    from streams.kafka.checked import kafka_problems
    from streams.wiring import EXTRAS, core_settings, missing_secrets, token_problems

    settings = load(arguments.file, (*EXTRAS, token_problems, missing_secrets, kafka_problems))
    core = core_settings(settings)
    default = DEFAULT_FILE if DEFAULT_FILE.is_file() else "built-in defaults"
    print(f"{arguments.file or default}: fine")
    print(f"  listens on    {settings.server.listen}")
    if settings.kafka.model_fields_set:
        print(f"  kafka         {settings.kafka.bootstrap} ({settings.kafka.security})")
    print(f"  alert budget  {core.alert_budget} false alerts per key-month")
    changed = ", ".join(f"{name} {mode}" for name, mode in sorted(settings.detectors.items()))
    print(f"  detectors     {changed or 'all active'}")
    print(f"  tokens        {', '.join(sorted(settings.tokens)) or 'the one made on first run'}")
    where = [f"{name} ({kind.get('type')})" for name, kind in sorted(settings.destinations.items())]
    if settings.store.findings_file:
        where.insert(0, f"{settings.store.findings_file} (file)")
    print(f"  destinations  {', '.join(where) or 'none'}")
    others = ("findings-file",) if settings.store.findings_file else ()
    destinations = Destinations(settings.destinations, settings.base, settings.routes, others)
    if settings.routes:
        print(
            f"  routes        {len(settings.routes)}; `tripmeter route explain` tells who gets what"
        )
    if destinations.leftovers and not others:
        print("  note          what no route matches is told to nobody")
    return _connect(destinations) if arguments.connect else 0


def _connect(destinations: "Destinations") -> int:
    """Asks every destination whether it would take what it gets."""
    from streams.commands.shared import safe

    code = 0
    for name, works, told in destinations.probe():
        print(f"  {name}: {safe(told)}")
        code = code if works else EXIT_FAILED
    return code
