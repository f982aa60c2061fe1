"""What has to be told to whom: one durable row per finding revision and destination.

`enqueue` runs inside the transaction that stores the findings, so that neither is ever there
without the other. A row is `waiting` until its destination has taken it (`delivered`), `held` while
only an operator can mend the destination, `dead` once the destination has refused its content.
Nothing is dropped: a destination with too many rows refuses more, and whoever feeds the outbox
stops until there is room.
"""

import errno
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from alerts.base import Delivery
from alerts.database import transaction
from alerts.tables import TABLES
from alerts.text import scrub
from schemas.finding import Finding

MAX_WAITING = 1_000_000  # rows not yet taken by one destination; more raise OutboxFull
MAX_DEAD = 10_000  # refused rows of one destination; then it is held instead of losing any
MAX_DELIVERED = 100_000  # rows of one destination kept as proof; the oldest go
MAX_ERROR = 300  # characters of a reason

State = Literal["waiting", "held", "delivered", "dead"]
STATES: tuple[State, ...] = ("waiting", "held", "delivered", "dead")


class OutboxFull(OSError):
    """A destination has `MAX_WAITING` rows already; stored nothing, try again later.

    It is an OSError (ENOSPC) because the remedy is that of a full disk: stop consuming and wait.
    """

    def __init__(self, destination: str, limit: int) -> None:
        super().__init__(
            errno.ENOSPC,
            f"{limit} findings wait for destination {destination!r}; "
            "mend it, or remove it from the configuration",
        )
        self.destination = destination


