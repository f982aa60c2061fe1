"""Finds the JSON records of a body, however they are laid out, and isolates the broken ones.

A body may be one document, an array, one record a line, or documents one after another, indented
or not. A record that is no JSON never costs its neighbours.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from schemas.adapters.base import MAX_REJECTIONS, NOT_READ

MAX_TOKENS = 1_000_000  # brackets and strings looked at to find where a broken record ends
MAX_RECORDS = 1_000_000  # of one body

UNREAD = "not read, after too many broken records"

BOM = b"\xef\xbb\xbf"

_decoder = msgspec.json.Decoder()
_patient = json.JSONDecoder()  # knows NaN and 1e400, so that the field can be named
_SPACE = re.compile(r"[\s,\ufeff]*")
_STRUCTURE = re.compile(r'"(?:[^"\\\n]|\\.)*"?|[{}\[\]]|\n(?=[{\[])')
_UNDECODABLE = re.compile("[\udc80-\udcff]")


class Found(NamedTuple):
    """One record: its value, or why there is none, and its bytes."""

    value: Any
    reason: str  # "" if the value could be read
    raw: bytes


def records(body: bytes) -> Iterator[Found]:
    """All records of a body in their order; arrays of records are opened."""
    body = body.removeprefix(BOM).strip()
    for count, found in enumerate(_all(body) if body else ()):
        if count >= MAX_RECORDS:
            yield Found(None, NOT_READ, b"")
            return
        yield found


def _all(body: bytes) -> Iterator[Found]:
    try:
        value = _decoder.decode(body)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        broken = 0
        for part in _lines(body):
            if isinstance(part, Found):
                yield part
            elif broken >= MAX_REJECTIONS:
                yield from _unread(part)
            else:
                for found in _patiently(part, MAX_REJECTIONS - broken):
                    broken += found.reason != ""
                    yield found
    else:
        yield from _opened(value, body)


def _opened(value: Any, raw: bytes) -> Iterator[Found]:
    if not isinstance(value, list):
        yield Found(value, "", raw)
        return
    for item in value:
        yield _encoded(item)


def _encoded(item: Any) -> Found:
    try:
        return Found(item, "", msgspec.json.encode(item))
    except RecursionError:
        return Found(None, "nested too deeply", b"")


def _lines(body: bytes) -> Iterator[Found | str]:
    """Lines that are whole records; what lies between them comes as one text."""
    rest: list[bytes] = []
    failed = 0
    for line in body.split(b"\n"):
        try:
            whole = line.strip()
            closed = whole[:1] in (b"{", b"[") and whole[-1:] in (b"}", b"]")
            value = _decoder.decode(line) if closed else None
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
            value = None
            failed += 1
            if failed > MAX_RECORDS:
                yield b"\n".join(rest).decode("utf-8", "surrogateescape")
                yield Found(None, NOT_READ, line)
                return
        if value is None or (rest and line[:1] not in (b"{", b"[")):
            rest.append(line)
            continue
        if rest:
            yield b"\n".join(rest).decode("utf-8", "surrogateescape")
            rest = []
        yield from _opened(value, line)
    if rest:
        yield b"\n".join(rest).decode("utf-8", "surrogateescape")


def _unread(text: str) -> Iterator[Found]:
    """Lines that nobody looks into any more."""
    for line in text.encode("utf-8", "surrogateescape").split(b"\n"):
        if line and not line.isspace():
            yield Found(None, UNREAD, line)


def _patiently(text: str, broken: int) -> Iterator[Found]:
    """Records of a text that is not one record a line, or that has broken ones.

    Args:
        broken: how many may be; what follows them is not read.
    """
    at, inside = _skip(text, 0), False
    while at < len(text):
        if inside and text[at] == "]":
            at, inside = _skip(text, at + 1), False
            continue
        end, found = _next(text, at)
        if found.reason and text[at] == "[" and not inside:
            at, inside = _skip(text, at + 1), True  # look at the members one by one
            continue
        if found.reason and not found.raw.strip(b"[], \t\r\n"):
            pass  # what is left of an array whose members are lines
        elif isinstance(found.value, list) and not inside:
            yield from (_written(item) for item in found.value)
        else:
            yield found
            broken -= found.reason != ""
        at = _skip(text, end)
        if broken <= 0:
            yield from _unread(text[at:])
            return


def _next(text: str, at: int) -> tuple[int, Found]:
    end = max(record_end(text, at), at + 1)
    part = text[at:end]  # cut first: a parser that fails inside a long text counts its lines
    try:
        value, used = _patient.raw_decode(part)
        if part[used:].strip():
            return end, Found(None, "not valid JSON", _raw(part))
        return end, _judge(value, part)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else "not valid JSON"
        return end, Found(None, reason, _raw(part))


def _written(value: Any) -> Found:
    try:
        return _judge(value, json.dumps(value, ensure_ascii=False))
    except RecursionError:
        return Found(None, "nested too deeply", b"")


def _judge(value: Any, text: str) -> Found:
    if _UNDECODABLE.search(text):
        return Found(None, "not valid UTF-8", _raw(text))
    return Found(value, "", _raw(text))


def record_end(text: str, at: int) -> int:
    """Where the record that begins at `at` ends: at its last bracket, before a line that begins a
    new record, or at the end of the text."""
    depth = 0
    stray = text[at] not in "{["
    for count, token in enumerate(_STRUCTURE.finditer(text, at)):
        mark = token[0]
        if mark in ("{", "["):
            if stray and token.start() > at:
                return token.start()
            depth += 1
        elif mark in ("}", "]"):
            depth -= 1
            if depth == 0 and not stray:
                return token.end()
        elif mark == "\n":
            return token.end()
        if count >= MAX_TOKENS:
            break
    return len(text)


def members(text: str, at: int) -> Iterator[tuple[int, Found]]:
    """Members of the array that begins at `at`, each with the place where it ends."""
    at = _skip(text, at + 1)
    while at < len(text) and text[at] != "]":
        end, found = _next(text, at)
        yield end, found
        at = _skip(text, end)


def value_at(text: str, at: int) -> Any:
    """The JSON value that begins at `at`, or None if it cannot be read."""
    return _next(text, at)[1].value


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape" if _UNDECODABLE.search(text) else "surrogatepass")
