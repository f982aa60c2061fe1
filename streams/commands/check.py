"""`tripmeter check`: whether a configuration can be used, and if not, where and why."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`[FILE]`."""
    parser.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="default: tripmeter.toml"
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints a summary; every problem goes to standard error with exit code 78."""
    from streams.configuration import DEFAULT_FILE, load
    from streams.wiring import EXTRAS, core_settings, missing_secrets, token_problems

    settings = load(arguments.file, (*EXTRAS, token_problems, missing_secrets))
    core = core_settings(settings)
    default = DEFAULT_FILE if DEFAULT_FILE.is_file() else "built-in defaults"
    print(f"{arguments.file or default}: fine")
    print(f"  listens on    {settings.server.listen}")
    print(f"  alert budget  {core.alert_budget} false alerts per key-month")
    changed = ", ".join(f"{name} {mode}" for name, mode in sorted(settings.detectors.items()))
    print(f"  detectors     {changed or 'all active'}")
    print(f"  tokens        {', '.join(sorted(settings.tokens)) or 'the one made on first run'}")
    where = [f"{name} ({kind.get('type')})" for name, kind in sorted(settings.destinations.items())]
    if settings.store.findings_file:
        where.insert(0, f"{settings.store.findings_file} (file)")
    print(f"  destinations  {', '.join(where) or 'none'}")
    return 0
