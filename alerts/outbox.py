"""What has to be told to whom: one durable row per revision and destination.

Rows are made in the transaction that stores findings and incidents (`alerts/outbox_queue.py`). One
is `waiting` until its destination has taken it (`delivered`), `held` while only an operator can
mend the destination, `dead` once the destination has refused its content. Nothing is dropped.
Rows change one transaction after the other: a body is shared by its destinations, and counts are
kept beside the rows.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, delete, func, literal, select, text, update

from alerts.base import Delivery
from alerts.incident import Change, Incident
from alerts.outbox_counts import Counts, read_counts
from alerts.store_engine import Target, insert_new, open_store, reading, updating, writing
from alerts.tables import BODIES, DESTINATIONS, OUTBOX
from alerts.text import scrub
from schemas.finding import Finding

MAX_DEAD = 10_000  # refused rows of one destination; then it is held instead of losing any
MAX_DELIVERED = 100_000  # rows of one destination kept as proof; the oldest go
MAX_ERROR = 300  # characters of a reason
CHUNK = 500  # names in one statement

State = Literal["waiting", "held", "delivered", "dead"]
STATES: tuple[State, ...] = ("waiting", "held", "delivered", "dead")
PENDING = text("outbox.state IN ('waiting', 'held')")  # spelled out: partial indexes need it
DEAD = text("outbox.state = 'dead'")


@dataclass(frozen=True, slots=True)
class Row:
    """Something that a destination has not yet taken.

    `finding` and `incident` are JSON; `next_try` is in epoch seconds.
    """

    number: int
    key: str
    about: Literal["finding", "incident"]
    change: Change | None
    attempts: int
    next_try: float
    finding: bytes
    incident: bytes | None

    def delivery(self) -> Delivery:
        """What the sink gets.

        Raises:
            ValueError: what is stored cannot be read.
        """
        finding = Finding.model_validate_json(self.finding)
        if self.incident is None:
            return Delivery(self.key, finding, None, self.about)
        incident = Incident.model_validate_json(self.incident)
        if self.change is not None and self.change != incident.change:
            incident = incident.model_copy(update={"change": self.change})
        return Delivery(self.key, finding, incident, self.about)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A row its destination refused; `number` names it for `retry_dead`."""

    number: int
    destination: str
    key: str
    attempts: int
    reason: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Hold:
    """A destination that only an operator can mend, since when (epoch seconds), and why."""

    since: float
    reason: str


