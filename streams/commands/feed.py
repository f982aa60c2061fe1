"""`tripmeter feed`: the page for analysts and the feed for machines, on what `serve` writes."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from streams.commands.shared import add_config, add_data, fail, log_to_stderr

if TYPE_CHECKING:
    from streams.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--data DIR [--listen ADDRESS:PORT] [--open] [--link NAME] [--config FILE]`."""
    add_data(parser)
    add_config(parser)
    parser.add_argument(
        "--listen", metavar="ADDRESS:PORT", help="instead of the configured address"
    )
    parser.add_argument("--open", action="store_true", help="open it in the browser")
    parser.add_argument(
        "--link", metavar="NAME", help="print a new one-time link for a local user, and serve"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serves until SIGTERM or Ctrl-C; 2 when there is no store."""
    from streams.commands.shared_incidents import NoStore, target_of
    from streams.configuration import load
    from streams.wiring import EXTRAS

    log_to_stderr()
    overrides = {"feed": {"listen": arguments.listen}} if arguments.listen else {}
    settings = load(arguments.config, EXTRAS, overrides)
    data = Path(arguments.data)
    try:
        target_of(data, settings)
    except NoStore as error:
        return fail(str(error))
    if missing := lacking():
        return fail(missing)
    return serve(data, settings, open_it=arguments.open, link=arguments.link)


def lacking() -> str:
    """What is not installed; empty when all is there."""
    import importlib.util

    for name in ("fastapi", "jinja2", "argon2", "multipart", "markdown_it"):
        if importlib.util.find_spec(name) is None:
            return f"the feed needs {name}: pip install '.[feed]'"
    return ""


def serve(
    data: Path,
    settings: "Settings",
    *,
    open_it: bool = False,
    link: str | None = None,
) -> int:
    """Serves a folder's store until a signal.

    Args:
        link: a local user who gets a new one-time link.
    Raises:
        BadConfig: the address cannot be used.
    """
    from alerts.feed.accounts import BadAccount
    from streams.commands.shared_incidents import store_of
    from streams.decide import from_outside
    from streams.feed import Served, beginning, clock, listen, lock_probe, make_feed

    store = store_of(argparse.Namespace(data=data), settings)
    feed = make_feed(
        store, from_outside(data, settings), settings.feed, lock_probe(data), clock(data)
    )
    listener = listen(settings.feed)
    served = Served(feed, listener, settings.feed)
    served.server.until_signal()
    page = beginning(data, store)
    try:
        way_in = served.first_link(page) or (served.link(link, page) if link else None)
    except BadAccount as error:
        listener.close()
        return fail(f"--link {link}: {error}")
    told(served.url, way_in)
    if open_it:
        import webbrowser

        webbrowser.open(way_in or served.url)
    try:
        served.run()
    finally:
        store.close()
    return 0


def told(url: str, way_in: str | None) -> None:
    """Says where it is; a one-time link is written once, to the terminal and nowhere else."""
    print(f"The feed is at {url}", file=sys.stderr)
    if way_in is not None:
        print(f"Sign in with this link; it works once, for a day:\n  {way_in}", file=sys.stderr)
