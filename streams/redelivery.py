"""Recognises what was seen before: redelivered events, and other signals about the same call.

- The same `event.id` with the same content is a *duplicate* and is dropped.
- The same `event.id` with another key, time, usage or outcome is a *conflict*: it is judged, and
  counted. Ids can be chosen by callers, so an id alone never makes an event disappear.
- Another signal (`ingest.source`) about a call already judged, joined on `event.id` or one of
  `call.ids`, *and* the key, *and* end times at most `TWIN_MS` apart, is *merged*: counted, not
  judged. Each signal about a call can be merged once.

What is older than the lateness is late and never gets here, so ids are kept no longer than that.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from streams.columns import Columns

Ints = npt.NDArray[np.int64]
MAX_IDS = 4_000_000  # remembered event and call ids; beyond it the oldest are forgotten early
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
        self._ids: dict[int, dict[str, Any]] = {}  # bucket of event time -> id -> signature(s)
        self._calls: dict[int, dict[str, list[Any]]] = {}  # -> call id and key -> signals

    def filter(self, columns: Columns, kept: Ints, clock_ms: int) -> Ints:
        """The events among `kept` that are neither duplicates nor merged, in order."""
        self._expire(clock_ms)
        records, times = columns.records, columns.times
        whole = len(kept) == len(records)
        chosen = records if whole else [records[at] for at in kept.tolist()]
        ids = [record.event_id for record in chosen]
        signatures = self._signatures(columns)[kept].tolist()
        buckets = (times[kept] // self.lateness_ms).tolist()
        twins = any([record.call_ids for record in chosen])
        first = buckets[0]
        if not twins and first == buckets[-1] and buckets.count(first) == len(buckets):
            known = self._ids.setdefault(first, {})
            fresh = dict(zip(ids, signatures, strict=True))
            if len(fresh) == len(ids) and known.keys().isdisjoint(fresh):
                known.update(fresh)
                return kept
        keep: list[int] = []
        for at, record, signature, bucket in zip(
            kept.tolist(), chosen, signatures, buckets, strict=True
        ):
            if self._is_new(record, signature, bucket, int(times[at])):
                keep.append(at)
        return np.array(keep, np.int64)

    def _signatures(self, columns: Columns) -> Ints:
        """What makes two events with one id the same: key, time, usage and outcome."""
        key = columns.hashes("api_key_id").astype(np.int64)
        parts = (columns.times, columns["tokens"], columns["nanousd"], columns["outcome"])
        signature = key * _ODD[0]
        for odd, part in zip(_ODD[1:], parts, strict=True):
            signature = (signature ^ part) * odd
        return np.asarray(signature)

    def _is_new(self, record: Any, signature: int, bucket: int, time_ms: int) -> bool:
        known = self._ids.setdefault(bucket, {})
        before = known.get(record.event_id)
        if before is not None and (
            signature in before if isinstance(before, list) else signature == before
        ):
            self.duplicates += 1
            return False
        if self._is_twin(record, time_ms):
            self.merged += 1
            return False
        if before is None:
            known[record.event_id] = signature
        else:
            self.conflicts += 1
            known[record.event_id] = [
                *(before if isinstance(before, list) else [before]),
                signature,
            ]
        return True

    def _is_twin(self, record: Any, time_ms: int) -> bool:
        """Whether another signal told of this call; if so its place is taken."""
        if not record.call_ids:
            return False
        names = [f"{name}\0{record.api_key_id}\0{record.event_name}" for name in record.call_ids]
        bucket = time_ms // self.lateness_ms
        for near in (bucket, bucket - 1, bucket + 1):
            calls = self._calls.get(near)
            for name in names if calls else ():
                for signals in calls.get(name, ()):  # type: ignore[union-attr]
                    apart = abs(signals[0] - time_ms)
                    if apart <= TWIN_MS and record.ingest_source not in signals[1]:
                        signals[1].append(record.ingest_source)
                        return True
        calls = self._calls.setdefault(bucket, {})
        signals = [time_ms, [record.ingest_source]]
        for name in names:
            calls.setdefault(name, []).append(signals)
        return False

    def _expire(self, clock_ms: int) -> None:
        """Forgets ids whose redelivery would be late anyway; buckets are one lateness long."""
        oldest = (clock_ms - self.lateness_ms) // self.lateness_ms - 1
        for table in (self._ids, self._calls):
            for bucket in [bucket for bucket in table if bucket < oldest]:
                del table[bucket]
        while sum(map(len, self._ids.values())) > MAX_IDS:
            self.forgotten += len(self._ids.pop(min(self._ids)))

    def state(self) -> dict[str, Any]:
        """Everything it holds, as plain values."""
        return {
            "ids": {str(bucket): ids for bucket, ids in self._ids.items()},
            "calls": {str(bucket): calls for bucket, calls in self._calls.items()},
            "counts": [self.duplicates, self.conflicts, self.merged, self.forgotten],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        self._ids = {int(bucket): dict(ids) for bucket, ids in state["ids"].items()}
        self._calls = {int(bucket): dict(calls) for bucket, calls in state["calls"].items()}
        self.duplicates, self.conflicts, self.merged, self.forgotten = state["counts"]
