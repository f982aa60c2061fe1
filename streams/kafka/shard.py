"""One shard of one lane: records of its topic go in, findings and records for other lanes come out.

Pure: no Kafka, no clock. What comes out is a function of the topic's partition alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import zstandard
from pydantic import ValidationError

from schemas.finding import Finding
from schemas.reader import Reader
from schemas.records import Control, Heartbeat, Rollup
from streams.columns import Columns
from streams.kafka.forward import Forward
from streams.kafka.lanes import ADDS, AFTER, FIRST, LaneSpec
from streams.kafka.merge import Merge
from streams.kafka.routed import (
    CONTROL,
    START,
    VERSION,
    WORDS,
    BadRecord,
    Events,
    Key,
    Routed,
    Word,
    pack,
    pieces,
    read_words,
    unpack,
)
from streams.kafka.suspicion import Suspicion
from streams.ordered import OrderedPipeline
from streams.output import CoreSettings, Output
from streams.snapshot import BadSnapshot

STATE_FORM = 3
_PRESS, _INFLATE = zstandard.ZstdCompressor(level=-5), zstandard.ZstdDecompressor()
"""A core's snapshot is written down plain: what is packed changes everywhere when a byte does."""
BLOCK_EVENTS = 4000  # judged at a time: a block keeps the worker's loop busy for 20 ms or so
MAX_HELD_BYTES = 32 << 20  # of lines that wait in memory, for each shard


@dataclass(slots=True)
class Judged:
    """What came out: findings and the like, and the value for each shard of other lanes."""

    findings: list[Finding] = field(default_factory=list)
    rollups: list[Rollup] = field(default_factory=list)
    heartbeats: list[Heartbeat] = field(default_factory=list)
    forwarded: list[tuple[str, int, bytes, int]] = field(default_factory=list)
    aside: list[tuple[Key, bytes]] = field(default_factory=list)
    events: int = 0

    def take(self, output: Output) -> None:
        """Adds what the core said."""
        self.findings += output.findings
        self.rollups += output.rollups
        self.heartbeats += output.heartbeats


