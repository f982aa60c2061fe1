"""One partition that a worker reads: which of a slab's records are next, and what is missing."""

import asyncio
from collections.abc import Sequence
from enum import Enum, auto
from typing import Any

from streams.kafka.progress import Progress


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
        self._tried = -1

    @property
    def busy(self) -> bool:
        """Whether records were taken, and not all that follows from them is sent."""
        return self.lock.locked()

    def look(self, slab: Sequence[Any], turn: int) -> tuple[Next, list[Any]]:
        """What to do about a slab, and its records that are new.

        After a rebalance, slabs that were fetched before may lie beyond what was restored. To go on
        from there would skip what is between; so a gap is real only if it is there a second time.
        """
        new = [record for record in slab if record.offset >= self.expect]
        if turn < self.turn or not new:
            return Next.PASS, []
        if new[0].offset == self.expect:
            return Next.TAKE, new
        if self._tried != self.expect:
            self._tried = self.expect
            return Next.REWIND, []
        return Next.GAP, new
