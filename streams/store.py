"""What `serve` knows, in one database: findings, incidents, outbox, snapshots, rollups, heartbeats.

One transaction holds everything one batch produced, so that a crash leaves either all of it or
nothing; judging again from the last snapshot gives the same `(id, revision)` and changes nothing.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zstandard
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Index,
    LargeBinary,
    MetaData,
    Table,
    delete,
    func,
    select,
    tuple_,
)

from alerts.base import Router
from alerts.incident import Policy
from alerts.store import AlertStore, Kept
from alerts.store_engine import BadStore, open_store, reading, replace, writing
from alerts.store_query import Query
from alerts.tables import Line
from schemas.finding import Finding
from schemas.records import Heartbeat, Rollup
from streams.configuration import BadConfig

STORE_FILE = "tripmeter.db"
MAX_SNAPSHOTS = 3  # the newest; an older one serves when the newest does not load
MAX_ANCHORS = 14  # sparse older snapshots from which `explain` replays
MAX_HEARTBEAT_SOURCES = 1000

METADATA = MetaData()
SNAPSHOTS = Table(
    "snapshots",
    METADATA,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("made", Double, nullable=False),
    Column("anchor", Boolean, nullable=False),
    Column("data", LargeBinary, nullable=False),
)
ROLLUPS = Table(
    "rollups",
    METADATA,
    Column("lane", Line, primary_key=True),
    Column("entity", Line, primary_key=True),
    Column("start", Double, primary_key=True),
    Column("json", LargeBinary, nullable=False),
    Index("rollups_by_time", "start"),
)
HEARTBEATS = Table(
    "heartbeats",
    METADATA,
    Column("source", Line, primary_key=True),
    Column("time", Double),
    Column("json", LargeBinary, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The core as it was when it had processed `position` lines."""

    position: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Keep:
    """How much of what is only shown stays."""

    rollups_s: float = 30 * 86_400  # event time
    rollups: int = 1_000_000
    findings: int = 1_000_000  # revisions
    anchor_every_s: float = 86_400


