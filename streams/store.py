"""What `serve` knows, in one SQLite file: findings, outbox, snapshots, rollups, heartbeats.

One transaction holds everything one batch produced, so that a crash leaves either all of it or
nothing; judging again from the last snapshot gives the same `(id, revision)` and changes nothing.
"""

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zstandard

from alerts.database import transaction
from schemas.finding import Finding
from schemas.records import Heartbeat, Rollup
from streams.disk import open_durable, open_readonly

STORE_FILE = "tripmeter.db"
MAX_SNAPSHOTS = 3  # the newest; an older one serves when the newest does not load
MAX_ANCHORS = 14  # sparse older snapshots from which `explain` replays
MAX_HEARTBEAT_SOURCES = 1000

_TABLES = """
CREATE TABLE IF NOT EXISTS findings (
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    time REAL NOT NULL,
    detector TEXT NOT NULL,
    rank INTEGER NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (id, revision)
);
CREATE INDEX IF NOT EXISTS findings_by_time ON findings (time);
CREATE TABLE IF NOT EXISTS snapshots (
    position INTEGER PRIMARY KEY,
    made REAL NOT NULL,
    anchor INTEGER NOT NULL,
    data BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS rollups (
    lane TEXT NOT NULL,
    entity TEXT NOT NULL,
    start REAL NOT NULL,
    json BLOB NOT NULL,
    PRIMARY KEY (lane, entity, start)
);
CREATE INDEX IF NOT EXISTS rollups_by_time ON rollups (start);
CREATE TABLE IF NOT EXISTS heartbeats (source TEXT PRIMARY KEY, time REAL, json BLOB NOT NULL);
"""

log = logging.getLogger("tripmeter.store")

