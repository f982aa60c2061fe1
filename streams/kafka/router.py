"""Reads one partition of `events` and says which event goes to which shard: pure, no Kafka.

What it writes is a function of the partition alone: after a crash the same events get the same
keys, however often they are routed and however fetches cut them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from schemas.adapters import Adapted
from schemas.decode import InvalidEvent
from schemas.reader import Block, Reader, columns_of
from schemas.shape import FIELDS
from streams.clock import JUMP_MS, Clock, Held
from streams.clock import START as NO_TIME
from streams.kafka import lines
from streams.kafka.lines import Spans
from streams.kafka.plain import Keys, begin_plainly, hashed
from streams.kafka.routed import (
    FOR_KEY,
    MAX_LINES,
    START,
    VERSION,
    Events,
    Ints,
    Key,
    Routed,
    Word,
    pack,
    pieces,
)

CANONICAL = "canonical"
_INDEX_BITS = MAX_LINES.bit_length() - 1  # of a place: the line of a record
FIRST_EVENTS = 16  # of a partition that are looked at one by one, at least
AHEAD = "clock_ahead: more than an hour ahead of every other event"

Adapt = Callable[[bytes, str, str, int], Adapted]  # value, format, source, broker's time in ms


@dataclass(frozen=True, slots=True)
class Raw:
    """One record of `events`."""

    offset: int
    value: bytes
    stamp_ms: int
    format: str = CANONICAL
    source: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A line or record that is no event; `place` says where it stood."""

    place: str
    format: str
    field: str
    reason: str
    raw: bytes


@dataclass(slots=True)
class Outcome:
    """What became of some records: the value for each shard, and what was refused."""

    routed: list[tuple[int, bytes, int]] = field(default_factory=list)  # shard, value, events
    refused: list[Refusal] = field(default_factory=list)
    events: int = 0


