"""What the runner wrote for us to draw: closed windows with their habit, and signs of life."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Engine, select

from alerts.feed.tables import HEARTBEATS, ROLLUPS, has
from alerts.store_engine import reading

MAX_WINDOWS = 1500  # of one entity, drawn
MAX_HOURS = 100_000  # windows summed together
NAMES = {
    "nanousd": "cost, $",
    "tokens": "tokens",
    "calls": "calls",
    "new_models": "models new to it",
    "new_addresses": "addresses new to it",
    "strangers": "calls from strangers",
    "stranger_tokens": "tokens of strangers",
    "wasted_nanousd": "wasted, $",
    "denied": "refused calls",
    "errors": "errors",
}


@dataclass(frozen=True, slots=True)
class Window:
    """One closed window of an entity. Times are epoch seconds; money is in dollars."""

    start: float
    end: float
    entity: str
    tenant: str | None
    totals: dict[str, float]
    usual: dict[str, tuple[float, float]]
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Hour:
    """What one key spent in one closed window, beside the top of what is usual for it; dollars."""

    start: float
    entity: str
    tenant: str | None
    cost_usd: float
    usual_usd: float


class Usage:
    """Reads rollups and heartbeats, where there are any."""

    def __init__(self, engine: Engine, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._there: dict[str, float] = {}
        self._monotonic = monotonic

    def windows(self, lane: str, entity: str, begin: float, end: float) -> list[Window]:
        """Of one entity, oldest first; the newest `MAX_WINDOWS` of the time."""
        c = ROLLUPS.c
        query = select(c.json).where(c.lane == lane, c.entity == entity)
        query = query.where(c.start >= begin, c.start < end)
        return self._windows(query.order_by(c.start.desc()).limit(MAX_WINDOWS))[::-1]

    def hours(self, begin: float, keys: Sequence[str] | None = None) -> list[Hour]:
        """Of all keys or some, newest first, at most `MAX_HOURS`."""
        if not self._has(ROLLUPS):
            return []
        c = ROLLUPS.c
        query = select(c.start, c.json).where(c.start >= begin, c.lane == "credential")
        query = query.where(c.entity.in_(keys)) if keys is not None else query
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(c.start.desc()).limit(MAX_HOURS))
            return [_hour(start, body) for start, body in rows]

    def heartbeats(self) -> list[dict[str, Any]]:
        """The last sign of life of every source."""
        if not self._has(HEARTBEATS):
            return []
        query = select(HEARTBEATS.c.json).order_by(HEARTBEATS.c.source).limit(1000)
        with reading(self._engine) as connection:
            return [json.loads(body) for body in connection.execute(query).scalars()]

    def _windows(self, query: Any) -> list[Window]:
        if not self._has(ROLLUPS):
            return []
        with reading(self._engine) as connection:
            return [_window(json.loads(body)) for body in connection.execute(query).scalars()]

    def _has(self, table: Any) -> bool:
        """Whether the runner made it; asked again now and then while it did not."""
        known = self._there.get(table.name)
        if known is None or (known > 0 and self._monotonic() > known):
            self._there[table.name] = 0.0 if has(self._engine, table) else self._monotonic() + 5
        return self._there[table.name] == 0.0


def _window(body: dict[str, Any]) -> Window:
    from datetime import datetime

    def money(name: str, value: float) -> float:
        return value / 1e9 if name.endswith("nanousd") else value

    return Window(
        datetime.fromisoformat(body["start"]).timestamp(),
        datetime.fromisoformat(body["end"]).timestamp(),
        body["entity"]["id"],
        body["tenant"],
        {name: money(name, value) for name, value in body["totals"].items()},
        {
            name: (money(name, min(low, high)), money(name, high))
            for name, (low, high) in body["usual"].items()
        },
        body["cost_usd"],
    )


class _Entity(msgspec.Struct):
    id: str


class _Spent(msgspec.Struct):  # as much of a rollup as is added up, many at once
    entity: _Entity
    tenant: str | None
    usual: dict[str, tuple[float, float]]
    cost_usd: float


_spent = msgspec.json.Decoder(_Spent)


def _hour(start: float, body: bytes) -> Hour:
    found = _spent.decode(body)
    usual = found.usual.get("nanousd", (0.0, 0.0))[1] / 1e9
    return Hour(start, found.entity.id, found.tenant, found.cost_usd, usual)


def drawn(windows: list[Window], feature: str) -> dict[str, list[float | None]]:
    """Columns for a chart: times, totals, low and high of what is usual; gaps where none closed."""
    columns: dict[str, list[float | None]] = {"time": [], "seen": [], "low": [], "high": []}
    before: Window | None = None
    for window in windows:
        if before is not None and window.start > before.end + 60:
            columns["time"].append(before.end)
            for name in ("seen", "low", "high"):
                columns[name].append(None)
        low, high = window.usual.get(feature, (None, None))
        columns["time"].append(window.start)
        columns["seen"].append(window.totals.get(feature))
        columns["low"].append(low)
        columns["high"].append(high)
        before = window
    return columns


def feature_name(name: str) -> str:
    """For people."""
    return NAMES.get(name, name.replace("_", " "))
