"""Findings and incidents, and what is to be told of them: written together or not at all.

`record` runs inside the caller's transaction, so that whoever reads a source can store its position
with what was found in it. The same findings again change nothing.
"""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, func, insert, select, update

from alerts.base import Router
from alerts.incident import Action, Incident, Policy
from alerts.outbox import CHUNK
from alerts.outbox_queue import MAX_WAITING, Queue, refill
from alerts.store_engine import Target, insert_new, open_store, reading, writing
from alerts.store_trim import trim
from alerts.store_work import Work
from alerts.tables import DESTINATIONS, FINDINGS, INCIDENTS, POSITIONS
from schemas.finding import Finding

MAX_DUE = 500  # incidents that time changes in one transaction
MAX_CONTROLS = 100_000  # silences and decisions kept; the oldest that are over go
MAX_TROUBLES = 100  # announcements that wait
TRIM_EVERY_S = 600.0


class NobodyWaits:
    """A router for a store that tells nobody."""

    def of_finding(self, finding: Finding) -> Sequence[str]:
        """Nobody."""
        return ()

    def of_incident(self, incident: Incident) -> Sequence[str]:
        """Nobody."""
        return ()


class UnknownIncident(LookupError):
    """No single incident has this id, or an id that begins so."""


@dataclass(frozen=True, slots=True)
class Kept:
    """How much stays.

    Attributes:
        findings: revisions; the oldest go.
        incidents: closed ones; those closed longest ago go. Active ones always stay.
    """

    findings: int = 1_000_000
    incidents: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Trouble:
    """A destination that has no room any more, or findings that went before it was told of them."""

    destination: str | None
    lost: int = 0


