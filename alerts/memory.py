"""A small durable memory for a sink, beside its rows: such as where a message was posted."""

import sqlite3
from pathlib import Path
from typing import Protocol

from alerts.database import connect, transaction

MAX_MEMORIES = 200_000  # values one destination keeps; those not touched the longest go


class Memory(Protocol):
    """What a sink may remember."""

    def get(self, key: str) -> str | None:
        """What was kept under a key."""

    def put(self, key: str, value: str) -> None:
        """Keeps a value; it is on the disk when this returns."""


class TableMemory:
    """A memory in the outbox's database.

    Raises:
        sqlite3.Error (from its methods): the disk is full, or the file is damaged.
    """

    def __init__(self, database: Path, destination: str, *, limit: int = MAX_MEMORIES) -> None:
        self._database = database
        self._destination = destination
        self._limit = limit
        self._connection: sqlite3.Connection | None = None

    def get(self, key: str) -> str | None:
        """What was kept under a key."""
        row = (
            self._open()
            .execute(
                "SELECT value FROM outbox_memory WHERE destination = ? AND key = ?",
                (self._destination, key),
            )
            .fetchone()
        )
        return str(row[0]) if row else None

    def put(self, key: str, value: str) -> None:
        """Keeps a value."""
        connection = self._open()
        with transaction(connection):
            connection.execute(
                "INSERT OR REPLACE INTO outbox_memory (destination, key, value) VALUES (?, ?, ?)",
                (self._destination, key, value),
            )
            connection.execute(
                "DELETE FROM outbox_memory WHERE destination = ?1 AND number <="
                " (SELECT number FROM outbox_memory WHERE destination = ?1"
                " ORDER BY number DESC LIMIT 1 OFFSET ?2)",
                (self._destination, self._limit),
            )

    def close(self) -> None:
        """Closes the connection; using the memory again opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self._database)
        return self._connection
