"""A small durable memory for a sink, beside its rows: such as where a message was posted."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from sqlalchemy import delete, insert, select

from alerts.outbox import CHUNK
from alerts.store_engine import Target, open_store, reading, updating
from alerts.tables import MEMORY

MAX_MEMORIES = 200_000  # values one destination keeps; those not touched the longest go


class Memory(Protocol):
    """What a sink may remember."""

    def get(self, key: str) -> str | None:
        """What was kept under a key."""

    def get_all(self, keys: Iterable[str]) -> dict[str, str]:
        """What was kept under these keys, where there is anything."""

    def put(self, key: str, value: str) -> None:
        """Keeps a value; it is on the disk when this returns."""

    def put_all(self, values: Mapping[str, str]) -> None:
        """Keeps them all, or none."""


class TableMemory:
    """A memory in the store; any thread may use it.

    Raises:
        sqlite3.Error, StoreDown (from its methods): the disk is full, the file is damaged, or the
            database does not answer.
    """

    def __init__(self, target: Target, destination: str, *, limit: int = MAX_MEMORIES) -> None:
        self._engine = open_store(target)
        self._destination = destination
        self._own = MEMORY.c.destination == destination
        self._limit = limit

    def get(self, key: str) -> str | None:
        """What was kept under a key."""
        return self.get_all([key]).get(key)

    def get_all(self, keys: Iterable[str]) -> dict[str, str]:
        """What was kept under these keys."""
        wanted = list(dict.fromkeys(keys))
        found: dict[str, str] = {}
        with reading(self._engine) as connection:
            for at in range(0, len(wanted), CHUNK):
                named = MEMORY.c.key.in_(wanted[at : at + CHUNK])
                query = select(MEMORY.c.key, MEMORY.c.value).where(self._own, named)
                found.update((row[0], row[1]) for row in connection.execute(query))
        return found

    def put(self, key: str, value: str) -> None:
        """Keeps a value."""
        self.put_all({key: value})

    def put_all(self, values: Mapping[str, str]) -> None:
        """Keeps them all, or none."""
        names = list(values)
        rows = [
            {"destination": self._destination, "key": key, "value": value}
            for key, value in values.items()
        ]
        spare = select(MEMORY.c.number).where(self._own).order_by(MEMORY.c.number.desc())
        oldest = spare.offset(self._limit).limit(1).scalar_subquery()
        with updating(self._engine) as connection:
            for at in range(0, len(names), CHUNK):
                named = MEMORY.c.key.in_(names[at : at + CHUNK])
                connection.execute(delete(MEMORY).where(self._own, named))
            if rows:
                connection.execute(insert(MEMORY), rows)
            connection.execute(delete(MEMORY).where(self._own, MEMORY.c.number <= oldest))

    def close(self) -> None:
        """Nothing to do: connections belong to the store."""
