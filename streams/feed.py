"""Joins the runner to the feed: the store, the decisions, what is known of judging, the address."""

import fcntl
import logging
import ssl
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alerts.feed.settings import FeedSettings
from alerts.incident_desk import Desk, Emit
from alerts.store import AlertStore
from alerts.store_query import Query
from streams.configuration import BadConfig
from streams.settings import split_address

if TYPE_CHECKING:
    import socket

    from alerts.feed.context import Feed
    from alerts.feed.health import Runner

CLOCK_FILE = "demo-clock"  # in a folder made by `demo`: the instant at which its clock begins

log = logging.getLogger("tripmeter.feed")


class Probe:
    """What the feed cannot see in the store.

    Args:
        runner: how judging goes.
    """

    def __init__(self, runner: Callable[[], "Runner"]) -> None:
        self.runner = runner

    def coverage(self, sources: Sequence[str]) -> Sequence[tuple[str, Sequence[str]]]:
        """Each detector, and the fields it lacks from all of these sources together."""
        from detectors import CATALOG
        from streams.coverage import missing
        from streams.coverage import sources as adapters

        known = [name for name in (adapter_of(s, adapters()) for s in sources) if name]
        if not known:
            return ()
        lacks = [(d.about.id, [set(missing(d.about, name)) for name in known]) for d in CATALOG]
        return [(id, sorted(set.intersection(*each))) for id, each in lacks]


def adapter_of(source: str, known: Any) -> str | None:
    """The adapter that made a source's events; those of our own format may have every field."""
    return next((name for name in known if source in (name, f"tripmeter-{name}")), None)


def lock_probe(data: Path) -> Probe:
    """For a feed beside `serve`: whether anybody has the folder."""

    def runner() -> "Runner":
        from alerts.feed.health import Runner

        if (data / CLOCK_FILE).exists():
            return Runner(None)
        try:
            with (data / "lock").open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return Runner(True)
        except OSError:
            return Runner(None)  # no such file: nobody ever served from here
        return Runner(False)

    return Probe(runner)


def clock(data: Path) -> Callable[[], datetime]:
    """The wall's clock; in a demo's folder one that goes on from where the demo ended."""
    try:
        began = datetime.fromisoformat((data / CLOCK_FILE).read_text().strip())
    except (OSError, ValueError):
        return lambda: datetime.now(UTC)
    behind = datetime.now(UTC) - began
    return lambda: datetime.now(UTC) - behind


def beginning(data: Path, store: AlertStore) -> str:
    """The page a demo begins with: its dearest incident, beside the list. Empty for real data."""
    if not (data / CLOCK_FILE).exists():
        return ""
    found = Query(store.engine).incidents(family="llmjacking", limit=1000)
    dearest = max(found, key=lambda incident: incident.cost_usd or 0.0, default=None)
    return f"/?open={dearest.id}" if dearest else ""


def make_feed(
    store: AlertStore,
    emit: Emit,
    settings: FeedSettings,
    probe: Probe,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> "Feed":
    """The feed of a store.

    Raises:
        sqlite3.Error, StoreDown: the store cannot be written now.
    """
    from alerts.feed.context import Feed
    from streams.commands.version import version

    desk = Desk(store, emit, now=now)
    return Feed(desk, settings, probe, now, version(), runbooks())


def runbooks() -> Path | None:
    """The folder with a page for each detector: beside the feed once installed, else in `docs`."""
    import alerts.feed

    here = Path(alerts.feed.__file__).parent / "runbooks"
    source = here.parents[2] / "docs/runbooks"
    return next((folder for folder in (here, source) if folder.is_dir()), None)


class Served:
    """A feed that listens, in a thread of its own or in this one."""

    def __init__(self, feed: "Feed", listener: "socket.socket", settings: FeedSettings) -> None:
        from alerts.feed.app import make_app
        from streams.web import Server

        class FeedServer(Server):
            """Ends open streams before it waits for what is still being answered."""

            async def shutdown(self, sockets: Any = None) -> None:
                """Ends it."""
                feed.hub.close()
                await super().shutdown(sockets)

        self.feed = feed
        self.listener = listener
        self.server = FeedServer(make_app(feed))
        self._tls = _tls(settings)
        if self._tls is not None:
            self.server.config.ssl_certfile = settings.tls_certificate
            self.server.config.ssl_keyfile = settings.tls_key
        self._thread = threading.Thread(target=self.run, name="feed", daemon=True)

    @property
    def url(self) -> str:
        """Where people find it."""
        from streams.web import address

        told = self.feed.settings.public_url or address(self.listener)
        return told.replace("http://", "https://", 1) if self.feed.settings.tls else told

    def start(self) -> None:
        """Serves in a thread."""
        self._thread.start()

    def run(self) -> None:
        """Serves until `stop`."""
        self.feed.warm()  # who comes meanwhile waits for that, once
        self.server.run(sockets=[self.listener])

    def stop(self) -> None:
        """Ends open streams and the server."""
        self.server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(15)

    def first_link(self, next: str = "") -> str | None:
        """On the first run a one-time link for the administrator; shown once."""
        secret = self.feed.accounts.first()
        return None if secret is None else self._link(secret, next)

    def link(self, name: str, next: str = "") -> str:
        """Another one-time link for a user."""
        return self._link(self.feed.accounts.link(name), next)

    def _link(self, secret: str, next: str) -> str:
        from urllib.parse import quote

        return f"{self.url}/enter/{secret}" + (f"?next={quote(next)}" if next else "")


def _tls(settings: FeedSettings) -> ssl.SSLContext | None:
    if not settings.tls:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or "not a certificate and its key"
        raise BadConfig([f"feed.tls_certificate: {reason}; correct the two files"]) from None
    return context


def listen(settings: FeedSettings) -> "socket.socket":
    """The socket of `feed.listen`.

    Raises:
        BadConfig: it is taken.
    """
    import socket

    host, port = split_address(settings.listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadConfig([f"feed.listen: {settings.listen}: {reason}; choose another"]) from None
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
