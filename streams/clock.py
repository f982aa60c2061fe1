"""Event time: the largest so far, which events are late for it, and which claim too much.

An event more than `JUMP_MS` ahead of every event before it would make all others late. If ingest
stamped it, the stamp is its witness. If nobody did (a file from elsewhere), it is held until the
next event says whether time really moved on.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.decode import EPOCH, MILLISECOND
from streams.redelivery import CONTENT

Ints = npt.NDArray[np.int64]
Held = tuple[int, Any, int]  # position, record, time
JUMP_MS = 3_600_000
STALE_MS = 240_000  # an event this far behind the clock is no witness of the time
AHEAD_MS = 300_000  # an event may be this far ahead of its ingest stamp
START = -(2**60)
_SAME = attrgetter(
    "event_id",
    "api_key_id",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "http_status",
    "error_type",
    "status",
    *CONTENT,
)


class Clock:
    """The running maximum of event time.

    Attributes:
        now_ms: largest event time so far; `START` before the first event.
        held: an event without a witness, as (position, record, time), or None.
    """

    def __init__(self) -> None:
        self.now_ms = START
        self.held: Held | None = None
        self.copies = 0  # redeliveries of a held event, which say nothing about the time

    def admit(
        self, records: Sequence[Any], times: Ints, positions: Ints
    ) -> tuple[Sequence[Any], Ints, Ints, list[Held]]:
        """Holds back what has no witness. An event's own redelivery is none, and is dropped.

        Returns:
            Records, times and positions to go on with (one that was held may lead), and the
            events that are refused because nothing bore them out.
        """
        if not len(times):
            return records, times, positions, []
        running = np.maximum.accumulate(times)
        if self.held is None and self.now_ms != START:
            steps = np.diff(running, prepend=self.now_ms)
            if steps.max() <= JUMP_MS:
                return records, times, positions, []
        return self._one_by_one(records, times, positions)

    def _one_by_one(
        self, records: Sequence[Any], times: Ints, positions: Ints
    ) -> tuple[Sequence[Any], Ints, Ints, list[Held]]:
        now, held = self.now_ms, self.held
        out: list[Held] = []
        refused: list[Held] = []
        for position, record, time in zip(positions.tolist(), records, times.tolist(), strict=True):
            if held is not None:
                if _redelivered(held, record, time):
                    self.copies += 1
                    continue
                if time >= held[2] - JUMP_MS:
                    out.append(held)
                    now = max(now, held[2])
                elif time < now - STALE_MS:
                    out.append((position, record, time))  # says nothing about the present
                    continue
                else:
                    refused.append(held)
                held = None
            if time > now + JUMP_MS and not _stamped(record, time):
                held = (position, record, time)
            else:
                out.append((position, record, time))
                now = max(now, time)
        self.held = held
        if not refused and positions.tolist() == [position for position, _, _ in out]:
            return records, times, positions, []
        return (
            [record for _, record, _ in out],
            np.array([time for _, _, time in out], np.int64),
            np.array([position for position, _, _ in out], np.int64),
            refused,
        )

    def release(self) -> Held | None:
        """At the end of the input: the held event, if it was the only word on the time."""
        held, self.held = self.held, None
        return held if self.now_ms == START else None

    def late(self, times: Ints, lateness_ms: int) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """The clock after each event, and whether each event is on time.

        An event is late when it is more than `lateness_ms` behind the clock *before* it.
        """
        after = np.maximum(np.maximum.accumulate(times), self.now_ms)
        before = np.concatenate([[self.now_ms], after[:-1]])
        return after, times >= before - lateness_ms


def _redelivered(held: Held, record: Any, time: int) -> bool:
    return time == held[2] and _SAME(record) == _SAME(held[1])


def _stamped(record: Any, time: int) -> bool:
    stamp = record.observed_timestamp
    return stamp is not None and time <= (stamp - EPOCH) // MILLISECOND + AHEAD_MS
