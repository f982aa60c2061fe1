"""The database of findings, incidents and outbox: a SQLite file for one host, PostgreSQL by URL.

Every write goes through `writing`: all or nothing, on the disk when it returns, and one after the
other across threads and processes. What an error means is the same for both databases: while it is
an `sqlite3.Error` or an `OSError`, nothing was stored and the same call may be repeated.
"""

import errno
import os
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Table,
    create_engine,
    event,
    insert,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.schema import CreateColumn

from alerts.database import BUSY_TIMEOUT_MS
from alerts.store_search import lacking
from alerts.store_search import prepare as prepare_search
from alerts.tables import METADATA, WORDS

WAL_LIMIT_BYTES = 16 * 2**20  # the write-ahead log is cut back to this after a checkpoint
WRITERS_LOCK = 0x7472_6970  # PostgreSQL's advisory lock that orders our writers
POOL = 8  # connections that stay open
POOL_MORE = 56  # and so many more while threads need them

Target = Path | str | Engine

_engines: WeakValueDictionary[str, Engine] = WeakValueDictionary()
_guard = threading.Lock()


class StoreDown(OSError):
    """The database does not answer, or refuses; an OSError, because the remedy is to wait."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EAGAIN, reason)


class BadStore(ValueError):
    """The database was made by another version of Tripmeter; the text says what to do."""


def open_store(target: Target) -> Engine:
    """The engine of a file or a URL (`postgresql+psycopg://user@host/name`), with all tables.

    The same target gives the same engine within a process. A new file is for its owner alone.

    Raises:
        BadStore: another version made it.
        sqlite3.Error, StoreDown: it cannot be opened now.
    """
    if isinstance(target, Engine):
        return target
    url = url_of(target)
    with _guard:
        name = url.render_as_string(hide_password=False)
        if (engine := _engines.get(name)) is None:
            engine = _sqlite(url) if url.get_backend_name() == "sqlite" else _postgresql(url)
            with translated():
                _create(engine)
            _engines[name] = engine
    return engine


def close_store(engine: Engine) -> None:
    """Closes its idle connections; using it again opens others."""
    with _guard:
        for name in [name for name, each in _engines.items() if each is engine]:
            _engines.pop(name, None)
    engine.dispose()


def url_of(target: Path | str) -> URL:
    """A path as a URL; a URL as it is, with our driver."""
    if isinstance(target, Path) or "://" not in target:
        return URL.create("sqlite", database=str(Path(target).resolve()))
    url = make_url(target)
    return url.set(drivername="postgresql+psycopg") if "postgres" in url.drivername else url


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that no other writer of records or incidents interleaves with.

    Raises:
        sqlite3.Error, StoreDown: it was rolled back.
    """
    with translated(), engine.begin() as connection:
        if connection.dialect.name == "postgresql":  # SQLite began with BEGIN IMMEDIATE
            connection.execute(text(f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})"))
        yield connection


@contextmanager
def updating(engine: Engine) -> Iterator[Connection]:
    """A transaction that touches rows of one destination only; others go on meanwhile."""
    with translated(), engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only looks, and waits for nobody.

    Raises:
        sqlite3.Error, StoreDown: it cannot be read now.
    """
    with translated(), engine.connect() as connection:
        yield connection.execution_options(reading=True)


@contextmanager
def translated() -> Iterator[None]:
    """Turns the library's errors into those of the standard library."""
    try:
        yield
    except DBAPIError as error:
        if isinstance(error.orig, sqlite3.Error):
            raise error.orig from None
        raise StoreDown(str(error.orig or error).strip().partition("\n")[0]) from None
    except SQLAlchemyError as error:  # such as no free connection in time
        raise StoreDown(str(error).partition("\n")[0]) from None


def insert_new(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> int:
    """Inserts rows that are not there yet; gives how many."""
    if not rows:
        return 0
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as upsert

        statement: Any = upsert(table).on_conflict_do_nothing()
    else:
        statement = insert(table).prefix_with("OR IGNORE")
    counted = statement.execution_options(preserve_rowcount=True)
    return connection.execute(counted, list(rows)).rowcount


def replace(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Inserts rows, in place of those with the same primary key."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as upsert

        made = upsert(table)
        keys = [column.name for column in table.primary_key]
        new = {c.name: made.excluded[c.name] for c in table.columns if c.name not in keys}
        statement: Any = made.on_conflict_do_update(index_elements=keys, set_=new)
    else:
        statement = insert(table).prefix_with("OR REPLACE")
    connection.execute(statement, list(rows))


def _sqlite(url: URL) -> Engine:
    with suppress(FileExistsError):
        os.close(os.open(str(url.database), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    engine = create_engine(
        url, pool_size=POOL, max_overflow=POOL_MORE, connect_args={"check_same_thread": False}
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "auto_vacuum=INCREMENTAL",  # freed pages go back to the disk
            "journal_mode=WAL",
            "synchronous=FULL",
            f"journal_size_limit={WAL_LIMIT_BYTES}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        how = "" if connection.get_execution_options().get("reading") else " IMMEDIATE"
        connection.exec_driver_sql(f"BEGIN{how}")

    return engine


def _postgresql(url: URL) -> Engine:
    return create_engine(url, pool_size=POOL, max_overflow=POOL_MORE, pool_pre_ping=True)


def _create(engine: Engine) -> None:
    mark = _mark()
    sqlite = engine.dialect.name == "sqlite"
    if sqlite:
        with engine.connect() as connection:
            connection = connection.execution_options(reading=True)
            if connection.exec_driver_sql("PRAGMA user_version").scalar() == mark:
                return  # made by just this version
    with engine.begin() as connection:
        if not sqlite:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({WRITERS_LOCK})"))
        there = inspect(connection)
        for table in METADATA.sorted_tables:
            if not there.has_table(table.name):
                continue
            known = {c["name"] for c in there.get_columns(table.name)}
            missing = [c for c in table.columns if c.name not in known]
            if strange := sorted(c.name for c in missing if not c.nullable):
                raise BadStore(
                    f"{engine.url.render_as_string()}: its table {table.name} was made by another"
                    f" version (no {', '.join(strange)}); move it away and start again:"
                    " the journal is judged again"
                )
            for column in missing:  # one that may be empty is added to what is there
                made = CreateColumn(column).compile(dialect=engine.dialect)
                connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {made}"))
        if sqlite and lacking(connection):
            raise BadStore("this Python's SQLite has no FTS5; install a Python whose SQLite has it")
        fill = not there.has_table(WORDS.name)
        METADATA.create_all(connection)
        prepare_search(connection, fill=fill)
        if sqlite:
            connection.exec_driver_sql(f"PRAGMA user_version={mark}")


def _mark() -> int:
    """A number that changes with any table, column or index of ours."""
    shape = [
        (t.name, *(c.name for c in t.columns), *sorted(str(i.name) for i in t.indexes))
        for t in METADATA.sorted_tables
    ]
    return zlib.crc32(repr(shape).encode()) & 0x7FFF_FFFF
