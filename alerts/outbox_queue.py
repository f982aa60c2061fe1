"""Queues what is new for whoever wants it, inside the transaction that stores it.

Findings go out in the order they came. Incidents go to people: news before edits, the severe
before the mild, and one that still waits is replaced by its newer revision, so that it says what is
true when it is sent. A destination with `MAX_WAITING` rows gets no more of them for now: where it
stopped is noted and announced, the findings stay in the store, and `refill` goes on from there.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select, text, update

from alerts.base import Router
from alerts.incident import LOUD, Incident
from alerts.outbox import PENDING, drop_bodies, note_destination
from alerts.outbox_counts import Counts, read_counts
from alerts.store_engine import insert_new
from alerts.tables import BODIES, DESTINATIONS, FINDINGS, INCIDENTS, OUTBOX
from schemas.finding import Finding

MAX_WAITING = 1_000_000  # rows not yet taken by one destination; what is new then waits outside
REFILL = 2000  # findings or incidents looked at in one transaction

log = logging.getLogger("tripmeter.alerts")


@dataclass
class Queue:
    """What one transaction adds.

    Args:
        router: who wants what.
        limit: rows one destination may have waiting.
        now: epoch seconds.
    """

    connection: Connection
    router: Router
    now: float
    limit: int = MAX_WAITING
    full: list[str] = field(
        default_factory=list
    )  # destinations that had no room, for the first time
    _counts: Counts = field(default_factory=Counts)
    _bodies: dict[str, tuple[Finding, Incident | None]] = field(default_factory=dict)
    _doubtful: set[str] = field(default_factory=set)
    _waiting: dict[str, int] = field(default_factory=dict)
    _outside: dict[str, tuple[int | None, int | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, states in read_counts(self.connection).items():
            self._waiting[name] = states["waiting"] + states["held"]
        c = DESTINATIONS.c
        query = select(c.destination, c.overflow_finding, c.overflow_change)
        self._outside = {row[0]: (row[1], row[2]) for row in self.connection.execute(query)}

    def findings(self, numbered: Sequence[tuple[int, Finding]]) -> None:
        """Queues revisions of findings; the numbers are those of the store."""
        wanted: dict[str, list[tuple[int, Finding]]] = {}
        for number, finding in numbered:
            for name in self.router.of_finding(finding):
                wanted.setdefault(name, []).append((number, finding))
        for name, several in wanted.items():
            if self._room(name, len(several), finding=several[0][0]):
                self.add(name, [(f"{f.id}#{f.revision}", f) for _, f in several])

    def closing(self, incident: Incident, findings: Sequence[Finding]) -> None:
        """Queues the end (or new beginning) of an incident, told of each of its findings."""
        for finding in findings:
            for name in self.router.of_finding(finding):
                if self._outside.get(name, (None, None))[0] is None:  # else `refill` tells it
                    self.add(name, [(closing_key(incident, finding), finding)], incident)

    def incident(
        self,
        incident: Incident,
        finding: Finding,
        change: int,
        *,
        only: str | None = None,
        new: bool = False,
    ) -> None:
        """Queues the newest revision of an incident.

        Args:
            finding: its newest.
            change: number in the history.
            only: this destination, instead of all that want it.
            new: nothing of this incident can be waiting.
        """
        if not incident.shown:
            return
        key = f"{incident.id}@{incident.revision}"
        for name in self.router.of_incident(incident):
            if only not in (None, name):
                continue
            replaced = not new and self._replace(name, incident)
            if not replaced and self._room(name, 1, change=change):
                row = _row(name, key, incident.id) | {"about": "incident"}
                row |= {"change": incident.change, "priority": priority_of(incident)}
                self._insert(name, [row])
            self._bodies[key] = (finding, incident)
        self._doubtful |= {key} if self._outside else set()

    def finish(self) -> None:
        """Writes bodies and counts, and notes which destinations had no room."""
        bodies = [
            {"key": key, "finding": f.to_json(), "incident": i.to_json() if i else None}
            for key, (f, i) in self._bodies.items()
        ]
        insert_new(self.connection, BODIES, bodies)
        drop_bodies(self.connection, sorted(self._doubtful))
        self._counts.write(self.connection)
        for name in self.full:
            finding, change = self._outside[name]
            note_destination(
                self.connection, name,
                overflow_finding=finding, overflow_change=change, overflow_since=self.now,
            )  # fmt: skip
            log.error("%s has %d rows waiting; more wait outside its queue", name, self.limit)

    def add(
        self, name: str, keyed: Sequence[tuple[str, Finding]], closing: Incident | None = None
    ) -> None:
        """Queues findings for one destination under these keys."""
        self._insert(name, [_row(name, key, finding.id) for key, finding in keyed])
        self._bodies |= {key: (finding, closing) for key, finding in keyed}

    def _insert(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        new = insert_new(self.connection, OUTBOX, rows)
        if new < len(rows):  # some were there, perhaps delivered already
            self._doubtful |= {row["key"] for row in rows}
        self._counts.add(name, "waiting", new)
        self._waiting[name] = self._waiting.get(name, 0) + new

    def _room(
        self, name: str, rows: int, *, finding: int | None = None, change: int | None = None
    ) -> bool:
        was = self._outside.get(name, (None, None))
        if (finding and was[0] is not None) or (change and was[1] is not None):
            return False
        if self._waiting.get(name, 0) + rows <= self.limit:
            return True
        self._outside[name] = (was[0] or finding, was[1] or change)
        self.full.append(name)
        return False

    def _replace(self, name: str, incident: Incident) -> bool:
        mine = (OUTBOX.c.destination == name) & (OUTBOX.c.subject == incident.id)
        old = self.connection.execute(
            select(OUTBOX.c.key, OUTBOX.c.change, OUTBOX.c.priority)
            .where(mine, text("outbox.about = 'incident'"), PENDING)
            .limit(1)
        ).first()
        if old is None:
            return False
        still_news = old.change in LOUD and incident.change not in LOUD and incident.active
        priority = priority_of(incident)
        self.connection.execute(
            update(OUTBOX)
            .where(OUTBOX.c.key == old.key, OUTBOX.c.destination == name)
            .values(
                key=f"{incident.id}@{incident.revision}",
                change=old.change if still_news else incident.change,
                priority=min(priority, old.priority) if incident.active else priority,
            )
        )
        drop_bodies(self.connection, [old.key])
        return True


def refill(queue: Queue, name: str) -> bool:
    """Goes on where a destination had no room, if it has some again; whether all is queued now."""
    finding, change = queue._outside.get(name, (None, None))
    if queue._waiting.get(name, 0) + REFILL > queue.limit // 2 + 1:
        return False
    if finding is not None:
        finding = _refill_findings(queue, name, finding)
    if change is not None:
        change = _refill_incidents(queue, name, change)
    done = finding is None and change is None
    since = {"overflow_since": None} if done else {}
    note_destination(
        queue.connection, name, overflow_finding=finding, overflow_change=change, **since
    )
    queue.finish()
    if done:
        log.info("%s: everything that waited outside is queued again", name)
    return done


def _refill_findings(queue: Queue, name: str, first: int) -> int | None:
    c = FINDINGS.c
    query = (
        select(c.number, c.json, INCIDENTS.c.json)
        .join_from(FINDINGS, INCIDENTS, c.incident == INCIDENTS.c.id, isouter=True)
        .where(c.number >= first)
        .order_by(c.number)
        .limit(REFILL)
    )
    rows = queue.connection.execute(query).all()
    for _, body, of in rows:
        finding = Finding.model_validate_json(body)
        if name not in queue.router.of_finding(finding):
            continue
        queue.add(name, [(f"{finding.id}#{finding.revision}", finding)])
        incident = Incident.model_validate_json(of) if of else None
        if incident is not None and not incident.active:
            queue.add(name, [(closing_key(incident, finding), finding)], incident)
    return rows[-1][0] + 1 if len(rows) == REFILL else None


def _refill_incidents(queue: Queue, name: str, first: int) -> int | None:
    c = INCIDENTS.c
    query = select(c.change, c.json, c.finding).where(c.change >= first).order_by(c.change)
    rows = queue.connection.execute(query.limit(REFILL)).all()
    queue._outside[name] = (None, None)
    for number, body, finding in rows:
        incident = Incident.model_validate_json(body)
        if name in queue.router.of_incident(incident):
            queue.incident(incident, Finding.model_validate_json(finding), number, only=name)
    return rows[-1][0] + 1 if len(rows) == REFILL else None


def priority_of(incident: Incident) -> int:
    """0 goes first: news before edits, the severe before the mild."""
    return (0 if incident.loud else 5) + 5 - incident.severity.rank


def closing_key(incident: Incident, finding: Finding) -> str:
    """The key under which a finding's end is told."""
    word = "reopened" if incident.active else "closed"
    return f"{finding.id}#{word}-{incident.revision}"


def _row(destination: str, key: str, subject: str) -> dict[str, Any]:
    return {
        "destination": destination, "key": key, "subject": subject, "about": "finding",
        "change": None, "priority": 0, "state": "waiting",
    }  # fmt: skip