class AlertStore:
    """Writes findings and incidents; any number of threads and processes may.

    Args:
        target: a file, a URL, or an engine.
        router: who wants what.
        policy: how long incidents, acknowledgements and snoozes last.
        limit: rows one destination may have waiting.
        kept: how much stays.
    """

    def __init__(
        self,
        target: Target,
        router: Router | None = None,
        policy: Policy | None = None,
        *,
        limit: int = MAX_WAITING,
        kept: Kept | None = None,
    ) -> None:
        self.engine: Engine = open_store(target)
        self.router: Router = router or NobodyWaits()
        self.policy = policy or Policy()
        self._limit = limit
        self._kept = kept or Kept()
        self._trimmed = time.monotonic()
        self._troubles: deque[Trouble] = deque(maxlen=MAX_TROUBLES)

    def record(
        self,
        findings: Sequence[Finding],
        positions: Mapping[str, int] | None = None,
        now: datetime | None = None,
    ) -> list[Finding]:
        """`record_in` in a transaction of its own, with the positions of sources it includes.

        Raises:
            sqlite3.Error, StoreDown: nothing was stored; the same call may be repeated.
        """
        with writing(self.engine) as connection:
            new = self.record_in(connection, findings, now)
            for source, position in (positions or {}).items():
                insert_new(connection, POSITIONS, [{"source": source, "position": position}])
                mine = POSITIONS.c.source == source
                connection.execute(update(POSITIONS).where(mine).values(position=position))
        return new

    def position(self, source: str) -> int | None:
        """What `record` was last given for a source."""
        query = select(POSITIONS.c.position).where(POSITIONS.c.source == source)
        with reading(self.engine) as connection:
            found = connection.execute(query).scalar()
            return None if found is None else int(found)

    def record_in(
        self, connection: Connection, findings: Sequence[Finding], now: datetime | None = None
    ) -> list[Finding]:
        """Stores findings, moves their incidents on and queues both; gives those that are new."""
        if not findings:
            return []
        now = now or datetime.now(UTC)
        told = _told(connection, findings)
        new: list[Finding] = []
        for finding in findings:
            if finding.revision not in told.get(finding.id, _NONE).revisions:
                told.setdefault(finding.id, _Told(set(), None)).revisions.add(finding.revision)
                new.append(finding)
        if not new:
            return []
        work = Work(connection, self.policy, now)
        work.load(new, {id: each.incident for id, each in told.items() if each.incident})
        first = 1 + (connection.execute(select(func.max(FINDINGS.c.number))).scalar() or 0)
        owners = [work.receive(finding) for finding in new]
        rows = [
            {"number": number, **_row(finding, owner)}
            for number, (finding, owner) in enumerate(zip(new, owners, strict=True), first)
        ]
        connection.execute(insert(FINDINGS), rows)
        queue = self._queue(connection, now)
        queue.findings([(first + at, finding) for at, finding in enumerate(new)])
        work.write(queue)
        queue.finish()
        self._troubles += [Trouble(name) for name in queue.full]
        return new

    def act(self, id: str, action: Action) -> Incident:
        """What somebody does to an incident; gives its new revision.

        Args:
            id: of the incident, or an unambiguous beginning of it.
        Raises:
            UnknownIncident, NotPossible: nothing was changed, and why.
            sqlite3.Error, StoreDown: nothing was stored; the same call may be repeated.
        """
        with writing(self.engine) as connection:
            work = Work(connection, self.policy, action.at)
            incident = work.act(self._full_id(connection, id), action)
            self._finish(connection, work, action.at)
        return incident

    def settle(self, key: str, action: Action) -> None:
        """As `act`, on the active incident of a key; nothing when there is none."""
        with writing(self.engine) as connection:
            query = select(INCIDENTS.c.id).where(INCIDENTS.c.key == key, INCIDENTS.c.active)
            work = Work(connection, self.policy, action.at)
            for (id,) in connection.execute(query).all():
                work.act(id, action)
            self._finish(connection, work, action.at)

    def tick(self, now: datetime | None = None) -> int:
        """What time does: quiet incidents resolve, acks and snoozes run out; gives how many.

        Queues again for destinations that had no room, and lets go what is beyond `Kept`, too.
        """
        now = now or datetime.now(UTC)
        if time.monotonic() - self._trimmed >= TRIM_EVERY_S:
            with writing(self.engine) as connection:
                more = self.trim_in(connection)
            if not more:  # else at the next tick: it grows faster than one step each time
                self._trimmed = time.monotonic()
        query = select(INCIDENTS.c.id).where(INCIDENTS.c.due <= now.timestamp()).limit(MAX_DUE)
        c = DESTINATIONS.c
        outside = select(c.destination).where(c.overflow_since.is_not(None))
        with reading(self.engine) as connection:
            due = list(connection.execute(query).scalars())
            names = list(connection.execute(outside).scalars())
        if due:
            with writing(self.engine) as connection:
                work = Work(connection, self.policy, now)
                for id in due:
                    work.tick(id)
                self._finish(connection, work, now)
        for name in names:
            with writing(self.engine) as connection:
                refill(self._queue(connection, now), name)
        return len(due)

    def trim_in(self, connection: Connection) -> bool:
        """Lets go what is beyond `Kept`, inside the caller's transaction; whether more may go."""
        kept = self._kept
        findings, incidents = kept.findings, kept.incidents
        gone = trim(connection, findings=findings, incidents=incidents, silences=MAX_CONTROLS)
        if gone.lost:
            self._troubles.append(Trouble(None, gone.lost))
        return gone.more

    def troubles(self) -> list["Trouble"]:
        """What should be announced since the last call."""
        found = []
        while self._troubles:
            found.append(self._troubles.popleft())
        return found

    def close(self) -> None:
        """Closes idle connections."""
        self.engine.dispose()

    def _queue(self, connection: Connection, now: datetime) -> Queue:
        return Queue(connection, self.router, now.timestamp(), self._limit)

    def _finish(self, connection: Connection, work: Work, now: datetime) -> None:
        queue = self._queue(connection, now)
        work.write(queue)
        queue.finish()

    def _full_id(self, connection: Connection, id: str) -> str:
        exact = select(INCIDENTS.c.id).where(INCIDENTS.c.id == id)
        if found := connection.execute(exact).scalar():
            return str(found)
        begins = func.substr(INCIDENTS.c.id, 1, len(id)) == id
        ids = connection.execute(select(INCIDENTS.c.id).where(begins).limit(2)).scalars().all()
        if not id or len(ids) != 1:
            raise UnknownIncident(f"no single incident begins with {id!r}")
        return str(ids[0])


@dataclass(slots=True)
class _Told:
    revisions: set[int]
    incident: str | None


_NONE = _Told(set(), None)


def _told(connection: Connection, findings: Sequence[Finding]) -> dict[str, _Told]:
    ids = list(dict.fromkeys(finding.id for finding in findings))
    told: dict[str, _Told] = {}
    for at in range(0, len(ids), CHUNK):
        query = select(FINDINGS.c.id, FINDINGS.c.revision, FINDINGS.c.incident)
        rows = connection.execute(query.where(FINDINGS.c.id.in_(ids[at : at + CHUNK])))
        for id, revision, incident in rows:
            each = told.setdefault(id, _Told(set(), None))
            each.revisions.add(revision)
            each.incident = incident
    return told


def _row(finding: Finding, incident: str) -> dict[str, object]:
    return {
        "id": finding.id,
        "revision": finding.revision,
        "time": finding.time.timestamp(),
        "detector": finding.detector,
        "family": finding.family,
        "rank": finding.severity.rank,
        "lane": finding.entity.lane,
        "entity": finding.entity.id,
        "tenant": finding.tenant,
        "mode": finding.mode,
        "incident": incident,
        "json": finding.to_json(),
    }
