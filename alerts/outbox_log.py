"""Who was told what of an incident, when, and what came of it: read from the rows of the outbox."""

import re
from dataclasses import dataclass

from sqlalchemy import Engine, select

from alerts.incident import Incident
from alerts.outbox import State
from alerts.store_engine import reading
from alerts.tables import OUTBOX

_KEY = re.compile("([#@])(?:([a-z]+)-)?([0-9]{1,9})$")
MAX_SHOWN = 200  # the newest rows of one incident


@dataclass(frozen=True, slots=True)
class Telling:
    """One record for one destination.

    Attributes:
        what: `incident`, `finding`, or `closed` and `reopened` for a finding's end.
        revision: of the incident; of the finding where it is about one.
        subject: id of the incident or the finding.
        tried: when it was last tried, epoch seconds; None: not yet, or by an older version.
        next_try: when it is tried again, epoch seconds.
        reason: why the last try failed.
    """

    destination: str
    what: str
    revision: int
    subject: str
    change: str | None
    state: State
    attempts: int
    tried: float | None
    next_try: float
    reason: str


def tellings(engine: Engine, incident: Incident) -> list[Telling]:
    """What destinations were or will be told of an incident and its newest findings, newest first.

    Raises:
        sqlite3.Error, StoreDown: it cannot be read now.
    """
    c = OUTBOX.c
    subjects = [incident.id, *(part.id for part in incident.findings)]
    query = select(
        c.destination, c.key, c.subject, c.change, c.state, c.attempts, c.tried, c.next_try,
        c.last_error,
    )  # fmt: skip
    query = query.where(c.subject.in_(subjects)).order_by(c.number.desc()).limit(MAX_SHOWN)
    with reading(engine) as connection:
        return [
            Telling(row[0], *_read(row[1]), *row[2:]) for row in connection.execute(query).all()
        ]


def _read(key: str) -> tuple[str, int]:
    """What a row's key says it is about, and its revision.

    >>> _read("9f#2"), _read("a@b#closed-4"), _read("9f@4"), _read("odd")
    (('finding', 2), ('closed', 4), ('incident', 4), ('finding', 1))
    """
    found = _KEY.search(key)
    if found is None:
        return "finding", 1
    return found[2] or ("incident" if found[1] == "@" else "finding"), int(found[3])
