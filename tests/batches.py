"""Shows a detector of slow changes its events one by one, a minute apart, in whole batches."""

from collections.abc import Iterable
from typing import Any

from detectors.base import Detector, Verdict
from schemas.testing import record

MINUTE_MS = 60_000


def said(detector: Detector, events: Iterable[dict[str, Any]]) -> list[Verdict]:
    """What it says about events a minute apart; ten minutes later one more lets them settle."""
    told: list[Verdict] = []
    last: dict[str, Any] = {}
    at = 0
    for at, last in enumerate(events):
        told += detector.inspect(record(id=f"e{at}", **last), at * MINUTE_MS)
    told += detector.inspect(record(id="settles", **last), (at + 10) * MINUTE_MS)
    return told


def some(count: int, **fields: Any) -> list[dict[str, Any]]:
    """The same event so many times; a field that is a list takes its members in turn."""
    return [
        {
            name: value[i % len(value)] if isinstance(value, list) else value
            for name, value in fields.items()
        }
        for i in range(count)
    ]
