"""Reads blocks of canonical events into columns of numbers; an event itself when asked for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from schemas.cut import cut
from schemas.decode import (
    EPOCH,
    MILLISECOND,
    WIRE,
    InvalidEvent,
    decode,
    decode_line,
    decode_many,
)
from schemas.event import Event
from schemas.fingerprint import fingerprint_of
from schemas.scan import AMOUNT, FLAG, INSTANT, LIST, TEXT, WORD, scan
from schemas.shape import FIELDS, SHAPE, words_of

Values = npt.NDArray[np.int64]
TIMESTAMP = FIELDS["timestamp"]
NEWLINE = ord("\n")
_KINDS = [(name, number, int(SHAPE.kind[number])) for name, number in FIELDS.items()]
_SCALE = SHAPE.scale.tolist()
_WORDS = {name: words_of(name) for name, _, kind in _KINDS if kind == WORD}


class Lines(Sequence[Any]):
    """The events of a block; one is decoded when it is asked for, and kept.

    Args:
        block: their bytes.
        spans: first byte and end of each, and whether the scanner has read it.
    """

    def __init__(self, block: bytes, spans: Values) -> None:
        self._block, self._spans = block, spans
        self._begins, self._ends = spans[:2].tolist()
        self._known: list[Any] = [None] * len(self._begins)

    def __len__(self) -> int:
        return len(self._known)

    @overload
    def __getitem__(self, place: int) -> Any: ...
    @overload
    def __getitem__(self, place: slice) -> list[Any]: ...
    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return self.take(range(len(self))[place])
        record = self._known[place]
        if record is None:
            record = self._known[place] = decode(self.line(place))
        return record

    def __iter__(self) -> Iterator[Any]:
        return iter(self.take(range(len(self))))

    def line(self, place: int) -> bytes:
        """The bytes of one event."""
        return self._block[self._begins[place] : self._ends[place]]

    def take(self, places: Sequence[int]) -> list[Any]:
        """Several of them; what is new is decoded all at once."""
        known = self._known
        new = [place for place in places if known[place] is None]
        records = decode_many(b"\n".join([self.line(place) for place in new]))
        for place, record in zip(new, records, strict=True):
            known[place] = record
        return [known[place] for place in places]

    def cut(self, attribute: str, places: Values, width: int) -> npt.NDArray[np.uint8]:
        """A text attribute of several of them as rows of bytes, filled up with zeros.

        A row is all zeros where there is no text, where it is longer than `width`, and where the
        line is not written plainly.
        """
        begins, ends, plain = (row[places] for row in self._spans)
        texts = np.empty((len(places), width), np.uint8)
        key = np.frombuffer(f'"{WIRE[attribute]}":"'.encode(), np.uint8)
        cut(np.frombuffer(self._block, np.uint8), begins, ends * plain, key, texts)
        return texts

    def know(self, place: int, record: Any) -> None:
        """Takes an event that was decoded already."""
        self._known[place] = record

    def only(self, places: Values) -> "Lines":
        """Some of them."""
        found = Lines(self._block, self._spans[:, places])
        found._known = [self._known[place] for place in places.tolist()]
        return found


@dataclass(slots=True)
class Block:
    """What a block of lines holds.

    Attributes:
        records: its events.
        values: a row per field of `Event`, a column per event; see `schemas.scan.scan`. Good
            until the next block is read.
        places: number of each event's line among those that are not blank.
        lines: how many these are.
        broken: number, bytes and fault of each line that is no event.
    """

    records: Lines
    values: Values
    places: Values
    lines: int
    broken: list[tuple[int, bytes, InvalidEvent]]


class Reader:
    """Reads blocks, and remembers in which order the keys come.

    >>> from schemas.testing import event
    >>> block = Reader().read(event(model="m", input_tokens=7).to_json())
    >>> block.records[0].request_model, block.values[FIELDS["input_tokens"]].tolist()
    ('m', [7])
    """

    def __init__(self) -> None:
        self._order = np.zeros(len(FIELDS) + 1, np.int64)
        self._values = np.zeros((len(FIELDS), 0), np.int64)

    def read(self, block: bytes) -> Block:
        """Reads NDJSON: one event on each line that is not blank."""
        if not block.endswith(b"\n"):
            block += b"\n"
        data = np.frombuffer(block, np.uint8)
        room = int(np.count_nonzero(data == NEWLINE))
        values, spans = self._room(room), np.empty((3, room), np.int64)
        seen = np.full(len(FIELDS), -1, np.int64)
        count = scan(data, SHAPE, self._order, seen, spans, values)
        values, taken = values[:, :count], spans[2, :count]
        records, broken = Lines(block, spans[:, :count]), []
        for place in np.flatnonzero(taken == 0).tolist():
            line = records.line(place)
            try:
                record, time_ms = decode_line(line)
            except InvalidEvent as error:
                broken.append((place, line, error))
                continue
            records.know(place, record)
            values[:, place] = numbers(record, time_ms)
        places = np.arange(count)
        if broken:
            places = np.delete(places, [place for place, *_ in broken])
            records, values = records.only(places), np.ascontiguousarray(values[:, places])
        return Block(records, values, places, count, broken)

    def _room(self, columns: int) -> Values:
        """For a block in which nothing comes; the same memory again if it is large enough."""
        if self._values.shape[1] < columns:
            self._values = np.zeros((len(FIELDS), columns), np.int64)
        values = self._values[:, :columns]
        values.fill(0)
        for field, number in _DEFAULTS:
            values[field] = number
        return values


def numbers(record: Any, time_ms: int) -> list[int]:
    """What the scanner would have made of an event: a number for each field."""
    return [
        time_ms if number == TIMESTAMP else _number(getattr(record, name), name, number, kind)
        for name, number, kind in _KINDS
    ]


def _number(value: Any, name: str, number: int, kind: int) -> int:
    if value is None:
        return 0
    if kind == TEXT:
        found = fingerprint_of(value)
        return found - 2**64 if found >= 2**63 else found
    if kind == WORD:
        return _WORDS[name].index(value) + 1
    if kind == AMOUNT:
        return int(np.rint(value * _SCALE[number]))
    if kind == FLAG:
        return 1 + int(value)
    if kind == INSTANT:
        return int((value - EPOCH) // MILLISECOND)
    return int(len(value) if kind == LIST else value)


_DEFAULTS = [
    (number, _number(Event.model_fields[name].default, name, number, kind))
    for name, number, kind in _KINDS
    if kind in (TEXT, WORD) and isinstance(Event.model_fields[name].default, str)
]
"""What a field holds that does not come."""


def columns_of(records: Sequence[Any], times: Values) -> Values:
    """The values of events that are decoded already."""
    found = [numbers(record, time) for record, time in zip(records, times.tolist(), strict=True)]
    return np.array(found, np.int64).reshape(len(found), len(Event.model_fields)).T.copy()