class Outbox:
    """The rows of a store; any thread may use it.

    Args:
        wall: epoch seconds, for when something was tried.
    """

    def __init__(self, target: Target, wall: Callable[[], float] = time.time) -> None:
        self.engine = open_store(target)
        self._wall = wall

    def pending(self, destination: str, limit: int) -> list[Row]:
        """The next rows of a destination, in order."""
        query = (
            select(
                OUTBOX.c.number, OUTBOX.c.key, OUTBOX.c.about, OUTBOX.c.change,
                OUTBOX.c.attempts, OUTBOX.c.next_try,
                func.coalesce(BODIES.c.finding, literal(b"")), BODIES.c.incident,
            )
            .join_from(OUTBOX, BODIES, OUTBOX.c.key == BODIES.c.key, isouter=True)
            .where(OUTBOX.c.destination == destination, PENDING)
            .order_by(OUTBOX.c.priority, OUTBOX.c.number)
            .limit(limit)
        )  # fmt: skip
        with reading(self.engine) as connection:
            return [Row(*row) for row in connection.execute(query)]

    def delivered(self, destination: str, rows: Sequence[Row]) -> None:
        """The destination has taken them."""
        keys = [row.key for row in rows]
        with writing(self.engine) as connection:
            values = {"state": "delivered", "last_error": ""}
            self._move(connection, destination, rows, "delivered", values)
            drop_bodies(connection, keys)
            extra = read_counts(connection).get(destination, {}).get("delivered", 0) - MAX_DELIVERED
            if extra > 0:
                self._forget_delivered(connection, destination, extra)

    def postpone(
        self, destination: str, rows: Sequence[Row], next_try: float, reason: str, *, held: bool
    ) -> None:
        """They were tried in vain; `next_try` is in epoch seconds."""
        state: State = "held" if held else "waiting"
        values = {"state": state, "next_try": next_try, "last_error": scrub(reason, MAX_ERROR)}
        with writing(self.engine) as connection:
            self._move(connection, destination, rows, state, values)

    def bury(self, destination: str, row: Row, reason: str) -> None:
        """The destination refuses this content: it becomes a dead letter."""
        values = {"state": "dead", "last_error": scrub(reason, MAX_ERROR)}
        with writing(self.engine) as connection:
            self._move(connection, destination, [row], "dead", values)

    def hold(self, destination: str, since: float, reason: str) -> None:
        """Notes that only an operator can mend the destination, and that he was told."""
        self._note(destination, held_since=since, held_reason=scrub(reason, MAX_ERROR))

    def release(self, destination: str) -> None:
        """Notes that the destination works again."""
        self._note(destination, held_since=None, held_reason=None)

    def holds(self) -> dict[str, Hold]:
        """The destinations on hold."""
        c = DESTINATIONS.c
        query = select(c.destination, c.held_since, c.held_reason).where(c.held_since.is_not(None))
        with reading(self.engine) as connection:
            return {row[0]: Hold(row[1], row[2]) for row in connection.execute(query)}

    def outside(self) -> dict[str, float]:
        """Destinations without room, and since when (epoch seconds) more waits outside."""
        c = DESTINATIONS.c
        query = select(c.destination, c.overflow_since).where(c.overflow_since.is_not(None))
        with reading(self.engine) as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def counts(self) -> dict[str, dict[str, int]]:
        """Rows by destination and state, of destinations no longer configured too."""
        with reading(self.engine) as connection:
            return read_counts(connection)

    def last_error(self, destination: str) -> str:
        """Why the next row of a destination was not taken; "" when it was not tried."""
        query = (
            select(OUTBOX.c.last_error)
            .where(OUTBOX.c.destination == destination, PENDING)
            .order_by(OUTBOX.c.priority, OUTBOX.c.number)
            .limit(1)
        )
        with reading(self.engine) as connection:
            return connection.execute(query).scalar() or ""

    def dead_letters(self, destination: str | None = None, limit: int = 100) -> list[DeadLetter]:
        """What was refused, oldest first."""
        query = (
            select(
                OUTBOX.c.number, OUTBOX.c.destination, OUTBOX.c.key, OUTBOX.c.attempts,
                OUTBOX.c.last_error, func.coalesce(BODIES.c.finding, literal(b"")),
            )
            .join_from(OUTBOX, BODIES, OUTBOX.c.key == BODIES.c.key, isouter=True)
            .where(DEAD)
            .order_by(OUTBOX.c.number)
            .limit(limit)
        )  # fmt: skip
        if destination is not None:
            query = query.where(OUTBOX.c.destination == destination)
        with reading(self.engine) as connection:
            return [DeadLetter(*row) for row in connection.execute(query)]

    def retry_dead(self, numbers: Iterable[int]) -> int:
        """Puts refused rows back in their old place of the queue; gives how many."""
        return self._dead(numbers, retry=True)

    def discard_dead(self, numbers: Iterable[int]) -> int:
        """Gives refused rows up for good; gives how many."""
        return self._dead(numbers, retry=False)

    def _dead(self, numbers: Iterable[int], *, retry: bool) -> int:
        counts = Counts()
        keys = []
        with writing(self.engine) as connection:
            for number in numbers:
                mine = OUTBOX.c.number == number
                change: Any = delete(OUTBOX)
                if retry:
                    change = update(OUTBOX).values(state="waiting", next_try=0)
                done = change.where(mine, DEAD).returning(OUTBOX.c.destination, OUTBOX.c.key)
                for row in connection.execute(done):
                    counts.add(row.destination, "dead", -1)
                    counts.add(row.destination, "waiting", int(retry))
                    keys.append(row.key)
            if not retry:
                drop_bodies(connection, keys)
            counts.write(connection)
        return len(keys)

    def _move(
        self,
        connection: Connection,
        destination: str,
        rows: Sequence[Row],
        state: State,
        values: dict[str, Any],
    ) -> None:
        counts = Counts()
        held = func.coalesce(func.sum(text("CASE WHEN state = 'held' THEN 1 ELSE 0 END")), 0)
        for at in range(0, len(rows), CHUNK):
            part = rows[at : at + CHUNK]
            # one that was replaced while it was on its way has another key now, and stays
            keys = [row.key for row in part if row.about == "incident"]
            mine = OUTBOX.c.number.in_([row.number for row in part]) & (
                OUTBOX.c.key.in_(keys) | (OUTBOX.c.about == "finding")
            )
            was_held, was = connection.execute(
                select(held, func.count()).where(mine, PENDING).select_from(OUTBOX)
            ).one()
            attempts = OUTBOX.c.attempts + 1
            connection.execute(
                update(OUTBOX)
                .where(mine, PENDING)
                .values(attempts=attempts, tried=self._wall(), **values)
            )
            counts.add(destination, "held", -was_held)
            counts.add(destination, "waiting", was_held - was)
            counts.add(destination, state, was)
        counts.write(connection)

    def _forget_delivered(self, connection: Connection, destination: str, extra: int) -> None:
        oldest = (
            select(OUTBOX.c.number)
            .where(OUTBOX.c.destination == destination, text("outbox.state = 'delivered'"))
            .order_by(OUTBOX.c.number)
            .limit(extra)
        )
        gone = connection.execute(delete(OUTBOX).where(OUTBOX.c.number.in_(oldest))).rowcount
        counts = Counts()
        counts.add(destination, "delivered", -gone)
        counts.write(connection)

    def _note(self, destination: str, **values: Any) -> None:
        with updating(self.engine) as connection:
            note_destination(connection, destination, **values)


def note_destination(connection: Connection, destination: str, **values: Any) -> None:
    """Sets columns of a destination's own row."""
    insert_new(connection, DESTINATIONS, [{"destination": destination}])
    if values:
        mine = DESTINATIONS.c.destination == destination
        connection.execute(update(DESTINATIONS).where(mine).values(**values))


def drop_bodies(connection: Connection, keys: Sequence[str]) -> None:
    """Forgets bodies that nobody waits for."""
    for at in range(0, len(keys), CHUNK):
        part = keys[at : at + CHUNK]
        wanted = select(OUTBOX.c.number).where(
            OUTBOX.c.key == BODIES.c.key, OUTBOX.c.state != "delivered"
        )
        connection.execute(delete(BODIES).where(BODIES.c.key.in_(part), ~wanted.exists()))
