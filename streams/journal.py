"""The durable journal: accepted events are on the disk before their sender hears 2xx.

One SQLite file. A row is a block of lines of one source, compressed; lines are numbered from 0
without gaps, and that number is the pipeline's position. Requests that arrive together share one
fsync. Several processes may append (`dlq retry` beside `serve`).
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Full, Queue

import zstandard

from streams.disk import no_space, open_durable, transaction, used_bytes

MAX_WAITING_APPENDS = 1024  # requests waiting for the disk; more are asked to come back
MAX_GROUP = 256  # requests that share one fsync
MAX_ROW_LINES = 4096  # lines of one row, so that reading a part stays cheap
TRIM_STEP = 64  # rows dropped between two looks at the size
COMPRESSION_LEVEL = 3
DEFAULT_MAX_BYTES = 8 * 2**30
DEFAULT_KEEP_BYTES = 4 * 2**30
DEFAULT_KEEP_S = 14 * 86_400

_TABLES = """
CREATE TABLE IF NOT EXISTS blocks (
    first INTEGER PRIMARY KEY,
    count INTEGER NOT NULL,
    source TEXT NOT NULL,
    received REAL NOT NULL,
    data BLOB NOT NULL
)
"""


class JournalFull(Exception):
    """The disk, or the size limit, is reached by events not yet judged; nothing was stored."""


class JournalGap(Exception):
    """The lines asked for are no longer kept.

    Attributes:
        oldest: the first position that is.
    """

    def __init__(self, wanted: int, oldest: int) -> None:
        super().__init__(f"position {wanted} is not in the journal, which begins at {oldest}")
        self.oldest = oldest


class JournalDamaged(Exception):
    """A block cannot be read back: the file was changed, or the disk is failing.

    Attributes:
        first, end: the positions it held.
    """

    def __init__(self, first: int, count: int, reason: str) -> None:
        super().__init__(f"lines {first} to {first + count - 1}: {reason}")
        self.first = first
        self.end = first + count


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept.

    Attributes:
        max_bytes: used size above which appends are refused once nothing judged is left to drop.
        keep_bytes: size down to which judged lines are dropped in quiet moments.
        keep_s: age in seconds at which judged lines are dropped.
    """

    max_bytes: int = DEFAULT_MAX_BYTES
    keep_bytes: int = DEFAULT_KEEP_BYTES
    keep_s: float = DEFAULT_KEEP_S


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive lines: `data` holds `count` of them, each ended by a newline."""

    first: int
    count: int
    data: bytes


@dataclass(slots=True)
class _Waiting:
    source: str
    rows: list[tuple[int, bytes]]  # lines, compressed
    done: "Future[range]"


class Journal:
    """Appends lines, and reads them back by position.

    Args:
        path: the SQLite file; made when missing.
        limits: size and age.
        wall: epoch seconds (for ages only).
    """

    def __init__(
        self, path: Path, limits: Limits | None = None, *, wall: Callable[[], float] = time.time
    ) -> None:
        self.path = path
        self.limits = limits or Limits()
        self.watermark = 0  # lines below it are inside a snapshot of the core, and may be dropped
        self._wall = wall
        self._waiting: Queue[_Waiting | None] = Queue(MAX_WAITING_APPENDS)
        self._arrived = threading.Condition()
        self._reading = threading.Lock()
        self._writer = open_durable(path, _TABLES)
        self._reader = open_durable(path, _TABLES)
        self._closed = False
        self._thread = threading.Thread(target=self._write_forever, name="journal", daemon=True)
        self._thread.start()

    def submit(self, source: str, lines: Sequence[bytes]) -> "Future[range]":
        """Queues lines; the future gives their positions once they are on the disk.

        Raises (from the future):
            JournalFull: they could not be stored now; the same lines may be sent again.
        """
        done: Future[range] = Future()
        compress = zstandard.ZstdCompressor(COMPRESSION_LEVEL, write_checksum=True).compress
        rows = [
            (len(part), compress(b"\n".join(part) + b"\n"))
            for part in (
                lines[at : at + MAX_ROW_LINES] for at in range(0, len(lines), MAX_ROW_LINES)
            )
        ]
        try:
            if self._closed:
                raise Full
            self._waiting.put_nowait(_Waiting(source, rows, done))
        except Full:
            done.set_exception(JournalFull("too many requests are waiting for the disk"))
        return done

    def append(self, source: str, lines: Sequence[bytes]) -> range:
        """Stores lines and gives their positions; from then on they survive a power cut."""
        return self.submit(source, lines).result()

    def read(self, position: int, max_events: int) -> Batch | None:
        """Up to `max_events` lines from `position` on, or None at the end.

        Raises:
            JournalGap: the lines were dropped, or never were.
            JournalDamaged: a block does not read back.
        """
        parts: list[bytes] = []
        while len(parts) < max_events:
            at = position + len(parts)
            with self._reading:
                row = self._reader.execute(
                    "SELECT first, count, data FROM blocks WHERE first <= ?"
                    " ORDER BY first DESC LIMIT 1",
                    (at,),
                ).fetchone()
            if row is None or at >= row[0] + row[1]:
                break
            try:
                lines = _unpack(*row)
            except JournalDamaged:
                if parts:  # first what is whole
                    break
                raise
            parts += lines[at - row[0] : at - row[0] + max_events - len(parts)]
        if parts:
            return Batch(position, len(parts), b"\n".join(parts) + b"\n")
        if position < self.oldest() or position > self.end():
            raise JournalGap(position, self.oldest())
        return None

    def begin_at(self, position: int) -> None:
        """Makes the next line get this number (later than all there are)."""
        with self._reading, transaction(self._reader):
            self._reader.execute(
                "INSERT INTO blocks VALUES (?, 0, '', ?, x'')", (position, self._wall())
            )

    def end(self) -> int:
        """The position the next line will get."""
        with self._reading:
            return _end(self._reader)

    def oldest(self) -> int:
        """The first position still kept."""
        with self._reading:
            row = self._reader.execute("SELECT min(first) FROM blocks").fetchone()
        return int(row[0] or 0)

    def used_bytes(self) -> int:
        """Bytes on the disk that hold lines."""
        with self._reading:
            return used_bytes(self._reader)

    def wait(self, position: int, timeout_s: float) -> None:
        """Returns when there are lines from `position` on, at the latest after `timeout_s`."""
        with self._arrived:
            if self.end() <= position and not self._closed:
                self._arrived.wait(timeout_s)

    def wake(self) -> None:
        """Ends every `wait` at once."""
        with self._arrived:
            self._arrived.notify_all()

    def trim(self) -> int:
        """Drops judged rows that are too old or too many; gives the number of rows."""
        connection = open_durable(self.path, _TABLES)
        try:
            old = _drop(connection, self.watermark, self._wall() - self.limits.keep_s)
            return old + _shrink(connection, self.watermark, self.limits.keep_bytes)
        finally:
            connection.close()

    def close(self) -> None:
        """Stores what is queued and closes the file."""
        if not self._closed:
            self._closed = True
            self._waiting.put(None)
            self._thread.join()
            self._reader.close()
            self._writer.close()

    def _write_forever(self) -> None:
        while (item := self._waiting.get()) is not None:
            group = [item]
            last = False
            while len(group) < MAX_GROUP and not last:
                try:
                    more = self._waiting.get_nowait()
                except Empty:
                    break
                if more is None:
                    last = True
                else:
                    group.append(more)
            self._write(group)
            if last:
                return

    def _write(self, group: list[_Waiting]) -> None:
        try:
            ranges = self._commit(group)
        except (JournalFull, sqlite3.Error, OSError) as error:
            if len(group) > 1:  # a small request may still fit where the group did not
                for item in group:
                    self._write([item])
                return
            group[0].done.set_exception(JournalFull(str(error)) if no_space(error) else error)
            return
        for item, positions in zip(group, ranges, strict=True):
            item.done.set_result(positions)
        self.wake()

    def _commit(self, group: list[_Waiting]) -> list[range]:
        room = self.limits.max_bytes - sum(len(data) for item in group for _, data in item.rows)
        if used_bytes(self._writer) > room:
            _shrink(self._writer, self.watermark, room)
            if used_bytes(self._writer) > room:
                raise JournalFull(f"{self.limits.max_bytes} bytes of events wait to be judged")
        ranges = []
        with transaction(self._writer):
            position = _end(self._writer)
            for item in group:
                start = position
                for count, data in item.rows:
                    self._writer.execute(
                        "INSERT INTO blocks VALUES (?, ?, ?, ?, ?)",
                        (position, count, item.source, self._wall(), data),
                    )
                    position += count
                ranges.append(range(start, position))
        return ranges


def _end(connection: sqlite3.Connection) -> int:
    row = connection.execute(
        "SELECT first + count FROM blocks ORDER BY first DESC LIMIT 1"
    ).fetchone()
    return int(row[0]) if row else 0


def _unpack(first: int, count: int, data: bytes) -> list[bytes]:
    try:
        lines = zstandard.ZstdDecompressor().decompress(data).split(b"\n")[:-1]
    except zstandard.ZstdError as error:
        raise JournalDamaged(first, count, str(error)) from None
    if len(lines) != count:
        raise JournalDamaged(first, count, f"{len(lines)} lines instead of {count}")
    return lines


def _drop(connection: sqlite3.Connection, watermark: int, before: float, limit: int = -1) -> int:
    """Deletes judged rows received before; never the newest, which carries the next position."""
    with transaction(connection):
        dropped = connection.execute(
            "DELETE FROM blocks WHERE first IN (SELECT first FROM blocks"
            " WHERE first + count <= ? AND received < ?"
            " AND first < (SELECT max(first) FROM blocks) ORDER BY first LIMIT ?)",
            (watermark, before, limit),
        ).rowcount
    if dropped:
        connection.execute("PRAGMA incremental_vacuum").fetchall()
    return dropped


def _shrink(connection: sqlite3.Connection, watermark: int, target: int) -> int:
    total = 0
    while used_bytes(connection) > target:
        dropped = _drop(connection, watermark, float("inf"), TRIM_STEP)
        total += dropped
        if not dropped:
            break
    return total
