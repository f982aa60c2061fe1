"""A small durable memory for a sink, beside its rows: such as where a message was posted."""

from typing import Protocol

from sqlalchemy import delete, insert, select

from alerts.store_engine import Target, open_store, reading, updating
from alerts.tables import MEMORY

MAX_MEMORIES = 200_000  # values one destination keeps; those not touched the longest go


class Memory(Protocol):
    """What a sink may remember."""

    def get(self, key: str) -> str | None:
        """What was kept under a key."""

    def put(self, key: str, value: str) -> None:
        """Keeps a value; it is on the disk when this returns."""


class TableMemory:
    """A memory in the store; any thread may use it.

    Raises:
        sqlite3.Error, StoreDown (from its methods): the disk is full, the file is damaged, or the
            database does not answer.
    """

    def __init__(self, target: Target, destination: str, *, limit: int = MAX_MEMORIES) -> None:
        self._engine = open_store(target)
        self._destination = destination
        self._limit = limit

    def get(self, key: str) -> str | None:
        """What was kept under a key."""
        mine = (MEMORY.c.destination == self._destination) & (MEMORY.c.key == key)
        with reading(self._engine) as connection:
            found = connection.execute(select(MEMORY.c.value).where(mine)).scalar()
            return None if found is None else str(found)

    def put(self, key: str, value: str) -> None:
        """Keeps a value."""
        own = MEMORY.c.destination == self._destination
        spare = select(MEMORY.c.number).where(own).order_by(MEMORY.c.number.desc())
        oldest = spare.offset(self._limit).limit(1).scalar_subquery()
        with updating(self._engine) as connection:
            connection.execute(delete(MEMORY).where(own, MEMORY.c.key == key))
            values = {"destination": self._destination, "key": key, "value": value}
            connection.execute(insert(MEMORY).values(**values))
            connection.execute(delete(MEMORY).where(own, MEMORY.c.number <= oldest))

    def close(self) -> None:
        """Nothing to do: connections belong to the store."""
