"""The tables of findings, incidents, silences and outbox, for SQLite and PostgreSQL alike.

Instants are epoch seconds. `outbox_counts` is kept with every change, because counting a million
waiting rows at every look would take longer than delivering some.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

METADATA = MetaData()


class Line(TypeDecorator[str]):
    """Text as both databases keep it: PostgreSQL takes no NUL, which ids from outside may hold."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """What is stored, and what is looked for."""
        return None if value is None else value.replace("\0", "\N{REPLACEMENT CHARACTER}")


_Big = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER PRIMARY KEY counts up in SQLite


def _counted(name: str, *rest: Any) -> Table:
    """A table whose rows are numbered in the order they came; numbers are never used again."""
    number = Column("number", _Big, primary_key=True, autoincrement=True)
    return Table(name, METADATA, number, *rest, sqlite_autoincrement=True)


def _text(name: str, **options: Any) -> Column[str]:
    return Column(name, Line, nullable=False, **options)


def _only(condition: str) -> dict[str, Any]:
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


FINDINGS = _counted(
    "findings",
    _text("id"),
    Column("revision", Integer, nullable=False),
    Column("time", Double, nullable=False),
    _text("detector"),
    _text("family"),
    Column("rank", Integer, nullable=False),
    _text("lane"),
    _text("entity"),
    Column("tenant", Line),
    _text("mode"),
    Column("incident", Line),
    Column("json", LargeBinary, nullable=False),
    UniqueConstraint("id", "revision"),
    Index("findings_by_time", "time"),
    Index("findings_by_entity", "lane", "entity", "time"),
    Index("findings_by_incident", "incident"),
)

INCIDENTS = Table(
    "incidents",
    METADATA,
    Column("id", Line, primary_key=True),
    _text("key"),
    Column("latest", Boolean, nullable=False),  # of its key
    _text("state"),
    Column("active", Boolean, nullable=False),
    Column("rank", Integer, nullable=False),
    _text("family"),
    _text("lane"),
    _text("entity"),
    Column("tenant", Line),
    _text("mode"),
    Column("owner", Line),
    Column("opened", Double, nullable=False),
    Column("changed", Double, nullable=False),
    Column("last", Double, nullable=False),
    Column("due", Double),  # when time alone changes it
    Column("inhibited_by", Line),
    Column("cost_usd", Double),
    Column("revision", Integer, nullable=False),
    Column("change", Integer, nullable=False),  # number of its newest entry in the history
    Column("json", LargeBinary, nullable=False),
    Column("finding", LargeBinary, nullable=False),  # its newest
    Index("incidents_by_key", "key", **_only("latest")),
    Index("incidents_due", "due", **_only("due IS NOT NULL")),
    Index("incidents_active", "lane", "entity", **_only("active")),
    Index("incidents_of_entity", "lane", "entity", "opened"),
    Index("incidents_inhibited", "inhibited_by", **_only("inhibited_by IS NOT NULL")),
    Index("incidents_by_last", "last"),
    Index("incidents_by_change", "change"),
)

WORDS = _counted(
    "incident_words",  # what a search looks in: see alerts/store_search.py
    _text("incident", unique=True),
    _text("words"),
    _text("seen"),  # by the events behind it
)

HISTORY = _counted(
    "incident_history",
    _text("incident"),
    Column("revision", Integer, nullable=False),
    Column("at", Double, nullable=False),
    _text("by"),
    _text("change"),
    _text("state"),
    Column("rank", Integer, nullable=False),
    _text("reason"),
    Column("until", Double),
    Index("history_of_incident", "incident", "number"),
)

SILENCES = Table(
    "silences",
    METADATA,
    Column("id", Line, primary_key=True),
    _text("action"),
    _text("owner"),
    _text("reason"),
    Column("created", Double, nullable=False),
    Column("until", Double),
    Column("ended", Double),
    Column("json", LargeBinary, nullable=False),
    Index("silences_by_creation", "created"),
)

POSITIONS = Table(
    "positions",
    METADATA,
    Column("source", Line, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

OUTBOX = _counted(
    "outbox",
    _text("destination"),
    _text("key"),
    _text("subject"),  # id of the finding or the incident
    _text("about"),
    Column("change", Line),  # loudest change of an incident that was not told yet
    Column("priority", Integer, nullable=False),
    _text("state"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_try", Double, nullable=False, server_default="0"),
    Column("tried", Double),  # when it was last
    _text("last_error", server_default=""),
    UniqueConstraint("key", "destination"),
    CheckConstraint("state IN ('waiting', 'held', 'delivered', 'dead')"),
    Index(
        "outbox_pending", "destination", "priority", "number",
        **_only("state IN ('waiting', 'held')"),
    ),
    Index(
        "outbox_incidents", "destination", "subject",
        **_only("about = 'incident' AND state IN ('waiting', 'held')"),
    ),
    Index("outbox_dead", "destination", "number", **_only("state = 'dead'")),
    Index("outbox_done", "destination", "number", **_only("state = 'delivered'")),
)  # fmt: skip

BODIES = Table(
    "outbox_bodies",
    METADATA,
    Column("key", Line, primary_key=True),
    Column("finding", LargeBinary, nullable=False),
    Column("incident", LargeBinary),
)

DESTINATIONS = Table(
    "outbox_destinations",
    METADATA,
    Column("destination", Line, primary_key=True),
    Column("held_since", Double),
    Column("held_reason", Line),
    Column("lease_owner", Line),
    Column("lease_until", Double),
    Column("overflow_finding", BigInteger),  # findings from this number on are not queued yet
    Column("overflow_change", BigInteger),  # nor are changes of incidents from this number on
    Column("overflow_since", Double),
)

COUNTS = Table(
    "outbox_counts",
    METADATA,
    Column("destination", Line, primary_key=True),
    Column("state", Line, primary_key=True),
    Column("rows", BigInteger, nullable=False),
)

MEMORY = _counted(
    "outbox_memory",
    _text("destination"),
    _text("key"),
    _text("value"),
    UniqueConstraint("destination", "key"),
)
