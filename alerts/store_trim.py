"""What goes when a store has grown: the oldest findings, and what was closed longest ago."""

import logging
from dataclasses import dataclass

from sqlalchemy import Connection, Table, delete, func, select

from alerts.store_search import forget
from alerts.tables import DESTINATIONS, FINDINGS, HISTORY, INCIDENTS, SILENCES

STEP = 10_000  # rows that go in one transaction at most
VACUUM_PAGES = 5000  # pages (of 4 KiB) given back at once
MAX_HISTORY = 3_000_000  # changes of incidents by findings that are kept

H = HISTORY.c

log = logging.getLogger("tripmeter.alerts")


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What went.

    Attributes:
        lost: findings that went before some destination was told of them.
        more: a whole step went of something: there may be more to go at once.
    """

    lost: int
    more: bool


def trim(connection: Connection, *, findings: int, incidents: int, silences: int) -> Trimmed:
    """Keeps so many. Active incidents always stay, and so do silences that are in force."""
    gone, lost = _findings(connection, findings)
    steps = [gone]
    c = INCIDENTS.c
    if (extra := _extra(connection, INCIDENTS, incidents)) > 0:
        closed = select(c.id).where(~c.active).order_by(c.changed).limit(extra)
        ids = list(connection.execute(closed).scalars())
        steps.append(len(ids))
        for at in range(0, len(ids), 500):
            part = ids[at : at + 500]
            connection.execute(delete(HISTORY).where(HISTORY.c.incident.in_(part)))
            connection.execute(delete(INCIDENTS).where(c.id.in_(part)))
            forget(connection, part)
        log.warning("%d old incidents were dropped to keep %d", len(ids), incidents)
    first, last = connection.execute(select(func.min(H.number), func.max(H.number))).one()
    if first is not None and last - first > MAX_HISTORY:  # what people did stays
        gone = (H.number <= last - MAX_HISTORY) & (H.change == "updated")
        connection.execute(delete(HISTORY).where(gone))
    if (extra := _extra(connection, SILENCES, silences)) > 0:
        s = SILENCES.c
        over = select(s.id).where(s.ended.is_not(None)).order_by(s.ended).limit(extra)
        connection.execute(delete(SILENCES).where(s.id.in_(over)))
    if connection.dialect.name == "sqlite":  # what an outage took goes back to the disk
        free = connection.exec_driver_sql("PRAGMA freelist_count").scalar() or 0
        cursor = connection.connection.cursor()
        for _ in range(min(free, VACUUM_PAGES)):  # the driver takes one step of each statement
            cursor.execute("PRAGMA incremental_vacuum(1)")
    return Trimmed(lost, STEP in steps)


def _findings(connection: Connection, keep: int) -> tuple[int, int]:
    """How many went, and how many of these some destination was never told of."""
    extra = _extra(connection, FINDINGS, keep)
    if extra <= 0:
        return 0, 0
    number = FINDINGS.c.number
    last = connection.execute(
        select(number).order_by(number).offset(extra - 1).limit(1)
    ).scalar_one()
    first = connection.execute(select(func.min(DESTINATIONS.c.overflow_finding))).scalar()
    lost = 0
    if first is not None and first <= last:
        untold = select(func.count()).where(number >= first, number <= last)
        lost = int(connection.execute(untold).scalar() or 0)
        log.error("%d findings were dropped before a full destination was told of them", lost)
    connection.execute(delete(FINDINGS).where(number <= last))
    log.warning("%d old findings were dropped to keep %d", extra, keep)
    return extra, lost


def _extra(connection: Connection, table: Table, keep: int) -> int:
    count = connection.execute(select(func.count()).select_from(table)).scalar() or 0
    return min(STEP, int(count) - keep)
