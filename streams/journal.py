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

from alerts.database import transaction
from streams.disk import no_space, open_durable, used_bytes
from streams.journal_reader import JournalReader, next_position

MAX_WAITING_APPENDS = 1024  # requests waiting for the disk; more are asked to come back
MAX_GROUP = 256  # requests that share one fsync
MAX_ROW_LINES = 4096  # lines of one row, so that reading a part stays cheap
TRIM_STEP = 64  # rows dropped between two looks at the size
REFUSAL_S = 10.0
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


@dataclass(slots=True)
class _Waiting:
    source: str
    rows: list[tuple[int, bytes]]  # lines, compressed
    done: "Future[range]"


class Journal(JournalReader):
    """Appends lines, beside reading them back.

    Args:
        path: the SQLite file; made when missing.
        limits: size and age.
        wall: epoch seconds (for ages only).
    """

    def __init__(
        self, path: Path, limits: Limits | None = None, *, wall: Callable[[], float] = time.time
    ) -> None:
        super().__init__(path, open_durable(path, _TABLES))
        self.limits = limits or Limits()
        self.watermark = 0  # lines below it are inside a snapshot of the core, and may be dropped
        self._wall = wall
        self._waiting: Queue[_Waiting | None] = Queue(MAX_WAITING_APPENDS)
        self._arrived = threading.Condition()
        self._writer = open_durable(path, _TABLES)
        self._closed = False
        self._refused_at = float("-inf")
        self._thread = threading.Thread(target=self._write_forever, name="journal", daemon=True)
        self._thread.start()

    def submit(self, source: str, lines: Sequence[bytes]) -> "Future[range]":
        """Queues lines; the future gives their positions once they are on the disk.

        Raises (from the future):
            JournalFull: they could not be stored now; the same lines may be sent again.
        """
        done: Future[range] = Future()
        done.set_running_or_notify_cancel()  # a sender that goes away must not upset the writer
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

    def begin_at(self, position: int) -> None:
        """Makes the next line get this number (later than all there are)."""
        with self._reading, transaction(self._reader):
            self._reader.execute(
                "INSERT INTO blocks VALUES (?, 0, '', ?, x'')", (position, self._wall())
            )

    def refusing(self) -> bool:
        """Whether the last append failed, less than `REFUSAL_S` seconds ago."""
        return time.monotonic() - self._refused_at < REFUSAL_S

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
            self._writer.close()
            super().close()

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
            self._refused_at = time.monotonic()
            group[0].done.set_exception(JournalFull(str(error)) if no_space(error) else error)
            return
        self._refused_at = float("-inf")
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
            position = next_position(self._writer)
            self._writer.execute("DELETE FROM blocks WHERE first = ? AND count = 0", (position,))
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
