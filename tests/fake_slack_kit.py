"""A channel with everything behind it: incidents, outbox, courier, sink, and a clock of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Engine, event

from alerts.courier import Courier
from alerts.incident import Action, Incident
from alerts.incident_desk import Desk
from alerts.memory import TableMemory
from alerts.outbox import Outbox
from alerts.retry import Retry
from alerts.slack import SlackSink
from alerts.slack_calls import Calls, Pacer
from alerts.slack_hours import QuietHours
from alerts.slack_message import Look
from alerts.slack_plan import Flow
from alerts.store import AlertStore
from alerts.store_engine import close_store, open_store
from alerts.store_query import Query
from schemas.finding import Entity, Finding, Severity
from schemas.records import Control
from tests.alerts_fakes import NOON, Clock, Everyone, finding, rich
from tests.fake_slack import FakeSlack

TOKEN = "xoxb-1234-abcd"


@dataclass
class Bench:
    """One channel, from findings to what people see. Time moves only when somebody waits.

    Args:
        store_at: URL of a database; else a file in the folder.
    """

    slack: FakeSlack
    folder: Path
    look: Look = field(default_factory=Look)
    hours: QuietHours | None = None
    singles: int = 5
    thread: bool = True
    charts: bool = False
    begin: datetime = NOON
    store_at: str = ""
    clock: Clock = field(default_factory=Clock)
    heard: list[Control] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._zero = self.clock.now
        self.slack.clock = self.clock
        engine = open_store(self.store_at) if self.store_at else _file(self.folder)
        self.store = AlertStore(engine, Everyone((), ("soc",)))
        self.desk = Desk(self.store, self.heard.append, now=lambda: self.now)
        self.query = Query(self.store.engine)
        self.outbox = Outbox(self.store.engine)
        self.restart()

    @property
    def now(self) -> datetime:
        """As people read it."""
        return self.begin + timedelta(seconds=self.clock.now - self._zero)

    def wall(self) -> float:
        """Epoch seconds."""
        return self.now.timestamp()

    def sleep(self, seconds: float) -> None:
        """Moves the clock."""
        self.clock.now += seconds

    def restart(self) -> None:
        """Another process: nothing is left but what is on the disk."""
        pacer = Pacer(1.0, self.clock, self.sleep)
        self.calls = Calls(
            lambda: TOKEN, pacer, api_url=self.slack.api, timeout_s=2, wall=self.wall
        )
        self.sink = SlackSink(
            "soc", "C01", self.calls, TableMemory(self.store.engine, "soc"),
            look=self.look, hours=self.hours, flow=Flow(self.singles), thread=self.thread,
            charts=self.charts, wall=self.wall,
        )  # fmt: skip
        self.courier = Courier(
            self.sink, retry=Retry(), on_fault=lambda name, why: self.faults.append(why),
            on_recovered=lambda name: None, max_dead=10, wall=self.wall, clock=self.clock,
            jitter=lambda: 1.0, pause=lambda seconds: bool(self.sleep(seconds)),
        )  # fmt: skip

    def found(self, *findings: Finding) -> None:
        """Findings come."""
        self.store.record(findings, now=self.now)

    def did(self, verb: Any, incident: Incident | None = None, **more: Any) -> Incident:
        """Somebody does something to an incident (the only one)."""
        incident = incident or self.incidents()[0]
        action = Action(verb=verb, by="ana", at=self.now, **more)
        return self.desk.act(incident.id, action)

    def incidents(self) -> Sequence[Incident]:
        """All of them."""
        return self.query.incidents(limit=10_000)

    def told(self, seconds: float = 120.0) -> list[dict[str, Any]]:
        """Delivers what can be delivered in a time; gives what the channel shows then."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            delay = self.courier.step(self.outbox)
            if delay is None:
                break
            self.sleep(delay)
        return self.slack.messages()

    def waiting(self) -> int:
        """Rows that people were not told yet."""
        states = self.outbox.counts().get("soc", {})
        return states.get("waiting", 0) + states.get("held", 0)


@cache
def _new() -> bytes:
    """A store without anything in it; to make one takes longer than most tests."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "new.db"
        close_store(open_store(path))
        return path.read_bytes()


def _file(folder: Path) -> Engine:
    path = folder / "tripmeter.db"
    path.write_bytes(_new())
    engine = open_store(path)
    event.listen(engine, "checkout", _without_syncing)
    return engine


def _without_syncing(connection: Any, *_: Any) -> None:
    """Nobody cuts the power of a test."""
    connection.execute("PRAGMA synchronous=OFF")


def key(number: int) -> Entity:
    """One of many keys."""
    return Entity(lane="credential", id=f"hmac:{number:016x}")


def many(
    count: int, severity: Severity = Severity.HIGH, start: int = 0, **more: Any
) -> list[Finding]:
    """Findings on as many keys."""
    return [
        finding(f"f-{n}", entity=key(n), severity=severity, **more)
        for n in range(start, start + count)
    ]


def at(hour: int, minute: int = 0, day: int = 20) -> datetime:
    """A moment of November 2026; the 20th is a Friday."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def text_of(message: dict[str, Any]) -> str:
    """Every text of a message, one a line."""
    found: list[str] = []

    def read(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("text"), str):
                found.append(value["text"])
            for each in value.values():
                read(each)
        elif isinstance(value, list):
            for each in value:
                read(each)

    read([message.get("blocks"), message.get("attachments")])
    return "\n".join(found)


__all__ = ["TOKEN", "Bench", "at", "finding", "key", "many", "rich", "text_of"]