class Shard:
    """All state of one partition of a lane's topic.

    Args:
        lane: which.
        number: of the partition.
        shards: how many each lane has.
        core: what decides findings.
        max_held_bytes: of events in memory that wait for other sources.

    Attributes:
        unreadable: records of the topic that we did not write.
        gaps: times that a source had skipped what is nowhere.
    """

    def __init__(
        self,
        lane: LaneSpec,
        number: int,
        shards: int,
        core: CoreSettings,
        max_held_bytes: int = MAX_HELD_BYTES,
    ) -> None:
        self.lane = lane
        self.number = number
        self.shards = shards
        self.core = core
        self.merge = Merge(max_held_bytes)
        self._runs = lane.runs(number, shards)
        self.pipelines = {mark: OrderedPipeline(core, names) for mark, names in self._runs.items()}
        self.unreadable = self.gaps = 0
        self._reader = Reader()
        first = lane.name == FIRST
        self._after = AFTER if first else ()
        self._forwards = [Forward(spec, shards, core) for spec in self._after]
        self._told = {spec.name: [START] * shards for spec in self._after}
        self.suspicion = Suspicion()

    @property
    def next(self) -> int:
        """Offset to go on from."""
        return self.merge.seen + 1

    # --- in ---------------------------------------------------------------------------------

    def feed(self, offset: int, value: bytes, stamp_ms: int) -> Control | None:
        """Takes a record of the topic; `judge` then says what follows from it.

        Args:
            stamp_ms: when the broker wrote it.
        Returns:
            What an operator decided, if it is that: judge what came before, then `decide`.
        """
        try:
            record, events = unpack(value)
        except BadRecord:
            if offset > self.merge.seen:
                self.unreadable += 1
                self.merge.seen = offset
            return None
        if record.source == CONTROL:
            return self._control(offset, record)
        if record.source == WORDS:
            self._words(offset, record)
            return None
        self.gaps += self.merge.offer(offset, record, events, stamp_ms)
        return None

    def _words(self, offset: int, record: Routed) -> None:
        try:
            self.gaps += self.merge.hear(offset, record.sources, read_words(record))
        except BadRecord:
            self.unreadable += int(offset > self.merge.seen)

    def _control(self, offset: int, record: Routed) -> Control | None:
        if offset <= self.merge.seen:
            return None
        self.merge.seen = offset
        try:
            return Control.model_validate_json(record.body)
        except ValidationError:
            self.unreadable += 1
            return None

    def decide(self, control: Control) -> None:
        """Puts an operator's decision in force."""
        for pipeline in self.pipelines.values():
            pipeline.decide(control)

    # --- out --------------------------------------------------------------------------------

    def judge(self) -> Iterator[Judged]:
        """Judges what is due, a block at a time; the caller may do other things in between."""
        events = self.merge.release()
        while events is not None and len(events):
            count = self.suspicion.block(events, BLOCK_EVENTS)
            block = events.cut(0, count)
            events = events.cut(count, len(events)) if len(events) > count else None
            reached = self.merge.released if events is None else block.key(count - 1)
            self.suspicion.trying = block.key(0), block.key(count - 1), count
            yield self._judge(block, reached)
            self.suspicion.trying = None
        if self.merge.released[0] > START[0]:
            judged = Judged()
            for pipeline in self.pipelines.values():
                judged.take(pipeline.advance(self.merge.released[0]))
            yield judged

    def _without(self, events: Events, judged: Judged) -> Events:
        """Without those that were set aside."""
        aside = self.suspicion.aside
        if not aside or not any(events.key(0) <= key <= events.key(-1) for key in aside):
            return events
        keys = [events.key(at) for at in range(len(events))]
        judged.aside += [(key, events.line(at)) for at, key in enumerate(keys) if key in aside]
        return events.take(np.array([at for at, key in enumerate(keys) if key not in aside], int))

    def _judge(self, events: Events, reached: Key) -> Judged:
        judged = Judged(events=len(events))
        events = self._without(events, judged)
        if not len(events):
            return judged
        read = self._reader.read(events.text())
        if read.broken or read.lines != len(events):
            raise ValueError("a lane holds what is no event")
        for mark, pipeline in self.pipelines.items():
            mine = np.flatnonzero(events.marks & mark)
            if not len(mine):
                continue
            columns = Columns(read.records, read.values)
            if len(mine) < len(events):
                columns = Columns(read.records.only(mine), read.values[:, mine])
            added = None if self._after else (events.marks[mine] & ADDS) > 0
            output = pipeline.process_ordered(columns, events.clock[mine], added)
            judged.take(output)
            if output.kept is not None:
                for forward in self._forwards:
                    for place, some in forward(events, output.kept):
                        self._send(judged, forward.lane.name, place, some, reached)
        return judged

    def _send(self, judged: Judged, lane: str, place: int, events: Events, reached: Key) -> None:
        left = len(events)
        for piece in pieces(events):
            left -= len(piece)
            upto = piece.key(len(piece) - 1) if left else reached
            value = pack(self._record(lane, place, upto), piece)
            judged.forwarded.append((lane, place, value, len(piece)))

    def _record(self, lane: str, place: int, reached: Key) -> Routed:
        after, self._told[lane][place] = self._told[lane][place], reached
        return Routed(VERSION, self.number, self.shards, after, reached)

    def behind(self) -> Iterator[tuple[str, int, Word]]:
        """What shards of other lanes do not know yet of how far this one has come.

        All of it has to be told, in this order.
        """
        reached = self.merge.released
        for lane, told in self._told.items():
            for place in range(self.shards):
                if told[place] < reached:
                    record = self._record(lane, place, reached)
                    yield lane, place, Word(self.number, record.after, record.upto)

    # --- snapshots --------------------------------------------------------------------------

    def state(self) -> bytes:
        """Everything it knows."""
        told = [min(told) for told in self._told.values()]
        return msgspec.msgpack.encode(
            {
                "form": STATE_FORM,
                "shards": self.shards,
                "merge": self.merge.state(),
                "told": list(min(told, default=START)),
                "counts": [self.unreadable, self.gaps],
                "aside": sorted(map(list, self.suspicion.aside)),
                "core": {
                    str(mark): _INFLATE.decompress(one.snapshot())
                    for mark, one in self.pipelines.items()
                },
            }
        )

    def load(self, data: bytes) -> None:
        """Puts back what `state` gave.

        Raises:
            BadSnapshot: broken, of another version or number of shards, or of other settings.
        """
        try:
            state: Any = msgspec.msgpack.decode(data)
            if (state["form"], state["shards"]) != (STATE_FORM, self.shards):
                raise BadSnapshot("of another form, or another number of shards")
            pipelines = {
                mark: OrderedPipeline.restore(
                    _PRESS.compress(state["core"][str(mark)]), self.core, names
                )
                for mark, names in self._runs.items()
            }
            self.merge.load(state["merge"])
            clock, partition, place = state["told"]
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, BadSnapshot):
                raise
            raise BadSnapshot(f"broken: {type(error).__name__}") from None
        self.pipelines = pipelines
        self.suspicion = Suspicion(aside={(c, p, n) for c, p, n in state["aside"]})
        self._told = {name: [(clock, partition, place)] * self.shards for name in self._told}
        self.unreadable, self.gaps = state["counts"]