class Store:
    """Writes; one per process that judges. Readers use `open_findings`.

    Args:
        folder: holds `tripmeter.db`.
        url: of a PostgreSQL database to use instead.
        router, policy: who is told of what, and how long incidents last.
    Raises:
        BadConfig: the database was made by another version.
        sqlite3.Error, StoreDown: it cannot be opened now.
    """

    def __init__(
        self,
        folder: Path,
        *,
        url: str | None = None,
        router: Router | None = None,
        policy: Policy | None = None,
        keep: Keep | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        try:
            self.engine = open_store(url or folder / STORE_FILE)
        except BadStore as error:
            raise BadConfig([str(error)]) from None
        with writing(self.engine) as connection:
            METADATA.create_all(connection)
        self._keep = keep or Keep()
        kept = Kept(findings=self._keep.findings)
        self.alerts = AlertStore(self.engine, router, policy, kept=kept)
        self._wall = wall
        self._lock = threading.Lock()

    def record(
        self,
        findings: Sequence[Finding] = (),
        rollups: Sequence[Rollup] = (),
        heartbeats: Sequence[Heartbeat] = (),
        snapshot: Snapshot | None = None,
    ) -> list[Finding]:
        """Stores all of it or nothing, and gives the findings that are new.

        Raises:
            sqlite3.Error, StoreDown: nothing was stored; the same call may be repeated.
        """
        if not (findings or rollups or heartbeats or snapshot):
            return []
        now = datetime.fromtimestamp(self._wall(), UTC)
        with self._lock, writing(self.engine) as connection:
            new = self.alerts.record_in(connection, findings, now)
            self._rollups(connection, rollups)
            _heartbeats(connection, heartbeats)
            if snapshot is not None:
                self._cap(connection)
                self._snapshot(connection, snapshot)
        return new

    def snapshots(self) -> Iterator[Snapshot]:
        """Those kept, newest first, loaded one by one."""
        return Findings.of(self).snapshots_until(2**62)

    def close(self) -> None:
        """Closes idle connections."""
        self.engine.dispose()

    def _rollups(self, connection: Connection, rollups: Sequence[Rollup]) -> None:
        if not rollups:
            return
        rows = {
            (r.entity.lane, r.entity.id, r.start.timestamp()): r.model_dump_json().encode()
            for r in rollups
        }
        columns = ("lane", "entity", "start")
        replace(
            connection,
            ROLLUPS,
            [dict(zip(columns, name, strict=True)) | {"json": j} for name, j in rows.items()],
        )
        newest = max(rollup.start.timestamp() for rollup in rollups)
        connection.execute(delete(ROLLUPS).where(ROLLUPS.c.start < newest - self._keep.rollups_s))

    def _cap(self, connection: Connection) -> None:
        extra = (connection.execute(select(func.count()).select_from(ROLLUPS)).scalar() or 0) - (
            self._keep.rollups
        )
        if extra > 0:
            name = tuple_(ROLLUPS.c.lane, ROLLUPS.c.entity, ROLLUPS.c.start)
            oldest = select(*ROLLUPS.primary_key.columns).order_by(ROLLUPS.c.start).limit(extra)
            connection.execute(delete(ROLLUPS).where(name.in_(oldest)))
        self.alerts.trim_in(connection)

    def _snapshot(self, connection: Connection, snapshot: Snapshot) -> None:
        now = self._wall()
        c = SNAPSHOTS.c
        last = connection.execute(select(func.max(c.made)).where(c.anchor)).scalar()
        was = connection.execute(select(c.anchor).where(c.position == snapshot.position)).scalar()
        data = zstandard.ZstdCompressor(write_checksum=True).compress(snapshot.data)
        anchor = bool(was) or last is None or now - last >= self._keep.anchor_every_s
        row = {"position": snapshot.position, "made": now, "anchor": anchor, "data": data}
        replace(connection, SNAPSHOTS, [row])
        for which, limit in ((False, MAX_SNAPSHOTS), (True, MAX_ANCHORS)):
            kind = c.anchor.is_(which)
            newest = select(c.position).where(kind).order_by(c.position.desc()).limit(limit)
            connection.execute(delete(SNAPSHOTS).where(kind, c.position.not_in(newest)))


def _heartbeats(connection: Connection, heartbeats: Sequence[Heartbeat]) -> None:
    if not heartbeats:
        return
    rows = {
        beat.source: {
            "source": beat.source,
            "time": beat.time.timestamp(),
            "json": beat.model_dump_json().encode(),
        }
        for beat in heartbeats
    }
    replace(connection, HEARTBEATS, list(rows.values()))
    c = HEARTBEATS.c
    newest = select(c.source).order_by(c.time.desc()).limit(MAX_HEARTBEAT_SOURCES)
    connection.execute(delete(HEARTBEATS).where(c.source.not_in(newest)))


class Findings(Query):
    """Reads a store that may be in use by another process.

    Raises:
        FileNotFoundError: there is no store in the folder.
    """

    def __init__(self, folder: Path, url: str | None = None) -> None:
        if url is None and not (folder / STORE_FILE).exists():
            raise FileNotFoundError(folder / STORE_FILE)
        super().__init__(url or folder / STORE_FILE)

    @classmethod
    def of(cls, store: Store) -> "Findings":
        """Reads what a store writes."""
        made = cls.__new__(cls)
        Query.__init__(made, store.engine)
        return made

    def snapshots_until(self, position: int) -> Iterator[Snapshot]:
        """Snapshots made at or before a position, newest first."""
        c = SNAPSHOTS.c
        with reading(self.engine) as connection:
            query = select(c.position).where(c.position <= position).order_by(c.position.desc())
            positions = list(connection.execute(query).scalars())
        for at in positions:
            with reading(self.engine) as connection:
                data = connection.execute(select(c.data).where(c.position == at)).scalar()
            with suppress(zstandard.ZstdError):  # damaged: the next older one serves
                if data is not None:
                    yield Snapshot(at, zstandard.ZstdDecompressor().decompress(data))

    def rollups(self, lane: str, entity: str, begin: float, end: float) -> list[Rollup]:
        """Closed windows of one entity that began between two instants, oldest first."""
        c = ROLLUPS.c
        query = select(c.json).where(c.lane == lane, c.entity == entity)
        query = query.where(c.start >= begin, c.start <= end).order_by(c.start)
        with reading(self.engine) as connection:
            rows = connection.execute(query).scalars()
            return [Rollup.model_validate_json(body) for body in rows]

    def heartbeats(self) -> list[dict[str, Any]]:
        """The last sign of life of every source, newest first."""
        query = select(HEARTBEATS.c.json).order_by(HEARTBEATS.c.time.desc())
        with reading(self.engine) as connection:
            return [json.loads(body) for body in connection.execute(query).scalars()]


def parse_since(text: str, now: datetime) -> datetime:
    """`2h`, `30m`, `7d` before now, or an ISO 8601 instant (UTC unless it says otherwise).

    Raises:
        ValueError: neither.
    """
    units = {"m": 60, "h": 3600, "d": 86_400}
    if text[:-1].isdigit() and text[-1:] in units:
        return datetime.fromtimestamp(now.timestamp() - int(text[:-1]) * units[text[-1]], UTC)
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
