"""A feed over a store in a folder, people with each role, and browsers that are signed in."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import event, inspect, text

from alerts.feed.app import make_app
from alerts.feed.context import Feed
from alerts.feed.health import Health, Runner
from alerts.feed.identity import Identity, Tenants
from alerts.feed.live import Hub
from alerts.feed.settings import FeedSettings, Role
from alerts.incident_desk import Desk
from alerts.store import AlertStore
from alerts.store_engine import writing
from schemas.finding import Entity, Finding
from schemas.records import Control, Heartbeat, Rollup
from streams.store import Store
from tests.alerts_fakes import NOON, finding

HTMX = {"hx-request": "true"}
HOUR = timedelta(hours=1)
ALL = Identity("everybody", "admin")


class FakeProbe:
    """Says what a test wants it to say."""

    def __init__(self) -> None:
        self.told = Runner(True, (), 0)
        self.lacks: list[tuple[str, tuple[str, ...]]] = []

    def runner(self) -> Runner:
        return self.told

    def coverage(self, sources: Any) -> Any:
        return self.lacks


class Office:
    """A feed at noon."""

    def __init__(self, folder: Path, url: str | None = None, **settings: Any) -> None:
        self.now = NOON + HOUR
        self.heard: list[Control] = []
        self.runner = Store(folder, url=url, wall=lambda: self.now.timestamp())
        self.store: AlertStore = self.runner.alerts
        if url is None:  # nobody pulls the plug here
            engine = self.store.engine
            event.listen(engine, "connect", lambda c, _: c.execute("PRAGMA synchronous=OFF"))
            engine.dispose()
        desk = Desk(self.store, self.heard.append, now=lambda: self.now)
        self.probe = FakeProbe()
        self.feed = Feed(
            desk, FeedSettings(**settings), self.probe, lambda: self.now, "1.2", folder
        )
        self.feed.accounts.hasher = PasswordHasher(1, 8, 1)  # the real one takes its time

    def clear(self) -> "Office":
        """As new, but quicker than a new one."""
        with writing(self.store.engine) as connection:
            for table in inspect(connection).get_table_names():
                if table.startswith("incident_search"):
                    continue  # follows its table
                connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608
            connection.execute(text("DELETE FROM sqlite_sequence"))
        self.now = NOON + HOUR
        self.heard.clear()
        self.probe.told, self.probe.lacks = Runner(True, (), 0), []
        feed = self.feed
        feed.forget()
        feed.hub = Hub(feed.feeds, feed.now, feed.settings.max_streams)
        feed.health = Health(feed.usage, feed.feeds, self.probe, feed.settings, feed.now)
        return self

    @cached_property
    def app(self) -> FastAPI:
        """Its application."""
        return make_app(self.feed)

    def found(self, *ids: str, at: datetime | None = None, **changes: Any) -> list[str]:
        """Findings, each an incident of its own unless an entity is given; gives incident ids."""
        at = at or self.now
        made = [self._finding(id, at, changes) for id in ids]
        self.store.record(made, now=at)
        query = self.feed.feeds
        return [row[2] or "" for row in query.findings_after(0, ALL, 10_000)][-len(made) :]

    def _finding(self, id: str, at: datetime, changes: dict[str, Any]) -> Finding:
        entity = Entity(lane="credential", id=f"hmac:{id}")
        return finding(id, **{"entity": entity, "time": at, "since": at - HOUR / 6, **changes})

    def signed_in(
        self, role: Role = "analyst", tenants: Tenants = None, name: str = ""
    ) -> "Person":
        """A browser of a new user."""
        name = name or f"{role}-{len(self.feed.accounts.all())}"
        self.feed.accounts.make(name, role, tenants)
        return Person(self, name)

    def anonymous(self) -> TestClient:
        """A browser nobody signed in with."""
        return TestClient(self.app, follow_redirects=False, base_url="http://127.0.0.1:8788")


class Person:
    """A browser somebody signed in with."""

    def __init__(self, office: Office, name: str) -> None:
        self.name = name
        self._token = ""
        self.client = office.anonymous()
        self.client.cookies.set(office.feed.cookie, office.feed.sessions.begin(name))

    def get(self, path: str, **options: Any) -> Any:
        return self.client.get(path, **options)

    def post(self, path: str, **form: Any) -> Any:
        """With the token of a page."""
        return self.client.post(path, data={"csrf": self.token(), **form})

    def token(self) -> str:
        """The CSRF token of a page; the same page does for a while."""
        if not self._token:
            found = re.search(r'data-csrf="([0-9a-f]*)"', self.get("/account").text)
            assert found is not None
            self._token = found[1]
        return self._token


def shown(answer: Any) -> list[str]:
    """The incidents on a list, in order."""
    assert 200 == answer.status_code, answer.text
    return re.findall(r'<li class="row[^>]*data-id="([^"]+)"', answer.text)


def rollups(entity: Entity, totals: Iterable[int], start: datetime) -> list[Rollup]:
    """Hours of one entity, with a habit of 100 to 900 tokens."""
    return [
        Rollup(
            entity=entity,
            tenant=None,
            start=start + number * HOUR,
            end=start + (number + 1) * HOUR,
            totals={"calls": 12, "tokens": tokens, "nanousd": tokens * 1000},
            usual={"tokens": (100, 900), "nanousd": (1e5, 9e5)},
            cost_usd=tokens * 1e-6,
        )
        for number, tokens in enumerate(totals)
    ]


def heartbeat(source: str, at: datetime, events: int = 100) -> Heartbeat:
    """A sign of life."""
    return Heartbeat(source=source, time=at, last_event=at, events=events, lag_s=0.0)
