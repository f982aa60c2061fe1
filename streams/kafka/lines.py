"""Lines of events inside larger buffers: put together, and left with some of their fields.

No line becomes an object of its own on its way through a worker; what moves is where it begins and
ends. The loops are compiled (see `schemas.compiled`).
"""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from schemas.compiled import compiled, inlined
from schemas.decode import WIRE
from schemas.fingerprint import bytes_of, fingerprint

Ints = npt.NDArray[np.int64]
Spans = tuple[bytes, Ints, Ints]  # a buffer, and where in it each line begins and ends
PLACES = 512  # of the table of keys
MEMBERS = 256  # of a line, at most; the decoder takes those with more
LEFT = -1  # to the decoder
_NEWLINE, _QUOTE, _COMMA, _COLON, _OPEN, _CLOSE = 10, 34, 44, 58, 123, 125
_BACKSLASH, _LIST, _END_OF_LIST = 92, 91, 93


def of(values: Sequence[bytes]) -> Spans:
    """Lines that are objects of their own."""
    ends = np.cumsum(np.fromiter(map(len, values), np.int64, len(values)) + 1) - 1
    begins = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    return b"\n".join(values), begins, ends


def text(data: bytes, begins: Ints, ends: Ints) -> bytes:
    """Lines one after the other, without a newline behind the last.

    >>> text(b"a bb ccc", np.array([5, 0]), np.array([8, 1]))
    b'ccc\\na'
    """
    if not len(begins):
        return b""
    if (begins[1:] == ends[:-1] + 1).all() and data[ends[0] : ends[0] + 1] in (b"\n", b""):
        return data[int(begins[0]) : int(ends[-1])]
    out = np.empty(int((ends - begins).sum()) + len(begins), np.uint8)
    _gather(np.frombuffer(data, np.uint8), begins, ends, out)
    return out[:-1].tobytes()


def together(parts: Sequence[Spans]) -> Spans:
    """Lines of several buffers in one."""
    found: list[bytes] = []
    begins, ends = [], []
    size = 0
    for data, some, until in parts:
        first, last = int(some.min(initial=len(data))), int(until.max(initial=0))
        found.append(data[first:last])
        begins.append(some + (size - first))
        ends.append(until + (size - first))
        size += max(0, last - first)
    return b"".join(found), np.concatenate(begins), np.concatenate(ends)


@compiled
def _gather(data: Any, begins: Any, ends: Any, out: Any) -> None:
    at = 0
    for line in range(len(begins)):
        size = ends[line] - begins[line]
        _copy(data[begins[line] : ends[line]], out[at : at + size])
        out[at + size] = _NEWLINE
        at += size + 1


@inlined
def _copy(what: Any, to: Any) -> None:
    """Through slices, whose places are never negative: the compiler makes one move of it."""
    for at in range(len(what)):
        to[at] = what[at]


