"""Cuts a stream of any length into bodies of bounded size, each of whole records."""

import re
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from schemas.adapters.base import MAX_BODY_BYTES
from schemas.adapters.read import BOM
from schemas.adapters.wire import is_text

BLOCK_BYTES = 1024 * 1024

_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]"]', re.DOTALL)


def chunks(stream: BinaryIO, format: str) -> Iterator[bytes]:
    """Bodies for `adapt`, in the order of the stream.

    Lines that are whole records come in blocks of about 1 MiB, cut at line ends and otherwise
    untouched. Documents that span lines come as one compact line each. Neither ever takes more
    memory than one body may have (64 MiB); a longer record comes cut, and is refused as such.
    """
    first = stream.read(BLOCK_BYTES)
    if format.startswith("otlp") and not is_text(first.removeprefix(BOM)):
        yield first + stream.read(MAX_BODY_BYTES + 1 - len(first))
        return
    first = first.removeprefix(BOM)
    yield from (_lines if _is_lines(first) else _documents)(first, stream)


def _is_lines(head: bytes) -> bool:
    """Whether the first line that says anything is one JSON object, whole or broken."""
    line = head.lstrip().split(b"\n", 1)[0].strip()
    if line[:1] not in (b"{", b"["):
        return bool(line)  # rubbish, told apart line by line
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return line[:1] == b"{" and b"\n" in head and _is_one(line)
    return line[:1] == b"{"


def _is_one(line: bytes) -> bool:
    """Whether the brackets of a line that is no JSON close once, at its end."""
    depth = 0
    for match in _BRACKETS.finditer(line):
        depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(match[0], 0)
        if depth <= 0:
            return match.end() == len(line)
    return False


def _lines(first: bytes, stream: BinaryIO) -> Iterator[bytes]:
    rest: list[bytes] = []  # pieces of a line that goes on
    block = first
    while block:
        end = block.rfind(b"\n") + 1
        if end:
            yield b"".join([*rest, block[:end]])
            rest = [block[end:]]
        else:
            rest.append(block)
            if sum(map(len, rest)) > MAX_BODY_BYTES:
                yield b"".join(rest)[: MAX_BODY_BYTES // 2]  # no record; refused
                rest = [_skip_line(stream)]
        block = stream.read(BLOCK_BYTES)
    if last := b"".join(rest):
        yield last


def _skip_line(stream: BinaryIO) -> bytes:
    while block := stream.read(BLOCK_BYTES):
        if (end := block.find(b"\n")) >= 0:
            return block[end + 1 :]
    return b""


def _documents(first: bytes, stream: BinaryIO) -> Iterator[bytes]:
    """Top-level documents, and the members of top-level arrays, one compact line each."""
    held, at, depth, floor, start = first, 0, 0, 0, -1
    more = True
    out: list[bytes] = []
    while True:
        for match in _BRACKETS.finditer(held, at):
            mark = match[0]
            if mark == b'"':  # a text that goes on in the next block
                break
            at = match.end()
            if mark in (b"{", b"["):
                if start < 0 and mark == b"[" and depth == floor == 0:
                    floor = 1
                elif start < 0:
                    start = match.start()
                depth += 1
            elif mark in (b"}", b"]"):
                depth -= 1
                if start >= 0 and depth <= floor:
                    out.append(_compact(held[start:at]))
                    start = -1
                if depth <= 0:
                    depth = floor = 0
        if sum(map(len, out)) >= BLOCK_BYTES or (out and not more):
            yield b"\n".join(out) + b"\n"
            out = []
        if not more:
            break
        if start < 0:
            held, at = held[at:], 0
        elif start:
            held, at, start = held[start:], at - start, 0
        if len(held) > MAX_BODY_BYTES:
            yield held[: MAX_BODY_BYTES // 2]
            held, at, depth, floor, start = b"", 0, 0, 0, -1
        block = stream.read(BLOCK_BYTES)
        more = bool(block)
        held += block
    if held[max(start, 0) :].strip(b"] \t\r\n,"):
        yield held[max(start, 0) :]


def _compact(document: bytes) -> bytes:
    try:
        return msgspec.json.format(document, indent=-1)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return document.replace(b"\n", b" ")  # refused later, for what it is
