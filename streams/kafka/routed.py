"""What a record of a lane's topic is: some events of one source, in order, and how far it reached.

A source's events have *keys*: (clock, partition, place). The clock is the largest event time of
their partition of `events` after each of them, the place grows along that partition. Keys never
change, whoever routes an event and how often; they are how lanes recognise what they have.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import zstandard

from streams.kafka import lines

Ints = npt.NDArray[np.int64]
Marks = npt.NDArray[np.uint8]
Key = tuple[int, int, int]

VERSION = 2
START: Key = (-(2**60), -1, -1)  # before every event
CONTROL = -1  # source of a record whose body is what an operator decided, as JSON
WORDS = -2  # source of a record whose body says how far several sources have told
FOR_KEY = 2  # an event's mark unless it says otherwise
MAX_BODY_BYTES = 64 << 20  # of one record when it is inflated
PIECE_BYTES = 1 << 20  # of events in one record, before they are compressed
MAX_LINES = 1 << 20  # lines of one record of `events`


class BadRecord(ValueError):
    """The bytes are not a record that this version wrote."""


class Routed(msgspec.Struct, array_like=True, frozen=True):
    """One record; its events are packed in `body`.

    Attributes:
        source: partition of `events`, or shard of the lane before.
        sources: how many sources there are.
        after, upto: it holds all events of the source with keys in (after, upto].
        idle_ms: when the source's owner saw that there is nothing more, by its own wall clock; 0
            when it does not say so.
        count: events in the body.
        own: they are all of the source's own partition.
        plain: they all go to the shard of their key, and nowhere else.
        size: bytes of the body before it was compressed.
    """

    version: int
    source: int
    sources: int
    after: Key
    upto: Key
    idle_ms: int = 0
    count: int = 0
    own: bool = True
    plain: bool = True
    size: int = 0
    body: bytes = b""


@dataclass(slots=True)
class Events:
    """Events with their keys.

    Attributes:
        clock, partition, place: the parts of each event's key; keys ascend.
        marks: what to do with each (see `streams.kafka.lanes`).
        data: holds their lines, in any order and with anything between them.
        begins, ends: where in it each line is.
    """

    clock: Ints
    partition: Ints
    place: Ints
    marks: Marks
    data: bytes
    begins: Ints
    ends: Ints

    def __len__(self) -> int:
        return len(self.clock)

    @property
    def size(self) -> int:
        """Bytes of all lines."""
        return int((self.ends - self.begins).sum())

    def line(self, at: int) -> bytes:
        """One event."""
        return self.data[int(self.begins[at]) : int(self.ends[at])]

    def text(self) -> bytes:
        """All lines, one after the other, without a newline behind the last."""
        return lines.text(self.data, self.begins, self.ends)

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
        return self.take(slice(begin, end))

    def take(self, rows: Ints | slice) -> "Events":
        """Some of them."""
        return Events(
            self.clock[rows],
            self.partition[rows],
            self.place[rows],
            self.marks[rows],
            self.data,
            self.begins[rows],
            self.ends[rows],
        )


def merged(parts: list[Events]) -> Events:
    """The events of several, in the order of their keys."""
    if len(parts) == 1:
        return parts[0]
    clock = np.concatenate([part.clock for part in parts])
    partition = np.concatenate([part.partition for part in parts])
    place = np.concatenate([part.place for part in parts])
    order = np.lexsort((place, partition, clock))
    marks = np.concatenate([part.marks for part in parts])
    data, begins, ends = lines.together([(part.data, part.begins, part.ends) for part in parts])
    return Events(
        clock[order], partition[order], place[order], marks[order], data, begins[order], ends[order]
    )


_nothing = np.zeros(0, np.int64)
NONE = Events(_nothing, _nothing, _nothing, np.zeros(0, np.uint8), b"", _nothing, _nothing)

_decoder = msgspec.msgpack.Decoder(Routed)
_encode = msgspec.msgpack.Encoder().encode


class _Zstd(threading.local):
    """Each thread's own, for a worker packs in several, and these must not be shared."""

    def __init__(self) -> None:
        self.press = zstandard.ZstdCompressor(level=1).compress
        self.inflate = zstandard.ZstdDecompressor().decompress


_zstd = _Zstd()


def pack(record: Routed, events: Events | None = None) -> bytes:
    """A record's value."""
    if events is None or not len(events):
        return _encode(record)
    own = bool((events.partition == record.source).all())
    plain = bool((events.marks == FOR_KEY).all())
    body = b"".join(
        (
            events.clock.astype("<i8").tobytes(),
            events.place.astype("<i8").tobytes(),
            b"" if own else events.partition.astype("<i4").tobytes(),
            b"" if plain else events.marks.tobytes(),
            (events.ends - events.begins).astype("<i4").tobytes(),
            events.text(),
        )
    )
    return _encode(
        msgspec.structs.replace(
            record,
            count=len(events),
            own=own,
            plain=plain,
            size=len(body),
            body=_zstd.press(body),
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
    if not record.count:
        return record, NONE
    if not 0 <= record.size <= MAX_BODY_BYTES:
        raise BadRecord(f"a body of {record.size} bytes; at most {MAX_BODY_BYTES} are read")
    try:
        body = _zstd.inflate(record.body, max_output_size=record.size)
        return record, _columns(record, body)
    except (zstandard.ZstdError, ValueError):
        raise BadRecord("its body is broken") from None


class Word(NamedTuple):
    """A source has told of all its events with keys up to `upto`; those up to `after` before."""

    source: int
    after: Key
    upto: Key


_words = msgspec.msgpack.Decoder(list[Word])


def words(sources: int, told: list[Word]) -> bytes:
    """A record without events, from several sources of one worker at once."""
    return _encode(Routed(VERSION, WORDS, sources, START, START, body=_encode(told)))


def read_words(record: Routed) -> list[Word]:
    """What `words` put into it.

    Raises:
        BadRecord: it is something else.
    """
    try:
        return _words.decode(record.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRecord("its words are broken") from None


def control(value: bytes) -> bytes:
    """A record for a lane that passes on what an operator decided."""
    return _encode(Routed(VERSION, CONTROL, 0, START, START, body=value))


def _columns(record: Routed, body: bytes) -> Events:
    count, begin = record.count, 0

    def column(kind: str, there: bool = True) -> npt.NDArray[Any] | None:
        nonlocal begin
        if not there:
            return None
        found = np.frombuffer(body, kind, count, begin)
        begin += found.nbytes
        return found

    clock, place = column("<i8"), column("<i8")
    partition, marks = column("<i4", not record.own), column("u1", not record.plain)
    sizes = column("<i4")
    if clock is None or place is None or sizes is None or (clock[1:] < clock[:-1]).any():
        raise BadRecord("its body does not hold what it says")
    ends = np.cumsum(sizes, dtype=np.int64)
    ends += np.arange(begin, begin + count)
    if int(ends[-1]) != len(body) or int(sizes.min()) < 0:
        raise BadRecord("its body does not hold what it says")
    return Events(
        clock,
        np.full(count, record.source, np.int64)
        if partition is None
        else partition.astype(np.int64),
        place,
        np.full(count, FOR_KEY, np.uint8) if marks is None else marks,
        body,
        ends - sizes,
        ends,
    )


def pieces(events: Events, size: int = PIECE_BYTES) -> Iterator[Events]:
    """The events cut so that none has many more bytes than `size`, unless one line has."""
    ends = np.cumsum(events.ends - events.begins)
    begin = 0
    while begin < len(events):
        done = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + size, "right")))
        yield events.cut(begin, end)
        begin = end
