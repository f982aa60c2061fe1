"""SQLite files that keep what they said they keep: WAL, `synchronous=FULL`, owner-only."""

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from alerts.database import BUSY_TIMEOUT_MS

WAL_LIMIT_BYTES = 16 * 2**20  # the write-ahead log is cut back to this after a checkpoint

_NO_SPACE = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY,
)


def open_durable(path: Path, schema: str) -> sqlite3.Connection:
    """A connection in autocommit mode to a file (mode 0600) with these tables."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # freed pages go back to the disk
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA journal_size_limit={WAL_LIMIT_BYTES}")
    connection.executescript(schema)
    return connection


def open_readonly(path: Path) -> sqlite3.Connection:
    """A connection that cannot write; `FileNotFoundError` when there is no such file."""
    if not path.exists():
        raise FileNotFoundError(path)
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    return connection


def used_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the file that hold something (pages freed by deletion are not counted)."""
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    free = connection.execute("PRAGMA freelist_count").fetchone()[0]
    size = connection.execute("PRAGMA page_size").fetchone()[0]
    return int((pages - free) * size)


def no_space(error: BaseException) -> bool:
    """Whether a write failed for a cause that may pass: a full, read-only or busy disk."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, OSError) or (isinstance(code, int) and code & 0xFF in _NO_SPACE)
