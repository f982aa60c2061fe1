"""Rejected originals, kept encrypted: listing them shows reasons, never what they held.

AES-GCM under a key of its own (`quarantine.key`, mode 0600), so that a copy of the database alone
tells nothing. The oldest go first when age or size say so; how many went is counted. The same
original rejected again for the same reason is one entry with a higher count.
"""

import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from alerts.database import transaction
from streams.disk import no_space, open_durable, used_bytes
from streams.seal import MAX_ORIGINAL_BYTES, Seal, label

DATABASE_FILE = "quarantine.db"
KEY_FILE = "quarantine.key"
MAX_SINGLE = 1000  # records of one request that get an entry each
DEFAULT_MAX_BYTES = 256 * 2**20
DEFAULT_KEEP_S = 14 * 86_400
DROP_STEP = 64
PAGE = 100  # entries read at a time

_TABLES = """
CREATE TABLE IF NOT EXISTS originals (
    id TEXT PRIMARY KEY,
    at REAL NOT NULL,
    source TEXT NOT NULL,
    place TEXT NOT NULL,
    format TEXT NOT NULL,
    field TEXT NOT NULL,
    reason TEXT NOT NULL,
    size INTEGER NOT NULL,
    cut INTEGER NOT NULL,
    times INTEGER NOT NULL DEFAULT 1,
    sealed BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS originals_by_age ON originals (at);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL)
"""
_COLUMNS = "id, at, source, place, format, field, reason, size, cut, times"


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that was not accepted.

    Attributes:
        source: the token or file it came with.
        place: `file:line`, or endpoint and index.
        format: the adapter that refused it.
        field, reason: what is wrong; never the value.
        raw: the original.
    """

    source: str
    place: str
    format: str
    field: str
    reason: str
    raw: bytes

    @property
    def labels(self) -> tuple[str, ...]:
        """What makes it another entry beside the original itself."""
        return self.source, self.format, self.field, self.reason


@dataclass(frozen=True, slots=True)
class Entry:
    """What may be shown of a refused record."""

    id: str
    at: float
    source: str
    place: str
    format: str
    field: str
    reason: str
    size: int
    cut: bool
    times: int

    def shown(self) -> dict[str, Any]:
        """Everything as JSON values."""
        return asdict(self)


class Quarantine:
    """Keeps refused records; usable from several threads and processes.

    Args:
        folder: holds `quarantine.db` and `quarantine.key`; both are made when missing.
        max_bytes, keep_s: size and age above which the oldest are dropped.
        wall: epoch seconds.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        keep_s: float = DEFAULT_KEEP_S,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._seal = Seal.load(folder / KEY_FILE)
        self._connection = open_durable(folder / DATABASE_FILE, _TABLES)
        self._lock = threading.Lock()
        self._max_bytes = max_bytes
        self._keep_s = keep_s
        self._wall = wall

    def add(self, refused: Refused) -> str:
        """Keeps one record and gives its id."""
        return self.add_all([refused])[0]

    def add_all(self, refused: Iterable[Refused]) -> list[str]:
        """Keeps records in one commit and gives their ids, in order."""
        now = self._wall()
        rows = [self._row(item, now) for item in refused]
        with self._lock:
            with transaction(self._connection):
                self._connection.executemany(
                    "INSERT INTO originals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)"
                    " ON CONFLICT (id) DO UPDATE SET times = times + 1",
                    rows,
                )
            self._shrink(now)
        return [str(row[0]) for row in rows]

    def tidy(self) -> None:
        """Drops what is too old, or too much; call it now and then, for nothing else may happen.

        While the disk is full nothing goes; the next call tries again.
        """
        try:
            with self._lock:
                self._shrink(self._wall())
        except (sqlite3.Error, OSError) as error:
            if not no_space(error):
                raise

    def entries(self, limit: int = 100, source: str | None = None) -> list[Entry]:
        """The newest entries."""
        return [
            _entry(row)
            for row in self._select(
                f"SELECT {_COLUMNS} FROM originals WHERE source = coalesce(?, source)"  # noqa: S608
                " ORDER BY at DESC, rowid DESC LIMIT ?",
                (source, limit),
            )
        ]

    def oldest(self, source: str | None = None) -> Iterator[Entry]:
        """All entries there are now, the oldest first; they may be removed on the way."""
        until, at, row = self._wall(), float("-inf"), 0
        while True:
            rows = self._select(
                f"SELECT rowid, {_COLUMNS} FROM originals WHERE source = coalesce(?, source)"  # noqa: S608
                " AND (at, rowid) > (?, ?) AND at <= ? ORDER BY at, rowid LIMIT ?",
                (source, at, row, until, PAGE),
            )
            for found in rows:
                entry = _entry(found[1:])
                at, row = entry.at, found[0]
                yield entry
            if len(rows) < PAGE:
                return

    def get(self, id: str) -> Entry | None:
        """One entry by its id, or by an unambiguous beginning of it."""
        if not re.fullmatch("[0-9a-f]{4,32}", id):
            return None
        rows = self._select(
            f"SELECT {_COLUMNS} FROM originals WHERE substr(id, 1, ?) = ? LIMIT 2",  # noqa: S608
            (len(id), id),
        )
        return _entry(rows[0]) if len(rows) == 1 else None

    def original(self, id: str) -> bytes:
        """The record itself.

        Raises:
            KeyError: no such entry.
            QuarantineLocked: the key file is another one.
        """
        rows = self._select("SELECT sealed FROM originals WHERE id = ?", (id,))
        if not rows:
            raise KeyError(id)
        return self._seal.open(id, bytes(rows[0][0]))

    def remove(self, id: str) -> None:
        """Forgets an entry."""
        with self._lock, transaction(self._connection):
            self._connection.execute("DELETE FROM originals WHERE id = ?", (id,))

    def dropped(self) -> int:
        """How many originals age and size have pushed out so far."""
        rows = self._select("SELECT value FROM counters WHERE name = 'dropped'", ())
        return int(rows[0][0]) if rows else 0

    def count(self) -> int:
        """How many originals are kept."""
        return int(self._select("SELECT count(*) FROM originals", ())[0][0])

    def close(self) -> None:
        """Closes the database."""
        with self._lock:
            self._connection.close()

    def _select(self, query: str, values: tuple[object, ...]) -> list[Any]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def _row(self, item: Refused, now: float) -> tuple[object, ...]:
        sealed = self._seal.close(item.labels, item.raw)
        return (
            sealed.id, now, label(item.source), label(item.place), label(item.format),
            label(item.field), label(item.reason), sealed.size, sealed.cut, sealed.data,
        )  # fmt: skip

    def _shrink(self, now: float) -> None:
        dropped = self._drop("at < ?", now - self._keep_s)
        while used_bytes(self._connection) > self._max_bytes:
            step = self._drop(
                "id IN (SELECT id FROM originals ORDER BY at, rowid LIMIT ?)", DROP_STEP
            )
            if not step:
                break
            dropped += step
        if dropped:
            self._connection.execute("PRAGMA incremental_vacuum").fetchall()

    def _drop(self, which: str, value: float) -> int:
        with transaction(self._connection):
            gone = self._connection.execute(
                "DELETE FROM originals WHERE " + which,  # noqa: S608
                (value,),
            ).rowcount
            if gone:
                self._connection.execute(
                    "INSERT INTO counters VALUES ('dropped', ?)"
                    " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
                    (gone,),
                )
        return gone


