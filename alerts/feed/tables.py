"""The feed's own tables, and the runner's tables it only reads."""

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
    inspect,
    literal_column,
    text,
)
from sqlalchemy.schema import CreateIndex

from alerts.store_engine import writing
from alerts.tables import INCIDENTS, OUTBOX, Line

METADATA = MetaData()
USERS = Table(
    "feed_users",
    METADATA,
    Column("name", Line, primary_key=True),
    Column("password", Line),  # argon2; none for people an OIDC provider knows
    Column("role", Line, nullable=False),
    Column("tenants", Text),  # JSON list; none: all
    Column("disabled", Boolean, nullable=False),
    Column("created", Double, nullable=False),
)
SESSIONS = Table(
    "feed_sessions",
    METADATA,
    Column("hash", Line, primary_key=True),
    Column("name", Line, nullable=False, index=True),
    Column("role", Line),  # as an OIDC provider said; of local users none: their row says it
    Column("tenants", Text),
    Column("csrf", Line, nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False),
)
LINKS = Table(
    "feed_links",  # one-time ways in
    METADATA,
    Column("hash", Line, primary_key=True),
    Column("name", Line, nullable=False),
    Column("expires", Double, nullable=False),
)
TOKENS = Table(
    "feed_tokens",
    METADATA,
    Column("id", Line, primary_key=True),
    Column("hash", Line, nullable=False, unique=True),
    Column("label", Line, nullable=False),
    Column("scopes", Line, nullable=False),
    Column("tenants", Text),
    Column("made_by", Line, nullable=False),
    Column("created", Double, nullable=False),
    Column("expires", Double),
)
AUDIT = Table(
    "feed_audit",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("who", Line, nullable=False),
    Column("what", Line, nullable=False),
    Column("subject", Line, nullable=False),
    Column("detail", Text, nullable=False),
    Column("address", Line, nullable=False),
    sqlite_autoincrement=True,
)
VIEWS = Table(
    "feed_views",  # saved searches
    METADATA,
    Column("owner", Line, primary_key=True),
    Column("name", Line, primary_key=True),
    Column("query", Text, nullable=False),
)

RUNNER = MetaData()  # written by whoever judges; never created here
ROLLUPS = Table(
    "rollups",
    RUNNER,
    Column("lane", Line),
    Column("entity", Line),
    Column("start", Double),
    Column("json", LargeBinary),
)
HEARTBEATS = Table(
    "heartbeats", RUNNER, Column("source", Line), Column("time", Double),
    Column("json", LargeBinary),
)  # fmt: skip

# Everything a filter looks at stands in the index, so that a search for what is rare among a
# million incidents never reads their bodies.
_N = INCIDENTS.c
COST = func.coalesce(_N.cost_usd, literal_column("-1.0"))  # nothing known is less than nothing
_LOOKED_AT = (
    _N.state, _N.rank, _N.family, _N.tenant, _N.lane, _N.entity, _N.owner, _N.mode,
    _N.inhibited_by, _N.cost_usd, _N.opened,
)  # fmt: skip
INDEXES = (
    Index(
        "feed_active",
        _N.last, _N.id, *_LOOKED_AT,
        sqlite_where=text("active"), postgresql_where=text("active"),
    ),
    Index("feed_all", _N.last, _N.id, _N.active, *_LOOKED_AT),
    Index("feed_tenant", _N.tenant, _N.last, _N.id),
    Index("feed_opened", _N.opened, _N.family, _N.rank, _N.tenant),
    Index("feed_severity", _N.rank, _N.last, _N.id),
    Index("feed_cost", COST, _N.last, _N.id),
    Index("feed_told", OUTBOX.c.subject),
)  # fmt: skip


def prepare(engine: Engine) -> None:
    """Makes the feed's tables and indexes where they are missing; a million incidents take seconds.

    Raises:
        sqlite3.Error, StoreDown: try again.
    """
    with writing(engine) as connection:
        METADATA.create_all(connection)
        for index in INDEXES:
            connection.execute(CreateIndex(index, if_not_exists=True))


def has(engine: Engine, table: Table) -> bool:
    """Whether the runner has made a table yet."""
    return inspect(engine).has_table(table.name)
