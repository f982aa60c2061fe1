"""One partition that a worker reads: which of a slab's records are next, and what is missing."""

import asyncio
from collections.abc import Sequence
from enum import Enum, auto
from typing import Any

from streams.kafka.progress import Progress

TRIES = 3  # times that a gap has to show before it is believed


class Next(Enum):
    """What to do about a slab."""

    PASS = auto()  # known, or fetched before the last rewind
    TAKE = auto()
    REWIND = auto()  # it begins too late: read again from `expect`
    GAP = auto()  # it still does: what is between is not there


class Reading:
    """Where a partition stands.

    Attributes:
        expect: offset of the next record wanted.
        turn: how often the partition was rewound; older slabs are not looked at.
        progress: what of it is done.
    """

    def __init__(self, expect: int, turn: int = 0) -> None:
        self.expect = expect
        self.turn = turn
        self.progress = Progress()
        self.lock = asyncio.Lock()
        self._missing, self._tries = (-1, -1), 0  # first offset wanted, first that came; how often

    @property
    def busy(self) -> bool:
        """Whether records were taken, and not all that follows from them is sent."""
        return self.lock.locked()

    def look(self, slab: Sequence[Any], turn: int) -> tuple[Next, list[Any]]:
        """What to do about a slab, and its records that are new.

        After a rebalance or a rewind, a slab that was fetched before may still come, and lie beyond
        what is wanted. To go on from there would skip what is between; so a gap is only believed
        when it is the same after every one of some rewinds.
        """
        new = [record for record in slab if record.offset >= self.expect]
        if turn < self.turn or not new:
            return Next.PASS, []
        if new[0].offset == self.expect:
            self._tries = 0
            return Next.TAKE, new
        missing = (self.expect, new[0].offset)
        self._tries = self._tries + 1 if missing == self._missing else 1
        self._missing = missing
        return (Next.REWIND, []) if self._tries < TRIES else (Next.GAP, new)