def _entry(row: Any) -> Entry:
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    return Entry(**{**values, "cut": bool(values["cut"])})


def bundle(refused: Sequence[Refused]) -> list[Refused]:
    """The same records in a bounded number of entries: beyond the first ones, many in each.

    Records of one format are joined line by line; an entry says how many it holds. Those of OTLP
    are joined already, in the way of their encoding (`schemas.adapters.base.Rejections`).
    """
    kept = list(refused[:MAX_SINGLE])
    rest: dict[str, list[Refused]] = {}
    for item in refused[MAX_SINGLE:]:
        if item.format.startswith("otlp"):
            kept.append(item)
        else:
            rest.setdefault(item.format, []).append(item)
    for items in rest.values():
        part: list[Refused] = []
        size = 0
        for item in items:
            if part and size + len(item.raw) >= MAX_ORIGINAL_BYTES:
                kept.append(_joined(part))
                part, size = [], 0
            part.append(item)
            size += len(item.raw) + 1
        kept.append(_joined(part))
    return kept


def _joined(items: Sequence[Refused]) -> Refused:
    first = items[0]
    if len(items) == 1:
        return first
    raw = b"\n".join(item.raw for item in items)
    reason = f"{len(items)} records, the first: {first.reason}"
    return Refused(first.source, first.place, first.format, first.field, reason, raw)
