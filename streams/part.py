"""A run of accepted events during which the clock moves little."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(slots=True)
class Part:
    """Some accepted events of a block, in order of arrival.

    Attributes:
        rows: where they are in the block's columns.
        times: event times, ms.
        clock: the largest event time so far, after each event, ms.
        sequence: number of each event in the stream.
        whole: they are all of the block's events.
    """

    rows: Ints
    times: Ints
    clock: Ints
    sequence: Ints
    whole: bool = False

    def of(self, column: Any) -> Any:
        """The part's rows of a column."""
        return column if self.whole else column[self.rows]

    def at(self, event: int) -> tuple[int, int, int]:
        """One event's time, the clock after it, and its number."""
        return int(self.times[event]), int(self.clock[event]), int(self.sequence[event])

    def subset(self, chosen: Ints) -> "Part":
        """Some of its events."""
        if len(chosen) == len(self.rows):
            return self
        return Part(
            self.rows[chosen], self.times[chosen], self.clock[chosen], self.sequence[chosen]
        )
