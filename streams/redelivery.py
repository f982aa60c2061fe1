"""Recognises what was seen before: redelivered events, and other signals about the same call.

- The same `event.id` with the same content is a *duplicate* and is dropped.
- The same `event.id` with another key, time, usage, outcome, or any other of `CONTENT` is a
  *conflict*: it is judged, and counted. Ids can be chosen by callers, so an id alone never makes an
  event disappear.
- Another signal (`ingest.source`) about a call already judged, joined on `event.id` or one of
  `call.ids`, *and* the key, *and* end times at most `TWIN_MS` apart, is *merged*: counted, not
  judged. Each signal about a call can be merged once. If it knows the prompt's fingerprint or a
  trustworthy address and the first did not, it adds that, but no call, token or cost.

What is older than the lateness is late and never gets here, so ids are kept no longer than that.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from streams import probes
from streams.columns import Columns
from streams.table import Names, Table

Ints = npt.NDArray[np.int64]
MAX_IDS = 4_000_000  # remembered; beyond it the oldest are forgotten early
MAX_CONFLICTS = 64  # different events under one id that are told apart
TWIN_MS = 2_000  # two signals about one call end at most this far apart
CONTENT = (
    "event_name", "tenant_id", "user_id", "conversation_id", "session_id", "request_model",
    "tool_name", "tool_args_hash", "resource_id", "resource_owner_tenant_id", "content_input_hash",
)  # fmt: skip
"""Attributes that make two events under one id different, beside key, time, usage and outcome."""
_SPREAD = np.int64(0x9E3779B97F4A7C15 - 2**64)
_ODD = np.array([0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1], np.int64)


NEW: list[Any] = []  # an event that nobody told of yet
MODEL_CALL = 3  # bits of `name`: a model call or a refused key


def _knows(columns: Columns, row: int) -> tuple[bool, bool]:
    """Whether an event knows its prompt's fingerprint, and a trustworthy address."""
    address = bool(columns["trusted"][row]) and columns.records[row].client_address is not None
    return bool(columns["prompt"][row]), address


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
        self._ids = Table({"signature": ((), np.int64, 0), "until": ((), np.int64, 0)})
        self._more: list[dict[str, list[int]]] = [{}, {}]  # further signatures of an id
        self._calls: list[dict[str, list[Any]]] = [{}, {}]  # call id and key -> signals
        self._told = 0  # calls told of; numbers them
        self.added = 0  # merged events that added something

    def filter(self, columns: Columns, kept: Ints, before_ms: int, after_ms: int) -> Ints:
        """The events among `kept` that are neither duplicates nor merged, in order.

        Args:
            before_ms, after_ms: the clock before and after the block.
        """
        self._expire(before_ms)
        self._newest = after_ms
        names, signatures = columns["id"][kept], self._signatures(columns)[kept]
        until = columns.times[kept] + self._keep_ms
        came, first = self._remember(names, signatures, until, before_ms)
        doubtful = came | (columns["linked"][kept] > 0) if columns.any("linked") else came
        if not doubtful.any():
            return kept
        judged = ~doubtful
        for at in np.flatnonzero(doubtful).tolist():
            known = [int(first[at])] if came[at] else []
            row = int(kept[at])
            twin = self._is_new(columns, row, int(names[at]), int(signatures[at]), known)
            judged[at] = twin is NEW or bool(twin and self._adds(columns, row, twin))
        return kept[judged]

    def _remember(
        self, names: Names, signatures: Ints, until: Ints, before_ms: int
    ) -> tuple[npt.NDArray[np.bool_], Ints]:
        """Whether each id came before, and the first signature it came with."""
        came, first = np.empty(len(names), np.bool_), np.empty(len(names), np.int64)
        asked, known = (names, signatures, until), (came, first)
        table, done = self._ids, 0
        while done < len(names):
            columns = (table.names, table.bits, table["signature"], table["until"])
            done, added = probes.remember(*columns, asked, done, table.room, known)
            table.count += added
            if done < len(names):
                self.forgotten += table.make_room(1, "until", before_ms, MAX_IDS)
        return came, first

    def _signatures(self, columns: Columns) -> Ints:
        """What makes two events with one id the same: key, time, usage, outcome, content."""
        key = columns["key"].astype(np.int64)
        parts = (columns.times, columns["tokens"], columns["nanousd"], columns["outcome"])
        signature = key * _ODD[0]
        for odd, part in zip(_ODD[1:], parts, strict=True):
            signature = (signature ^ part) * odd
        for name in CONTENT:
            signature ^= columns.numbers(name)
            signature *= _SPREAD
        return np.asarray(signature)

    def _is_new(
        self, columns: Columns, row: int, name: int, signature: int, known: list[int]
    ) -> list[Any] | None:
        """`NEW` if an event is to be judged, None if not, or what the call's first signal knew.

        Args:
            known: the first signature of its id, if that came before.
        """
        more = self._more[0].get(str(name)) or self._more[1].get(str(name)) or []
        before = known + more
        if signature in before:
            self.duplicates += 1
            return None
        if before:
            self._more[0][str(name)] = [*more, signature][-MAX_CONFLICTS:]
        twin = self._twin(columns, row)
        if twin is not None:
            self.merged += 1
            return twin
        if before:
            self.conflicts += 1
        return NEW

    def _twin(self, columns: Columns, row: int) -> list[Any] | None:
        """What another signal knew of this call, if one told of it; its place is taken then."""
        record, time_ms = columns.records[row], int(columns.times[row])
        if not record.call_ids:
            return None
        names = [f"{name}\0{record.api_key_id}\0{record.event_name}" for name in record.call_ids]
        for calls in self._calls:
            for name in names:
                for signals in calls.get(name, ()):
                    near = abs(signals[0] - time_ms) <= TWIN_MS
                    if near and record.ingest_source not in signals[1]:
                        signals[1].append(record.ingest_source)
                        return list(signals)
        self._told += 1
        signals = [time_ms, [record.ingest_source], self._told, *_knows(columns, row)]
        for name in names:
            mine = self._calls[0].setdefault(name, [])
            mine.append(signals)
            del mine[:-MAX_CONFLICTS]
        return None

    def _adds(self, columns: Columns, row: int, first: list[Any]) -> bool:
        """Leaves of a merged event only what the first signal about its call did not know."""
        prompt, address = _knows(columns, row)
        useful = columns["name"][row] & MODEL_CALL and (
            (prompt and not first[3]) or (address and not first[4])
        )
        if useful:
            if first[3]:
                columns["prompt"][row] = 0
            for amount in ("one", "tokens", "nanousd"):
                columns[amount][row] = 0
            self.added += 1
        return bool(useful)

    def _expire(self, clock_ms: int) -> None:
        """Forgets ids whose redelivery would be late by now."""
        full = len(self._more[0]) + len(self._calls[0]) > MAX_IDS
        gone = clock_ms > self._until + self._keep_ms
        if not full and not (gone and clock_ms > self._since + self._keep_ms):
            return
        if not gone:
            self.forgotten += len(self._more[1]) + len(self._calls[1])
        self._since, self._until = clock_ms, self._newest
        self._more = [{}, self._more[0]]
        self._calls = [{}, self._calls[0]]

    def state(self) -> dict[str, Any]:
        """Everything it holds, as plain values."""
        return {
            "clocks": [self._since, self._until, self._newest],
            "ids": self._ids.state(),
            "more": self._more,
            "calls": self._calls,
            "told": self._told,
            "counts": [self.duplicates, self.conflicts, self.merged, self.forgotten, self.added],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        self._since, self._until, self._newest = state["clocks"]
        self._ids.load(state["ids"])
        self._more = [dict(more) for more in state["more"]]
        self._told = state["told"]
        one: dict[int, list[Any]] = {}  # the names of a call share what is known about it
        self._calls = [
            {
                name: [one.setdefault(signals[2], signals) for signals in known]
                for name, known in calls.items()
            }
            for calls in state["calls"]
        ]
        counts = state["counts"]
        self.duplicates, self.conflicts, self.merged, self.forgotten, self.added = counts
