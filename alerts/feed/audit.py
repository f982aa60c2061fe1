"""Who did what in the feed: sign-ins, actions, users, tokens. Never changed, trimmed by number."""

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, delete, func, insert, select

from alerts.feed.tables import AUDIT
from alerts.store_engine import reading, writing
from alerts.text import plain

KEPT = 1_000_000  # entries; the oldest go
TRIM_EVERY = 1000


class Audit:
    """The log of a store."""

    def __init__(self, engine: Engine, now: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._now = now

    def note(
        self, who: str, what: str, subject: str = "", detail: str = "", address: str = ""
    ) -> None:
        """Adds an entry; it is on the disk when this returns."""
        row = {
            "at": self._now(), "who": plain(who, 128), "what": plain(what, 64),
            "subject": plain(subject, 256), "detail": plain(detail, 1000),
            "address": plain(address, 64),
        }  # fmt: skip
        with writing(self._engine) as connection:
            made = connection.execute(insert(AUDIT).values(row)).inserted_primary_key
            if made and made[0] % TRIM_EVERY == 0:
                connection.execute(delete(AUDIT).where(AUDIT.c.number <= made[0] - KEPT))

    def entries(self, before: int | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """The newest first."""
        query = select(AUDIT).order_by(AUDIT.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(AUDIT.c.number < before)
        with reading(self._engine) as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def count(self) -> int:
        """How many there are."""
        with reading(self._engine) as connection:
            return int(connection.execute(select(func.count()).select_from(AUDIT)).scalar() or 0)
