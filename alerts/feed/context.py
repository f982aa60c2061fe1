"""What every page of the feed works with, and the few things several of them do."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import HTMLResponse

from alerts.feed.accounts import Accounts, Throttle
from alerts.feed.audit import Audit
from alerts.feed.filters import Filter
from alerts.feed.guard import Guard, masked
from alerts.feed.health import Health, Probe
from alerts.feed.identity import Denied, Identity
from alerts.feed.live import Hub
from alerts.feed.queries import Feeds, Told
from alerts.feed.redact import finding_for, incident_for
from alerts.feed.render import Pages
from alerts.feed.sessions import Sessions
from alerts.feed.settings import FeedSettings
from alerts.feed.tables import prepare
from alerts.feed.usage import Hour, Usage
from alerts.incident import Incident
from alerts.incident_desk import Desk

T = TypeVar("T")

UNITS = {"m": 60, "h": 3600, "d": 86_400}
HOURS_S = 15.0  # seconds the last day of usage is kept
KNOWN_S = 60.0  # seconds the list of tenants is kept
MAX_KEPT = 256  # results kept for a while


def utc_now() -> datetime:
    """The clock of the wall."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Feed:
    """One running feed.

    Attributes:
        desk: acts on incidents, and has the store.
        now: the runner's clock.
        version: of the program, for the health strip.
        runbooks: folder of `<detector>.md`.
    """

    desk: Desk
    settings: FeedSettings
    probe: Probe
    now: Callable[[], datetime] = utc_now
    version: str = ""
    runbooks: Path | None = None
    feeds: Feeds = field(init=False)
    usage: Usage = field(init=False)
    accounts: Accounts = field(init=False)
    sessions: Sessions = field(init=False)
    audit: Audit = field(init=False)
    guard: Guard = field(init=False)
    hub: Hub = field(init=False)
    health: Health = field(init=False)
    pages: Pages = field(init=False)
    throttle: Throttle = field(default_factory=Throttle)
    readers: int = 0  # programs that have a stream of findings open
    _kept: dict[Any, tuple[float, Any]] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        engine = self.desk.store.engine
        prepare(engine)
        self.feeds = Feeds(engine)
        self.usage = Usage(engine)
        self.accounts = Accounts(engine)
        self.sessions = Sessions(engine, self.settings.session_hours * 3600)
        self.audit = Audit(engine)
        self.guard = Guard(self.sessions, self.cookie, self.settings.public_url)
        self.hub = Hub(self.feeds, self.now, self.settings.max_streams, self.sessions.alive)
        self.health = Health(self.usage, self.feeds, self.probe, self.settings, self.now)
        self.pages = Pages({"version": self.version})

    @property
    def https(self) -> bool:
        """Whether people reach it by https."""
        return self.settings.tls or self.settings.public_url.startswith("https://")

    @property
    def cookie(self) -> str:
        """Name of the session cookie; the prefix makes browsers hold it to this host and https."""
        return "__Host-tripmeter" if self.https else "tripmeter_session"

    def tenants(self) -> set[str]:
        """Every tenant that has an incident."""
        return self.keep("tenants", KNOWN_S, self.feeds.tenants)

    def last_day(self) -> list[Hour]:
        """What keys spent in the last 24 hours; looked up now and then."""
        begin = (self.now() - timedelta(days=1)).timestamp()
        return self.keep("last day", HOURS_S, lambda: self.usage.hours(begin))

    def keep(self, name: Any, seconds: float, make: Callable[[], T]) -> T:
        """What `make` gave at most so many seconds ago."""
        with self._guard:
            known = self._kept.get(name)
        if known is not None and time.monotonic() < known[0]:
            found: T = known[1]
            return found
        made = make()
        with self._guard:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[name] = (time.monotonic() + seconds, made)
        return made

    def warm(self) -> None:
        """Does what only the first page would wait for: templates, and looks that are slow once."""
        somebody, now = Identity("", "viewer"), self.now()
        self.pages.warm()
        self.health.strip(somebody)
        with suppress(sqlite3.Error, OSError):  # pages say so themselves
            self.feeds.page(Filter(), somebody, now)
            self.feeds.count(Filter(), somebody, now)
            self.tenants()

    def forget(self) -> None:
        """Looks everything up again."""
        with self._guard:
            self._kept.clear()

    def incident(self, id: str, who: Identity) -> Incident:
        """An incident as somebody may see it.

        Raises:
            Denied: 404, also when it is another tenant's.
        """
        found = self.feeds.incident(id, who)
        if found is None:
            raise Denied(404, "there is no such incident, or it is not yours to see")
        return incident_for(who, found, self.known(who))

    def findings(self, incident: Incident, who: Identity) -> list[Told]:
        """Its findings as somebody may see them."""
        tenants = self.known(who)
        return [
            Told(each.first, finding_for(who, each.finding, tenants))
            for each in self.feeds.findings(incident.id)
            if who.sees(each.finding.tenant)
        ]

    def shown(self, incidents: Iterable[Incident], who: Identity) -> list[Incident]:
        """Incidents as somebody may see them."""
        tenants = self.known(who)
        return [incident_for(who, each, tenants) for each in incidents]

    def known(self, who: Identity) -> set[str]:
        """Tenants whose names may have to be hidden from somebody."""
        return set() if who.tenants is None else self.tenants()

    def page(
        self, name: str, request: Request, who: Identity | None, status: int = 200, **values: Any
    ) -> HTMLResponse:
        """A page, or a part of one, for somebody."""
        body = self.pages(
            name,
            who=who,
            csrf=masked(who.csrf) if who else "",
            now=self.now(),
            path=request.url.path,
            health=self.health.strip(who) if who else None,
            **values,
        )
        return HTMLResponse(body, status)

    def note(
        self, request: Request, who: str, what: str, subject: str = "", detail: str = ""
    ) -> None:
        """Adds to the audit log."""
        address = request.client.host if request.client else ""
        self.audit.note(who, what, subject, detail, address)


def until(text: str, now: datetime) -> datetime | None:
    """`30m`, `4h`, `7d` from now; None when nothing is given.

    Raises:
        ValueError: it is none of these.
    """
    if not text:
        return None
    if not (text[:-1].isascii() and text[:-1].isdigit() and text[-1:] in UNITS and len(text) < 7):
        raise ValueError("write how long as 30m, 4h or 7d")
    return now + timedelta(seconds=int(text[:-1]) * UNITS[text[-1]])
