"""Small streams for tests of one detector: a key with a past, and what happens then."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache
from itertools import count
from typing import Any

import numpy as np

from schemas.finding import Finding
from schemas.samples import Line, Staged, at, calm, in_order_of_arrival, make_clients
from schemas.samples.clients import Client
from schemas.testing import event
from streams.pipeline import CoreSettings, Pipeline

START = datetime.fromisoformat("2026-10-01T00:00:00+00:00")
KEY = "hmac:00000000000000aa"
HOUR = 3600
_ids = count()


def call(seconds: float, **fields: Any) -> bytes:
    """One model call of the key from home, unless fields say otherwise."""
    named: dict[str, Any] = {
        "id": f"e{next(_ids)}",
        "tenant": "acme",
        "key": KEY,
        "model": "gpt-4o",
        "address": "10.0.0.1",
        "client_address_quality": "peer",
        "user_agent": "app/1.0",
        "http_status": 200,
        **fields,
    }
    time = START + timedelta(milliseconds=round(1000 * seconds))
    return event(time.isoformat(), observed_timestamp=time + timedelta(1), **named).to_json()


def tool(seconds: float, **fields: Any) -> bytes:
    """One tool call of an agent."""
    named = {"kind": "agent.tool_call", "session": "run-123456789", "tool": "charge", **fields}
    return call(seconds, **{"args": "hmac:1", "status": "ok", **named, "http_status": None})


def past(hours: int, calls: int = 1, **fields: Any) -> list[bytes]:
    """The same calls every hour before hour `hours`: a key with so many hours behind it."""
    return [call(hour * HOUR + i * 60, **fields) for hour in range(hours) for i in range(calls)]


def raised(lines: Iterable[bytes], detector: str = "", **settings: Any) -> list[Finding]:
    """First revisions of what is found, of one detector or of all."""
    pipeline = Pipeline(CoreSettings(**settings))
    found = pipeline.process(b"\n".join(lines)).findings + pipeline.close().findings
    return [f for f in found if f.revision == 1 and detector in ("", f.detector)]


def alone(lines: Iterable[bytes], detector: str, **settings: Any) -> list[Finding]:
    """What one inspecting detector says when no other is asked and no window is kept."""
    pipeline = Pipeline(CoreSettings(**settings), only={detector})
    found = pipeline.process(b"\n".join(lines)).findings
    return [f for f in found if f.detector == detector]


def home() -> Client:
    """A busy client without a health check."""
    return next(c for c in make_clients(0) if not c.cron_s and c.per_day > 400)


@cache
def history(client: Client, days: int = 4) -> tuple[Line, ...]:
    """What the client does on its first days."""
    return tuple(line for day in range(days) for line in calm(0, client, day))


def noon(day: int = 4) -> int:
    """Milliseconds of a day's noon."""
    return at(day, 12)


def among(client: Client, *staged: Staged, days: int = 4) -> list[bytes]:
    """What was staged, after the client's first days."""
    lines = [*history(client, days), *(line for one in staged for line in one.lines)]
    return [line.data for line in in_order_of_arrival(lines, np.random.default_rng(0))]


def only(*staged: Staged) -> list[bytes]:
    """What was staged and nothing else."""
    lines = [line for one in staged for line in one.lines]
    return [line.data for line in in_order_of_arrival(lines, np.random.default_rng(0))]
