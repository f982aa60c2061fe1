"""Recognises what was seen before: redelivered events, and other signals about the same call.

- The same `event.id` with the same content is a *duplicate* and is dropped.
- The same `event.id` with another key, time, usage or outcome is a *conflict*: it is judged, and
  counted. Ids can be chosen by callers, so an id alone never makes an event disappear.
- Another signal (`ingest.source`) about a call already judged, joined on `event.id` or one of
  `call.ids`, *and* the key, *and* end times at most `TWIN_MS` apart, is *merged*: counted, not
  judged. Each signal about a call can be merged once.

What is older than the lateness is late and never gets here, so ids are kept no longer than that.
"""

from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from streams.columns import Columns

Ints = npt.NDArray[np.int64]
MAX_IDS = 2_000_000  # remembered per generation; beyond it the older are forgotten early
MAX_CONFLICTS = 64  # different events under one id that are told apart
TWIN_MS = 2_000  # two signals about one call end at most this far apart
_ODD = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1], np.int64)


class Redelivery:
    """The ids of recent events.

    Args:
        lateness_ms: how long an event may be behind the newest.
    """

    def __init__(self, lateness_ms: int) -> None:
        self.lateness_ms = lateness_ms
        self.duplicates = self.conflicts = self.merged = self.forgotten = 0
        self._keep_ms = lateness_ms + TWIN_MS
        self._since = self._until = self._newest = 0  # clocks: young begun, old ended, last block
        self._ids: list[dict[str, Any]] = [{}, {}]  # id -> signature(s), young and old
        self._calls: list[dict[str, list[Any]]] = [{}, {}]  # call id and key -> signals
        self._told = 0  # calls told of; numbers them

    def filter(self, columns: Columns, kept: Ints, before_ms: int, after_ms: int) -> Ints:
        """The events among `kept` that are neither duplicates nor merged, in order.

        Args:
            before_ms, after_ms: the clock before and after the block.
        """
        self._expire(before_ms)
        self._newest = after_ms
        records = columns.records
        whole = len(kept) == len(records)
        chosen = records if whole else [records[at] for at in kept.tolist()]
        ids = list(map(attrgetter("event_id"), chosen))
        signatures = self._signatures(columns)[kept].tolist()
        young, old = self._ids
        if not any(map(attrgetter("call_ids"), chosen)):
            fresh = dict(zip(ids, signatures, strict=True))
            known = young.keys().isdisjoint(fresh) and old.keys().isdisjoint(fresh)
            if known and len(fresh) == len(ids):
                young.update(fresh)
                return kept
        keep: list[int] = []
        times = columns.times[kept].tolist()
        for at, record, signature, time in zip(
            kept.tolist(), chosen, signatures, times, strict=True
        ):
            if self._is_new(record, signature, time):
                keep.append(at)
        return np.array(keep, np.int64)

    def _signatures(self, columns: Columns) -> Ints:
        """What makes two events with one id the same: key, time, usage and outcome."""
        key = columns["key"].astype(np.int64)
        parts = (columns.times, columns["tokens"], columns["nanousd"], columns["outcome"])
        signature = key * _ODD[0]
        for odd, part in zip(_ODD[1:], parts, strict=True):
            signature = (signature ^ part) * odd
        return np.asarray(signature)

    def _is_new(self, record: Any, signature: int, time_ms: int) -> bool:
        young, old = self._ids
        before = young.get(record.event_id) or old.get(record.event_id) or []
        known = before if isinstance(before, list) else [before]
        if signature in known:
            self.duplicates += 1
            return False
        young[record.event_id] = [*known, signature][-MAX_CONFLICTS:] if known else signature
        if record.call_ids and self._is_twin(record, time_ms):
            self.merged += 1
            return False
        if known:
            self.conflicts += 1
        return True

    def _is_twin(self, record: Any, time_ms: int) -> bool:
        """Whether another signal told of this call; if so its place is taken."""
        names = [f"{name}\0{record.api_key_id}\0{record.event_name}" for name in record.call_ids]
        for calls in self._calls:
            for name in names:
                for signals in calls.get(name, ()):
                    near = abs(signals[0] - time_ms) <= TWIN_MS
                    if near and record.ingest_source not in signals[1]:
                        signals[1].append(record.ingest_source)
                        return True
        self._told += 1
        signals = [time_ms, [record.ingest_source], self._told]
        for name in names:
            mine = self._calls[0].setdefault(name, [])
            mine.append(signals)
            del mine[:-MAX_CONFLICTS]
        return False

    def _expire(self, clock_ms: int) -> None:
        """Forgets ids whose redelivery would be late by now."""
        full = len(self._ids[0]) + len(self._calls[0]) > MAX_IDS
        gone = clock_ms > self._until + self._keep_ms
        if not full and not (gone and clock_ms > self._since + self._keep_ms):
            return
        if not gone:
            self.forgotten += len(self._ids[1]) + len(self._calls[1])
        self._since, self._until = clock_ms, self._newest
        self._ids = [{}, self._ids[0]]
        self._calls = [{}, self._calls[0]]

    def state(self) -> dict[str, Any]:
        """Everything it holds, as plain values."""
        return {
            "clocks": [self._since, self._until, self._newest],
            "ids": self._ids,
            "calls": self._calls,
            "told": self._told,
            "counts": [self.duplicates, self.conflicts, self.merged, self.forgotten],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        self._since, self._until, self._newest = state["clocks"]
        self._ids = [dict(ids) for ids in state["ids"]]
        self._told = state["told"]
        one: dict[int, list[Any]] = {}  # the names of a call share what is known about it
        self._calls = [
            {
                name: [one.setdefault(signals[2], signals) for signals in known]
                for name, known in calls.items()
            }
            for calls in state["calls"]
        ]
        self.duplicates, self.conflicts, self.merged, self.forgotten = state["counts"]
