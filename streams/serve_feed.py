"""The feed inside `serve`: the same store, a thread and an address of its own."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streams.configuration import BadConfig
from streams.decide import Emit
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.store import Store

log = logging.getLogger("tripmeter.serve")


@contextmanager
def serve_feed(
    settings: Settings,
    store: "Store",
    emit: Emit,
    judging: Callable[[], tuple[list[str], int]],
) -> Iterator[None]:
    """Serves the feed while the block runs, where it is wanted and installed.

    Args:
        judging: what keeps judging from working, and how many events wait.
    Raises:
        BadConfig: its certificate cannot be used.
    """
    from streams.commands.feed import lacking, told

    if not settings.feed.enabled:
        yield
        return
    if missing := lacking():
        log.warning("no feed: %s", missing)
        yield
        return
    from alerts.feed.health import Runner
    from streams.feed import Probe, Served, listen, make_feed

    def runner() -> Runner:
        troubles, lag = judging()
        return Runner(True, troubles, lag)

    try:
        listener = listen(settings.feed)
    except BadConfig as error:  # events must not be refused because a page cannot be shown
        log.error("no feed: %s", error)
        yield
        return
    try:
        feed = make_feed(store.alerts, emit, settings.feed, Probe(runner))
        served = Served(feed, listener, settings.feed)
        told(served.url, served.first_link())
        served.start()
    except BaseException:
        listener.close()
        raise
    try:
        yield
    finally:
        served.stop()
        listener.close()
