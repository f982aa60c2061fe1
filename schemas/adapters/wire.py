"""Walks the protobuf wire format, so that one broken record does not cost its neighbours."""

from collections.abc import Iterator

from schemas.adapters.base import Refused

LENGTH = 2  # wire type of what has a length: messages, texts, bytes


def parts(data: bytes, number: int, cut: bool = False) -> Iterator[bytes | Refused]:
    """The length-delimited fields of one number; the rest of broken data is one refusal.

    Args:
        cut: data is the beginning of more; a last field that is cut off comes as far as it goes.
    """
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        start, end = (-1, -1) if at < 0 or tag >> 3 == 0 else _content(data, at, tag & 7)
        if end < 0 or (end > len(data) and not cut):
            yield Refused("", "not valid protobuf")
            return
        if tag >> 3 == number and tag & 7 == LENGTH:
            yield data[start:end]
        at = end


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field, as `parts` finds it (numbers below 16)."""
    size, head = len(content), bytearray((number << 3 | LENGTH,))
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes(head) + bytes((size,)) + content


def export(data: bytes, cut: bool = False) -> str | None:
    """`otlp-traces` or `otlp-logs` if the bytes are an export request, else None.

    A span begins with its id, a log record with a time; an export without either counts as traces.

    Args:
        cut: data is only the beginning of the request.
    """
    if data[:1] != b"\n":  # tag of field 1, the only one
        return None
    groups = list(parts(data, 1, cut))
    if not groups or any(isinstance(group, Refused) for group in groups):
        return None
    for group in groups:
        for scope in parts(group, 2, cut) if isinstance(group, bytes) else ():
            for item in parts(scope, 2, cut) if isinstance(scope, bytes) else ():
                if isinstance(item, bytes) and item:
                    return "otlp-traces" if item[0] & 7 == LENGTH else "otlp-logs"
    return "otlp-traces"


def is_text(data: bytes) -> bool:
    """Whether the bytes are JSON rather than protobuf; both may begin with a line feed."""
    if export(data) is not None:
        return False
    return data.lstrip()[:1] in (b"{", b"[", b"")


def _content(data: bytes, at: int, wire_type: int) -> tuple[int, int]:
    """Where the content of a field begins and ends; -1 if it is broken."""
    match wire_type:
        case 0:
            return at, _varint(data, at)[1]
        case 1:
            return at, at + 8
        case 2:
            length, start = _varint(data, at)
            return start, start + length if start >= 0 else -1
        case 5:
            return at, at + 4
    return at, -1


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            return 0, -1
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    return 0, -1
