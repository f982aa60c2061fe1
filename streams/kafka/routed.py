"""What a record of a lane's topic is: some events of one source, in order, and how far it reached.

A source's events have *keys*: (clock, partition, place). The clock is the largest event time of
their partition of `events` after each of them, the place grows along that partition. Keys never
change, whoever routes an event and how often; they are how lanes recognise what they have.
"""

from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Marks = npt.NDArray[np.uint8]
Key = tuple[int, int, int]

VERSION = 1
START: Key = (-(2**60), -1, -1)  # before every event
FOR_KEY = 2  # an event's mark unless it says otherwise
MAX_LINES = 1 << 20  # lines of one record of `events`


class BadRecord(ValueError):
    """The bytes are not a record that this version wrote."""


class Routed(msgspec.Struct, array_like=True, frozen=True):
    """One record; see `Events` for its arrays.

    Attributes:
        source: partition of `events`, or shard of the lane before.
        sources: how many sources there are.
        after, upto: it holds all events of the source with keys in (after, upto].
        idle_ms: when the source's owner saw that there is nothing more, by its own wall clock; 0
            when it does not say so.
        read: place up to which the source was read (`idle_ms` only).
    """

    version: int
    source: int
    sources: int
    after: Key
    upto: Key
    idle_ms: int = 0
    clocks: bytes = b""
    partitions: bytes = b""
    places: bytes = b""
    marks: bytes = b""
    lines: bytes = b""


@dataclass(slots=True)
class Events:
    """Events with their keys.

    Attributes:
        clock, partition, place: the parts of each event's key; keys ascend.
        marks: what to do with each (see `streams.kafka.lanes`).
        lines: the events.
    """

    clock: Ints
    partition: Ints
    place: Ints
    marks: Marks
    lines: list[bytes]

    def __len__(self) -> int:
        return len(self.lines)

    def key(self, at: int) -> Key:
        """The key of one event."""
        return int(self.clock[at]), int(self.partition[at]), int(self.place[at])

    def after(self, key: Key) -> "Events":
        """Those with greater keys."""
        return self.cut(self.upto(key), len(self))

    def upto(self, key: Key) -> int:
        """How many have keys up to this one."""
        clock, partition, place = key
        low = int(np.searchsorted(self.clock, clock, "left"))
        high = int(np.searchsorted(self.clock, clock, "right"))
        while low < high and (int(self.partition[low]), int(self.place[low])) <= (partition, place):
            low += 1
        return low

    def cut(self, begin: int, end: int) -> "Events":
        """Some in a row."""
        if begin == 0 and end == len(self):
            return self
        here = slice(begin, end)
        return Events(
            self.clock[here],
            self.partition[here],
            self.place[here],
            self.marks[here],
            self.lines[here],
        )


_decoder = msgspec.msgpack.Decoder(Routed)
_encode = msgspec.msgpack.Encoder().encode


def pack(record: Routed, events: Events | None = None) -> bytes:
    """A record's value. Without partitions where all are the source's own."""
    if events is None or not len(events):
        return _encode(record)
    own = bool((events.partition == record.source).all())
    return _encode(
        msgspec.structs.replace(
            record,
            clocks=events.clock.astype("<i8").tobytes(),
            partitions=b"" if own else events.partition.astype("<i4").tobytes(),
            places=events.place.astype("<i8").tobytes(),
            marks=b"" if (events.marks == FOR_KEY).all() else events.marks.tobytes(),
            lines=b"\n".join(events.lines),
        )
    )


def unpack(value: bytes) -> tuple[Routed, Events]:
    """A record and its events.

    Raises:
        BadRecord: what is wrong with it; never its contents.
    """
    try:
        record = _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError) as error:
        raise BadRecord(f"not a record of a lane: {type(error).__name__}") from None
    if record.version != VERSION:
        raise BadRecord(f"of version {record.version}, not {VERSION}")
    lines = record.lines.split(b"\n") if record.lines else []
    count = len(lines)
    try:
        clock = np.frombuffer(record.clocks, "<i8")
        place = np.frombuffer(record.places, "<i8")
        partition = (
            np.frombuffer(record.partitions, "<i4").astype(np.int64)
            if record.partitions
            else np.full(count, record.source, np.int64)
        )
        marks = (
            np.frombuffer(record.marks, np.uint8)
            if record.marks
            else np.full(count, FOR_KEY, np.uint8)
        )
    except ValueError:
        raise BadRecord("a column is cut off") from None
    if not count == len(clock) == len(place) == len(partition) == len(marks):
        raise BadRecord(f"{count} events, but columns of other lengths")
    if count and (np.diff(clock) < 0).any():
        raise BadRecord("events out of order")
    return record, Events(clock, partition, place, marks, lines)
