"""Which process sends to a destination: one at a time, so that two `deliver` do not send twice.

A lease is renewed while its owner lives. A process that stops gives it back; that of one that died
is free at once on the same machine, and after `LEASE_S` elsewhere. One that was frozen for longer
than its lease while it was sending can still send that one batch beside its successor, under the
same keys.
"""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Engine,
    literal,
    literal_column,
    or_,
    select,
    update,
)

from alerts.outbox import note_destination
from alerts.store_engine import reading, updating
from alerts.tables import DESTINATIONS

LEASE_S = 30.0
RENEW_S = 8.0
MARGIN_S = 5.0  # a lease with less than this left is not used any more

_C = DESTINATIONS.c


class Leases:
    """The leases of one process.

    Args:
        owner: names this process; unique among all.
        clock: seconds, for how long a lease still holds.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        owner: str | None = None,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._owner = owner or process_name()
        self._wall = wall
        self._clock = clock
        self._until: dict[str, float] = {}
        self._guard = threading.Lock()

    def held(self, destination: str) -> bool:
        """Whether we may send; takes a lease that is free.

        Raises:
            sqlite3.Error, StoreDown: it cannot be known; do not send.
        """
        with self._guard:
            until = self._until.get(destination, float("-inf"))
        return self._clock() < until - MARGIN_S or self._take(destination)

    def renew(self) -> None:
        """Prolongs those we hold; call it every `RENEW_S`.

        Raises:
            sqlite3.Error, StoreDown: they run out unless a later call succeeds.
        """
        for destination in tuple(self._until):
            self._take(destination)

    def give_back(self, but: Sequence[str] = ()) -> None:
        """Lets others take them at once, but for those that are still in use."""
        with updating(self._engine) as connection:
            mine = (_C.lease_owner == self._owner) & _C.destination.not_in(list(but))
            connection.execute(update(DESTINATIONS).where(mine).values(lease_owner=None))
        with self._guard:
            self._until.clear()

    def _take(self, destination: str) -> bool:
        asked = self._clock()
        with updating(self._engine) as connection:
            now = self._now(connection)
            named = _C.destination == destination
            row = connection.execute(select(_C.lease_owner).where(named)).first()
            if row is None:
                note_destination(connection, destination)
            free = [_C.lease_owner.is_(None), _C.lease_owner == self._owner, _C.lease_until < now]
            if row is not None and row[0] is not None and died(row[0]):
                free.append(_C.lease_owner == row[0])
            taken = connection.execute(
                update(DESTINATIONS)
                .where(named, or_(*free))
                .values(lease_owner=self._owner, lease_until=now + LEASE_S)
            ).rowcount
        with self._guard:
            if taken:
                self._until[destination] = asked + LEASE_S
            else:
                self._until.pop(destination, None)
        return bool(taken)

    def _now(self, connection: Connection) -> ColumnElement[float]:
        if connection.dialect.name == "postgresql":  # one clock for all hosts
            return literal_column("extract(epoch from clock_timestamp())::float8", Double)
        return literal(self._wall())


def owner_of(engine: Engine, destination: str) -> str | None:
    """Who sends to a destination, as `process_name` names it."""
    query = select(_C.lease_owner).where(_C.destination == destination)
    with reading(engine) as connection:
        found = connection.execute(query).scalar()
        return None if found is None else str(found)


def process_name(pid: int | None = None) -> str:
    """A process (this one), distinguishable from every other on any machine, before and after."""
    pid = pid or os.getpid()
    words = (socket.gethostname(), _namespace(), str(pid), _started(pid), secrets.token_hex(4))
    return "/".join(words)


def died(owner: str) -> bool:
    """Whether a process of this machine is surely gone."""
    host, namespace, pid, started = (owner.split("/") + [""] * 4)[:4]
    if (host, namespace) != (socket.gethostname(), _namespace()) or not namespace:
        return False
    return not pid.isdigit() or _started(int(pid)) != started


def _namespace() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot[:8]}.{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""  # no /proc: only time tells


def _started(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if words[0] in "ZX" else words[19]  # dead, though nobody has looked yet
    except (OSError, IndexError):
        return ""