@dataclass(frozen=True, slots=True)
class Row:
    """One finding revision that a destination has not yet taken.

    `body` is the finding's JSON; `next_try` is in epoch seconds.
    """

    number: int
    key: str
    body: bytes
    attempts: int
    next_try: float

    def delivery(self) -> Delivery:
        """What the sink gets.

        Raises:
            ValueError: the stored body is not a finding.
        """
        return Delivery(self.key, Finding.model_validate_json(self.body))


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
    """The rows, through one connection (use each instance from one thread at a time)."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @staticmethod
    def create_tables(connection: sqlite3.Connection) -> None:
        """Makes what is missing; call it once, outside a transaction."""
        connection.executescript(TABLES)

    @staticmethod
    def enqueue(
        connection: sqlite3.Connection,
        findings: Sequence[Finding],
        destinations: Sequence[str],
        *,
        limit: int = MAX_WAITING,
    ) -> None:
        """Adds rows inside the caller's transaction; those that are there already stay as they are.

        Raises:
            OutboxFull: a destination has no room; roll the transaction back.
        """
        for finding in findings:
            key = f"{finding.id}#{finding.revision}"
            added = sum(
                connection.execute(
                    "INSERT OR IGNORE INTO outbox (destination, id, revision, key)"
                    " VALUES (?, ?, ?, ?)",
                    (destination, finding.id, finding.revision, key),
                ).rowcount
                for destination in destinations
            )
            if added:
                connection.execute(
                    "INSERT OR IGNORE INTO outbox_bodies VALUES (?, ?, ?)",
                    (finding.id, finding.revision, finding.to_json()),
                )
        for destination in destinations:
            if _pending_count(connection, destination) > limit:
                raise OutboxFull(destination, limit)

    def pending(self, destination: str, limit: int) -> list[Row]:
        """The next rows of a destination, in order."""
        rows = self._connection.execute(
            "SELECT number, key, coalesce(json, x''), attempts, next_try FROM outbox"
            " LEFT JOIN outbox_bodies USING (id, revision)"
            " WHERE destination = ? AND state IN ('waiting', 'held') ORDER BY number LIMIT ?",
            (destination, limit),
        )
        return [Row(*row) for row in rows]

    def delivered(self, destination: str, rows: Iterable[Row]) -> None:
        """The destination has taken them."""
        with transaction(self._connection):
            taken = self._each(
                "UPDATE outbox SET state = 'delivered', attempts = attempts + 1, last_error = ''"
                " WHERE number = ? RETURNING id, revision",
                [row.number for row in rows],
            )
            self._drop_bodies(taken)
            extra = self.counts().get(destination, {}).get("delivered", 0) - MAX_DELIVERED
            if extra > 0:
                self._connection.execute(
                    "DELETE FROM outbox WHERE number IN (SELECT number FROM outbox"
                    " WHERE destination = ? AND state = 'delivered' ORDER BY number LIMIT ?)",
                    (destination, extra),
                )

    def postpone(self, rows: Iterable[Row], next_try: float, reason: str, *, held: bool) -> None:
        """They were tried in vain; `next_try` is in epoch seconds."""
        with transaction(self._connection):
            self._connection.executemany(
                "UPDATE outbox SET state = ?, attempts = attempts + 1, next_try = ?,"
                " last_error = ? WHERE number = ?",
                [
                    ("held" if held else "waiting", next_try, scrub(reason, MAX_ERROR), row.number)
                    for row in rows
                ],
            )

    def bury(self, row: Row, reason: str) -> None:
        """The destination refuses this content: it becomes a dead letter."""
        with transaction(self._connection):
            self._connection.execute(
                "UPDATE outbox SET state = 'dead', attempts = attempts + 1, last_error = ?"
                " WHERE number = ?",
                (scrub(reason, MAX_ERROR), row.number),
            )

    def hold(self, destination: str, since: float, reason: str) -> None:
        """Notes that only an operator can mend the destination, and that he was told."""
        with transaction(self._connection):
            self._connection.execute(
                "INSERT OR REPLACE INTO outbox_holds VALUES (?, ?, ?)",
                (destination, since, scrub(reason, MAX_ERROR)),
            )

    def release(self, destination: str) -> None:
        """Notes that the destination works again."""
        with transaction(self._connection):
            self._connection.execute(
                "DELETE FROM outbox_holds WHERE destination = ?", (destination,)
            )

    def holds(self) -> dict[str, Hold]:
        """The destinations on hold."""
        rows = self._connection.execute("SELECT destination, since, reason FROM outbox_holds")
        return {name: Hold(since, reason) for name, since, reason in rows}

    def counts(self) -> dict[str, dict[State, int]]:
        """Rows by destination and state, of destinations no longer configured too."""
        result: dict[str, dict[State, int]] = {}
        for destination, state, rows in self._connection.execute(
            "SELECT destination, state, rows FROM outbox_counts ORDER BY destination"
        ):
            result.setdefault(destination, dict.fromkeys(STATES, 0))[state] = rows
        return result

    def last_error(self, destination: str) -> str:
        """Why the next row of a destination was not taken; "" when it was not tried."""
        row = self._connection.execute(
            "SELECT last_error FROM outbox WHERE destination = ?"
            " AND state IN ('waiting', 'held') ORDER BY number LIMIT 1",
            (destination,),
        ).fetchone()
        return str(row[0]) if row else ""

    def dead_letters(self, destination: str | None = None, limit: int = 100) -> list[DeadLetter]:
        """What was refused, oldest first."""
        rows = self._connection.execute(
            "SELECT number, destination, key, attempts, last_error, coalesce(json, x'')"
            " FROM outbox LEFT JOIN outbox_bodies USING (id, revision)"
            " WHERE state = 'dead' AND destination = coalesce(?, destination)"
            " ORDER BY number LIMIT ?",
            (destination, limit),
        )
        return [DeadLetter(*row) for row in rows]

    def retry_dead(self, numbers: Iterable[int]) -> int:
        """Puts refused rows back in their old place of the queue; gives how many."""
        with transaction(self._connection):
            back = self._each(
                "UPDATE outbox SET state = 'waiting', next_try = 0"
                " WHERE number = ? AND state = 'dead' RETURNING id, revision",
                numbers,
            )
        return len(back)

    def discard_dead(self, numbers: Iterable[int]) -> int:
        """Gives refused rows up for good; gives how many."""
        with transaction(self._connection):
            gone = self._each(
                "DELETE FROM outbox WHERE number = ? AND state = 'dead' RETURNING id, revision",
                numbers,
            )
            self._drop_bodies(gone)
        return len(gone)

    def _each(self, statement: str, numbers: Iterable[int]) -> list[tuple[str, int]]:
        rows = (self._connection.execute(statement, (number,)).fetchall() for number in numbers)
        return [row for found in rows for row in found]

    def _drop_bodies(self, names: Sequence[tuple[str, int]]) -> None:
        self._connection.executemany(
            "DELETE FROM outbox_bodies WHERE id = ?1 AND revision = ?2 AND NOT EXISTS"
            " (SELECT 1 FROM outbox WHERE id = ?1 AND revision = ?2 AND state <> 'delivered')",
            names,
        )


def _pending_count(connection: sqlite3.Connection, destination: str) -> int:
    row = connection.execute(
        "SELECT sum(rows) FROM outbox_counts"
        " WHERE destination = ? AND state IN ('waiting', 'held')",
        (destination,),
    ).fetchone()
    return int(row[0] or 0)
