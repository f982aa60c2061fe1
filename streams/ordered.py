"""The core as one part of a stream that is judged in many places: somebody else keeps the time.

A runner that splits a stream by keys puts the events of all sources in one order, and gives each
part the clock of the whole. Then every part decides as one pipeline over everything would.
"""

import numpy as np

from schemas.records import Control
from streams.columns import Columns
from streams.output import Kept, Output
from streams.pipeline import Flags, Ints, Pipeline


class OrderedPipeline(Pipeline):
    """A pipeline over some keys of an ordered stream."""

    def process_ordered(self, columns: Columns, clock: Ints, added: Flags | None = None) -> Output:
        """Judges events; what its output says of them is good until the next block.

        Args:
            columns: of one or more valid events.
            clock: the largest event time of the whole stream after each event, ms; never falls.
            added: which events only add to a call told of before, as another part's `kept` said;
                None to recognise here what is redelivered, and to give `kept`.
        Raises:
            ValueError: not one clock for each event.
        """
        output, count = Output(), len(columns.records)
        if count != len(clock) or not count:
            raise ValueError(f"{count} events, {len(clock)} clocks")
        positions = np.arange(self.position, self.position + count)
        self.position += count
        self._counts["events"] += count
        if added is None:
            on_time = columns.times >= clock - self._lateness_ms
            kept = self._accept(columns, clock, on_time, output)
            output.kept = Kept(kept, columns["one"][kept] == 0, columns)
        else:
            kept = np.arange(count)
            for amount in ("one", "tokens", "nanousd") if added.any() else ():
                columns[amount][added] = 0
        self._spread(columns, kept, clock, positions, output)
        self._tell(output)
        return output

    def advance(self, clock_ms: int) -> Output:
        """Lets time reach `clock_ms` without an event of this part."""
        output = Output()
        if clock_ms > self._clock.now_ms:
            clock, at = np.array([clock_ms], np.int64), np.array([self.position], np.int64)
            for lane in self._lanes:
                output.rollups += lane.close(clock, at)
            self._clock.now_ms = clock_ms
        self._tell(output)
        return output

    def decide(self, control: Control) -> None:
        """Puts an operator's decision in force for what is judged from here on."""
        self._controls.add(control, self.position)
        self.position += 1
        self._counts["controls"] += 1