class Narrow:
    """Leaves of canonical lines the fields that a lane carries, byte for byte.

    >>> narrow = Narrow(("event_id", "tenant_id"))
    >>> line = b'{"event.id":"a","x":[1,{}],"tenant.id":null}'
    >>> data, begins, ends = narrow(line, np.array([0]), np.array([len(line)]))
    >>> data[begins[0] : ends[0]]
    b'{"event.id":"a","tenant.id":null}'
    """

    def __init__(self, fields: Collection[str]) -> None:
        keys = [WIRE[name] for name in fields]
        places = np.full(PLACES, -1, np.int64)
        for number, key in enumerate(keys):
            place = int(fingerprint(bytes_of(key), 0, len(key))) % PLACES
            while places[place] >= 0:
                place = (place + 1) % PLACES
            places[place] = number
        self._known = bytes_of("".join(keys)), np.cumsum([0, *map(len, keys)]), places
        members = [(name, msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for name in fields]
        rename = {name: WIRE[name] for name in fields}
        kind = msgspec.defstruct("Narrow", members, rename=rename, gc=False)
        self._decode = msgspec.json.Decoder(kind).decode
        self._encode = msgspec.json.Encoder().encode

    def __call__(self, data: bytes, begins: Ints, ends: Ints) -> Spans:
        """As many lines, without the other fields."""
        out = np.empty(int((ends - begins).sum()) + 2 * len(begins), np.uint8)
        some, until = np.empty(len(begins), np.int64), np.empty(len(begins), np.int64)
        before = np.zeros((3, MEMBERS), np.int64)
        raw = np.frombuffer(data, np.uint8)
        size = _narrow(raw, begins, ends, self._known, before, out, some, until)
        narrow = out[:size].tobytes()
        left = np.flatnonzero(some == LEFT).tolist()
        if left:
            lines = [self._encode(self._decode(data[begins[at] : ends[at]])) for at in left]
            more, first, last = of(lines)
            some[left], until[left] = first + size, last + size
            narrow += more
        return narrow, some, until


@compiled
def _narrow(
    data: Any, begins: Any, ends: Any, known: Any, before: Any, out: Any, some: Any, until: Any
) -> int:
    """Copies what is wanted of each line; `some` is `LEFT` where a line is not plain enough."""
    size = 0
    for line in range(len(begins)):
        stop = _members(data, begins[line], ends[line], known, before, out, size)
        some[line], until[line] = (LEFT, LEFT) if stop == LEFT else (size, stop)
        size = size if stop == LEFT else stop
    return size


@inlined
def _members(data: Any, at: int, end: int, known: Any, before: Any, out: Any, size: int) -> int:
    """Copies one line's members; gives where they end in `out`, or `LEFT`.

    Args:
        before: of each member of the line before: first byte and end of its key, and whether it
            was wanted.
    """
    at = _blank(data, at, end)
    if at == end or data[at] != _OPEN:
        return LEFT
    out[size] = _OPEN
    size += 1
    empty, member = size, 0
    at = _blank(data, at + 1, end)
    while at < end and data[at] == _QUOTE:
        stop = _quoted(data, at + 1, end)
        colon = _blank(data, stop + 1, end)
        if stop == LEFT or member == MEMBERS or colon == end or data[colon] != _COLON:
            return LEFT
        behind = _value(data, _blank(data, colon + 1, end), end)
        if behind == LEFT:
            return LEFT
        begin, last = before[0, member], before[1, member]
        if not _same(data[at + 1 : stop], data[begin:last]):
            if _escaped(data, at + 1, stop):
                return LEFT
            before[0, member], before[1, member] = at + 1, stop
            before[2, member] = _wanted(data, at + 1, stop, known)
        if before[2, member]:
            if size > empty:
                out[size] = _COMMA
                size += 1
            _copy(data[at:behind], out[size : size + behind - at])
            size += behind - at
        member += 1
        at = _blank(data, behind, end)
        if at < end and data[at] == _COMMA:
            at = _blank(data, at + 1, end)
    if at == end or data[at] != _CLOSE:
        return LEFT
    out[size] = _CLOSE
    return size + 1


@inlined
def _same(one: Any, other: Any) -> bool:
    if len(one) != len(other):
        return False
    for at in range(len(one)):
        if one[at] != other[at]:
            break
    else:
        return True
    return False


@inlined
def _blank(data: Any, at: int, end: int) -> int:
    while at < end and (data[at] == 32 or data[at] == 9 or data[at] == 13):
        at += 1
    return at


@inlined
def _quoted(data: Any, at: int, end: int) -> int:
    """The place of the closing quote of a text, or `LEFT`."""
    escaped = False
    for place, letter in enumerate(data[at:end]):
        if letter == _QUOTE and not escaped:
            return at + place
        escaped = letter == _BACKSLASH and not escaped
    return LEFT


@inlined
def _escaped(data: Any, at: int, end: int) -> bool:
    for letter in data[at:end]:
        if letter == _BACKSLASH:
            break
    else:
        return False
    return True


@inlined
def _value(data: Any, at: int, end: int) -> int:
    """The place behind a value, or `LEFT`; a list may hold texts and numbers."""
    if at < end and data[at] == _QUOTE:
        stop = _quoted(data, at + 1, end)
        return LEFT if stop == LEFT else stop + 1
    if at < end and data[at] == _LIST:
        while at < end and data[at] != _END_OF_LIST:
            at += 1
            if at < end and data[at] == _QUOTE:
                at = _quoted(data, at + 1, end)
                if at == LEFT:
                    return LEFT
            elif at < end and (data[at] == _LIST or data[at] == _OPEN):
                return LEFT
        return at + 1 if at < end else LEFT
    if at < end and data[at] == _OPEN:
        return LEFT
    begin = at
    while at < end and data[at] > 32 and data[at] != _COMMA and data[at] != _CLOSE:
        at += 1
    return at if begin < at < end else LEFT


@inlined
def _wanted(data: Any, begin: int, stop: int, known: Any) -> bool:
    letters, bounds, places = known
    place = np.int64(fingerprint(data, begin, stop) % np.uint64(PLACES))
    while places[place] >= 0:
        first, last = bounds[places[place]], bounds[places[place] + 1]
        if _same(data[begin:stop], letters[first:last]):
            return True
        place = (place + 1) % PLACES
    return False
