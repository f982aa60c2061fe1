"""Signs of life: when each source last sent something, and how far it is behind."""

from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.base import moment
from schemas.records import Heartbeat
from streams.clock import START
from streams.columns import Columns

HEARTBEAT_MS = 60_000
MAX_SOURCES = 1_000  # beyond it new ones are counted as "other"


class Sources:
    """What was seen of every source."""

    def __init__(self) -> None:
        self._seen: dict[str, list[int]] = {}  # source -> events, newest event time
        self._minute = START

    def note(self, columns: Columns) -> None:
        """Counts the events of a block."""
        found = columns["source"]
        if (found == found[0]).all():
            self._count(columns.records[0].ingest_source, columns.times)
            return
        for one, at in zip(*np.unique(found, return_index=True), strict=True):
            self._count(columns.records[int(at)].ingest_source, columns.times[found == one])

    def _count(self, name: str, times: npt.NDArray[np.int64]) -> None:
        known = name in self._seen or len(self._seen) < MAX_SOURCES
        seen = self._seen.setdefault(name if known else "other", [0, START])
        seen[0] += len(times)
        seen[1] = max(seen[1], int(times.max()))

    def due(self, now_ms: int) -> list[Heartbeat]:
        """Heartbeats, once a minute of event time."""
        minute = now_ms // HEARTBEAT_MS
        if minute == self._minute:
            return []
        self._minute = minute
        return self.heartbeats(now_ms)

    def heartbeats(self, now_ms: int) -> list[Heartbeat]:
        """A sign of life of every source."""
        return [
            Heartbeat(
                source=source,
                time=moment(now_ms),
                last_event=None if newest == START else moment(newest),
                events=count,
                lag_s=max(0.0, (now_ms - newest) / 1000),
            )
            for source, (count, newest) in sorted(self._seen.items())
        ]

    def state(self) -> dict[str, Any]:
        """Everything it holds, as plain values."""
        return {"seen": dict(sorted(self._seen.items())), "minute": self._minute}

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        self._seen, self._minute = state["seen"], state["minute"]