class Router:
    """One partition of `events`.

    Args:
        partition: its number.
        sources: how many partitions `events` has.
        shards: of the first lane.
        adapt: turns other formats into canonical events.
        accepts: which formats may come.
    """

    def __init__(
        self, partition: int, sources: int, shards: int, adapt: Adapt, accepts: Iterable[str] = ()
    ) -> None:
        self.partition = partition
        self.sources = sources
        self.shards = shards
        self.next = 0  # offset to read
        self.lost = 0  # records that `events` had no more
        self._adapt = adapt
        self._accepts = {CANONICAL, *accepts}
        self._clock = Clock()
        self._reached = NO_TIME  # clock after the last event that was routed
        self._cover: Key = START
        self._told: list[Key] = [START] * shards
        self._reader = Reader()
        self._keys = Keys()

    def route(self, records: Sequence[Raw]) -> Outcome:
        """Routes records; their offsets grow. Those before `next` are passed over."""
        new = [record for record in records if record.offset >= self.next]
        if all(record.format == CANONICAL for record in new):
            return self.route_plain(
                [record.offset for record in new],
                [record.value for record in new],
                [record.stamp_ms for record in new],
            )
        outcome = Outcome()
        spans, places = self._adapted(new, outcome)
        read = self._reader.read(spans[0])
        return self._route(spans, places, read, new[-1].offset, outcome)

    def route_plain(
        self, offsets: Sequence[int], values: list[bytes], stamps_ms: Sequence[int]
    ) -> Outcome:
        """Routes records of canonical lines, none of them before `next`."""
        outcome = Outcome()
        if not values:
            return outcome
        spans, count = lines.of(values), len(values)
        places = _place(np.array(offsets, np.int64), np.zeros(count, np.int64))
        read = self._reader.read(spans[0])
        if not (read.lines == count and begin_plainly(spans) and self._keys.hashed(read)):
            records = [Raw(*one) for one in zip(offsets, values, stamps_ms, strict=True)]
            spans, places = self._adapted(records, outcome)
            read = self._reader.read(spans[0])
        return self._route(spans, places, read, offsets[-1], outcome)

    def _route(
        self, spans: Spans, places: Ints, read: Block, last: int, outcome: Outcome
    ) -> Outcome:
        self.next = last + 1
        end = self.next << (_INDEX_BITS + 1)
        events, spread = self._events(spans, places, read, outcome)
        outcome.events = len(events)
        self._cover = (max(self._clock.now_ms, self._cover[0]), self.partition, end)
        order = np.argsort(spread, kind="stable")
        bounds = np.searchsorted(spread[order], np.arange(self.shards + 1))
        for shard in range(self.shards):
            rows = order[bounds[shard] : bounds[shard + 1]]
            if len(rows):
                outcome.routed += self._packed(shard, events, rows)
        return outcome

    # --- lines of records -------------------------------------------------------------------

    def _adapted(self, records: Sequence[Raw], outcome: Outcome) -> tuple[Spans, Ints]:
        """Canonical lines, none of them blank, with their places."""
        found_lines: list[bytes] = []
        starts: list[int] = []
        numbers: list[int] = []
        for record in records:
            found = self._canonical(record, outcome)
            found_lines += found
            starts += [record.offset] * len(found)
            numbers += range(len(found))
        places = _place(np.array(starts, np.int64), np.array(numbers, np.int64))
        return lines.of(found_lines), places

    def _canonical(self, record: Raw, outcome: Outcome) -> list[bytes]:
        def refuse(reason: str) -> list[bytes]:
            place = f"{self.partition}:{record.offset}"
            outcome.refused.append(Refusal(place, record.format, "", reason, record.value))
            return []

        if record.format not in self._accepts:
            return refuse("a format that is not accepted here")
        if record.format == CANONICAL and hashed(record.value):
            found = record.value.split(b"\n")
        else:
            try:
                adapted = self._adapt(record.value, record.format, record.source, record.stamp_ms)
            except Exception as error:  # an adapter's bug must not stop a partition
                return refuse(f"cannot be adapted: {type(error).__name__}")
            for one in adapted.rejections:
                place = f"{self.partition}:{record.offset}:{one.index + 1}"
                outcome.refused.append(
                    Refusal(place, record.format, one.field, one.reason, one.raw)
                )
            found = list(adapted.events)
        found = [line for line in found if line.strip()]
        if len(found) >= MAX_LINES:
            return refuse(f"more than {MAX_LINES} events in one record")
        return found

    # --- events -----------------------------------------------------------------------------

    def _events(
        self, spans: Spans, places: Ints, read: Block, outcome: Outcome
    ) -> tuple[Events, Ints]:
        """The lines that are events, with keys, and the shard of each."""
        for at, line, error in read.broken:
            outcome.refused.append(self._broken(int(places[at]), line, error))
        values, rows = read.values, read.places
        times, where = values[FIELDS["timestamp"]], places[rows]
        data, begins, ends = spans[0], spans[1][rows], spans[2][rows]
        slow = 0
        records: list[Any] = []
        first: list[Ints] = []
        while slow < len(times) and not self._steady(times[slow:]):
            some = slice(slow, slow + FIRST_EVENTS)
            found = self._one_by_one(read.records, some, times, where, outcome)
            records += found[0]
            first.append(found[1])
            slow = min(some.stop, len(times))
        if slow:
            early = np.concatenate(first)
            values = np.concatenate([columns_of(records, early[:, 0]), values[:, slow:]], axis=1)
            witnessed = lines.of([msgspec.json.encode(record) for record in records])
            data, begins, ends = lines.together([witnessed, (data, begins[slow:], ends[slow:])])
            times = np.concatenate([early[:, 0], times[slow:]])
            where = np.concatenate([early[:, 1], where[slow:]])
        clock = np.maximum.accumulate(times)
        if len(clock):
            clock = np.maximum(clock, self._reached)
            self._reached = self._clock.now_ms = int(clock[-1])
        count = len(times)
        partition = np.full(count, self.partition, np.int64)
        marks = np.full(count, FOR_KEY, np.uint8)
        events = Events(clock, partition, where, marks, data, begins, ends)
        return events, first_shard(values, self.shards)

    def _steady(self, times: Ints) -> bool:
        """Whether no event needs a witness (see `streams.clock`)."""
        if self._clock.held is not None or self._clock.now_ms == NO_TIME:
            return False
        steps = np.diff(np.maximum.accumulate(times), prepend=self._clock.now_ms)
        return bool(steps.max() <= JUMP_MS)

    def _one_by_one(
        self, records: Sequence[Any], some: slice, times: Ints, places: Ints, outcome: Outcome
    ) -> tuple[list[Any], Ints]:
        """Some events that may need a witness, with their times and places.

        One that waited stands just before its witness, however fetches cut the partition.
        """
        out: list[tuple[Any, int, int]] = []
        for at in range(len(times))[some]:
            kept, when, where, ahead = self._clock.admit(
                [records[at]], times[at : at + 1], places[at : at + 1]
            )
            outcome.refused += [self._ahead(held) for held in ahead]
            place = int(places[at])
            for event, then, number in zip(kept, when.tolist(), where.tolist(), strict=True):
                out.append((event, then, number if number == place else place - 1))
                self._clock.now_ms = max(self._clock.now_ms, then)
        found = np.array([one[1:] for one in out], np.int64).reshape(-1, 2)
        return [one[0] for one in out], found

    def _packed(self, shard: int, events: Events, rows: Ints) -> list[tuple[int, bytes, int]]:
        mine = events.take(rows)
        found, left = [], len(mine)
        for piece in pieces(mine):
            left -= len(piece)
            reached = piece.key(len(piece) - 1) if left else self._cover
            found.append((shard, pack(self._record(shard, reached), piece), len(piece)))
        return found

    def _record(self, shard: int, reached: Key) -> Routed:
        after, self._told[shard] = self._told[shard], reached
        return Routed(VERSION, self.partition, self.sources, after, reached)

    # --- without events ---------------------------------------------------------------------

    def behind(self) -> Iterator[tuple[int, Word]]:
        """What shards do not know yet of how far this partition was read; all has to be told."""
        for shard in range(self.shards):
            if self._told[shard] < self._cover:
                record = self._record(shard, self._cover)
                yield shard, Word(self.partition, record.after, record.upto)

    def idle(self, now_ms: int) -> list[tuple[int, bytes]]:
        """Tells every shard that nothing more is there.

        Args:
            now_ms: wall clock when the broker said so.
        """
        cover = self._cover if self._cover > START else (NO_TIME, self.partition, -1)
        record = Routed(VERSION, self.partition, self.sources, cover, cover, now_ms)
        return [(shard, pack(record)) for shard in range(self.shards)]

    @property
    def clock_ms(self) -> int | None:
        """The largest event time of the partition so far."""
        return None if self._clock.now_ms == NO_TIME else self._clock.now_ms

    # --- refused ----------------------------------------------------------------------------

    def _broken(self, place: int, line: bytes, error: InvalidEvent) -> Refusal:
        return Refusal(self._where(place), CANONICAL, error.field, error.reason, line)

    def _ahead(self, held: Held) -> Refusal:
        place, record, _ = held
        raw = msgspec.json.encode(record)
        return Refusal(self._where(place), CANONICAL, "timestamp", AHEAD, raw)

    def _where(self, place: int) -> str:
        number = (place >> 1) & (MAX_LINES - 1)
        return f"{self.partition}:{place >> (_INDEX_BITS + 1)}:{number + 1}"

    # --- snapshots --------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything it knows, as plain values."""
        held = self._clock.held
        return {
            "next": self.next,
            "lost": self.lost,
            "clock": [self._clock.now_ms, self._clock.copies],
            "held": held and [held[0], msgspec.json.encode(held[1]), held[2]],
            "cover": list(self._cover),
            "told": list(min(self._told)),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        from schemas.decode import decode

        self.next, self.lost = state["next"], state["lost"]
        self._clock.now_ms, self._clock.copies = state["clock"]
        self._reached = self._clock.now_ms
        if state["held"]:
            place, record, time = state["held"]
            self._clock.held = (place, decode(record), time)
        clock, partition, place = state["cover"]
        self._cover = (clock, partition, place)
        clock, partition, place = state["told"]
        self._told = [(clock, partition, place)] * self.shards


def _place(offsets: Ints, numbers: Ints) -> Ints:
    """Where an event stands: odd, so that one that waited has room before it."""
    return ((offsets << _INDEX_BITS | numbers) << 1) | 1


def first_shard(values: Ints, shards: int) -> Ints:
    """The shard of the first lane for each event: by its key, or its tenant where that is unknown.

    Args:
        values: as `schemas.reader.Reader` gives them.
    """
    key = values[FIELDS["api_key_id"]].view(np.uint64)
    tenant = values[FIELDS["tenant_id"]].view(np.uint64)
    return np.asarray(np.where(key > 0, key, tenant) % np.uint64(shards), np.int64)
