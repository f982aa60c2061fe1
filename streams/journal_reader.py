"""Reads the journal by position, from the process that writes it or from another one."""

import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path

import zstandard

from streams.disk import open_readonly, used_bytes


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
class Batch:
    """Consecutive lines: `data` holds `count` of them, each ended by a newline."""

    first: int
    count: int
    data: bytes


class JournalReader:
    """Lines by position.

    Args:
        path: the SQLite file.
        connection: one of one's own, or None to open the file read-only.
    Raises:
        FileNotFoundError: there is no journal.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection | None = None) -> None:
        self.path = path
        self._reader = connection or open_readonly(path)
        self._reading = threading.Lock()

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

    def end(self) -> int:
        """The position the next line will get."""
        with self._reading:
            return next_position(self._reader)

    def oldest(self) -> int:
        """The first position still kept."""
        with self._reading:
            row = self._reader.execute("SELECT min(first) FROM blocks").fetchone()
        return int(row[0] or 0)

    def used_bytes(self) -> int:
        """Bytes on the disk that hold lines."""
        with self._reading:
            return used_bytes(self._reader)

    def close(self) -> None:
        """Closes the file."""
        with self._reading:
            self._reader.close()


def next_position(connection: sqlite3.Connection) -> int:
    """The number after the last line."""
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