Enqueue = Callable[[sqlite3.Connection, Sequence[Finding]], None]


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
        tables: makes further tables in the same file (the outbox's).
        enqueue: queues new findings for delivery, inside the same transaction.
    """

    def __init__(
        self,
        folder: Path,
        *,
        tables: Callable[[sqlite3.Connection], None] | None = None,
        enqueue: Enqueue | None = None,
        keep: Keep | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.path = folder / STORE_FILE
        self._connection = open_durable(self.path, _TABLES)
        if tables is not None:
            tables(self._connection)
        self._enqueue = enqueue
        self._keep = keep or Keep()
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
            sqlite3.Error: nothing was stored; the same call may be repeated.
        """
        if not (findings or rollups or heartbeats or snapshot):
            return []
        with self._lock, transaction(self._connection):
            new = [finding for finding in findings if self._insert(finding)]
            if new and self._enqueue is not None:
                self._enqueue(self._connection, new)
            self._rollups(rollups)
            self._heartbeats(heartbeats)
            if snapshot is not None:
                self._cap()
                self._snapshot(snapshot)
        return new

    def snapshots(self) -> Iterator[Snapshot]:
        """Those kept, newest first, loaded one by one."""
        return _snapshots(self._connection, 2**62)

    def drop_snapshots(self) -> None:
        """Forgets them all (the journal will be judged again from its beginning)."""
        with self._lock, transaction(self._connection):
            self._connection.execute("DELETE FROM snapshots")

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()

    def _insert(self, finding: Finding) -> bool:
        cursor = self._connection.execute(
            "INSERT OR IGNORE INTO findings VALUES (?, ?, ?, ?, ?, ?)",
            (
                finding.id,
                finding.revision,
                finding.time.timestamp(),
                finding.detector,
                finding.severity.rank,
                finding.to_json(),
            ),
        )
        return cursor.rowcount == 1

    def _rollups(self, rollups: Sequence[Rollup]) -> None:
        if not rollups:
            return
        self._connection.executemany(
            "INSERT OR REPLACE INTO rollups VALUES (?, ?, ?, ?)",
            [
                (r.entity.lane, r.entity.id, r.start.timestamp(), r.model_dump_json().encode())
                for r in rollups
            ],
        )
        newest = max(rollup.start.timestamp() for rollup in rollups)
        self._connection.execute(
            "DELETE FROM rollups WHERE start < ?", (newest - self._keep.rollups_s,)
        )

    def _cap(self) -> None:
        for table, column, limit in (
            ("rollups", "start", self._keep.rollups),
            ("findings", "time", self._keep.findings),
        ):
            count = self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
            if count > limit:
                self._connection.execute(
                    f"DELETE FROM {table} WHERE rowid IN"  # noqa: S608
                    f" (SELECT rowid FROM {table} ORDER BY {column} LIMIT ?)",
                    (count - limit,),
                )
                log.warning("%d old %s were dropped to keep %d", count - limit, table, limit)

    def _heartbeats(self, heartbeats: Sequence[Heartbeat]) -> None:
        for beat in heartbeats:
            self._connection.execute(
                "INSERT OR REPLACE INTO heartbeats VALUES (?, ?, ?)",
                (beat.source, beat.time.timestamp(), beat.model_dump_json().encode()),
            )
        if heartbeats:
            self._connection.execute(
                "DELETE FROM heartbeats WHERE source NOT IN"
                " (SELECT source FROM heartbeats ORDER BY time DESC LIMIT ?)",
                (MAX_HEARTBEAT_SOURCES,),
            )

    def _snapshot(self, snapshot: Snapshot) -> None:
        now = self._wall()
        last = self._connection.execute("SELECT max(made) FROM snapshots WHERE anchor").fetchone()
        anchor = last[0] is None or now - last[0] >= self._keep.anchor_every_s
        self._connection.execute(
            "INSERT OR REPLACE INTO snapshots VALUES (?, ?,"
            " max(?, coalesce((SELECT anchor FROM snapshots WHERE position = ?), 0)), ?)",
            (
                snapshot.position,
                now,
                anchor,
                snapshot.position,
                zstandard.ZstdCompressor(write_checksum=True).compress(snapshot.data),
            ),
        )
        for which, limit in ((0, MAX_SNAPSHOTS), (1, MAX_ANCHORS)):
            self._connection.execute(
                "DELETE FROM snapshots WHERE anchor = ? AND position NOT IN (SELECT position"
                " FROM snapshots WHERE anchor = ? ORDER BY position DESC LIMIT ?)",
                (which, which, limit),
            )


class Findings:
    """Reads a store that may be in use by another process.

    Raises:
        FileNotFoundError: there is no store in the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._connection = open_readonly(folder / STORE_FILE)

    def select(
        self,
        *,
        rank: int = 1,
        detector: str | None = None,
        since: datetime | None = None,
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        """The newest findings, each in its last revision, newest first."""
        rows = self._connection.execute(
            "SELECT json FROM findings AS f WHERE rank >= ? AND detector = coalesce(?, detector)"
            " AND time >= ? AND revision ="
            " (SELECT max(revision) FROM findings WHERE id = f.id) ORDER BY time DESC, id LIMIT ?",
            (rank, detector, since.timestamp() if since else -1e18, limit),
        )
        return [json.loads(row[0]) for row in rows]

    def revisions(self, id: str) -> list[dict[str, Any]]:
        """All revisions of one finding by its id or an unambiguous beginning of it."""
        ids = self._connection.execute(
            "SELECT DISTINCT id FROM findings WHERE substr(id, 1, ?) = ? LIMIT 2", (len(id), id)
        ).fetchall()
        if len(ids) != 1:
            return []
        rows = self._connection.execute(
            "SELECT json FROM findings WHERE id = ? ORDER BY revision", ids[0]
        )
        return [json.loads(row[0]) for row in rows]

    def snapshots_until(self, position: int) -> Iterator[Snapshot]:
        """Snapshots made at or before a position, newest first."""
        return _snapshots(self._connection, position)

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()


def _snapshots(connection: sqlite3.Connection, until: int) -> Iterator[Snapshot]:
    positions = connection.execute(
        "SELECT position FROM snapshots WHERE position <= ? ORDER BY position DESC", (until,)
    ).fetchall()
    for (position,) in positions:
        row = connection.execute(
            "SELECT data FROM snapshots WHERE position = ?", (position,)
        ).fetchone()
        with suppress(zstandard.ZstdError):  # damaged: the next older one serves
            yield Snapshot(position, zstandard.ZstdDecompressor().decompress(row[0]))


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
