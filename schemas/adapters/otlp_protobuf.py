"""Reads OTLP as protobuf. A record that cannot be read is cut out, and the others are kept."""

from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ProtoResource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from schemas.adapters.base import Refused
from schemas.adapters.otlp_json import Item
from schemas.adapters.signal import (
    ERROR,
    MAX_ATTRIBUTES,
    MAX_VALUE_LEVELS,
    Happening,
    Resource,
    Signal,
)

LENGTH = 2  # wire type of what has a length: messages, texts, bytes


def read(body: bytes, logs: bool) -> Iterator[Item]:
    """Every span (or log record) of an export request, or why it cannot be read."""
    for group in _parts(body, 1):
        if isinstance(group, Refused):
            yield group, _same(body)
            continue
        yield from _group(group, logs)


def holds_logs(body: bytes) -> bool:
    """Whether an export request holds log records: a span begins with its id, a log with a time."""
    for group in _parts(body, 1):
        for scope in _parts(group, 2) if isinstance(group, bytes) else ():
            for item in _parts(scope, 2) if isinstance(scope, bytes) else ():
                if isinstance(item, bytes) and item:
                    return item[0] & 7 != LENGTH
    return False


def _group(group: bytes, logs: bool) -> Iterator[Item]:
    resource = Resource()
    for part in _parts(group, 1):
        try:
            proto = ProtoResource.FromString(part) if isinstance(part, bytes) else None
            resource = Resource(_attributes(proto.attributes) if proto else {})
        except (DecodeError, Refused):
            yield Refused("resource", "not valid protobuf"), _same(group)
    for scope in _parts(group, 2):
        if isinstance(scope, Refused):
            yield scope, _same(group)
            continue
        for item in _parts(scope, 2):
            if isinstance(item, Refused):
                yield item, _same(scope)
            else:
                yield _signal(item, logs, resource), _same(item)


def _signal(item: bytes, logs: bool, resource: Resource) -> Signal | Refused:
    try:
        return _log(item, resource) if logs else _span(item, resource)
    except DecodeError:
        return Refused("", "not valid protobuf")
    except Refused as error:
        return error


def _span(item: bytes, resource: Resource) -> Signal:
    span = Span.FromString(item)
    return Signal(
        "span",
        resource,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.name,
        span.kind,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.status.code == ERROR,
        span.status.message,
        _attributes(span.attributes),
        [
            Happening(event.name, event.time_unix_nano, _attributes(event.attributes))
            for event in span.events[:MAX_ATTRIBUTES]
        ],
    )


def _log(item: bytes, resource: Resource) -> Signal:
    log = LogRecord.FromString(item)
    return Signal(
        "log",
        resource,
        log.trace_id.hex(),
        log.span_id.hex(),
        name=log.event_name,
        end_ns=log.time_unix_nano or log.observed_time_unix_nano,
        attributes=_attributes(log.attributes),
        body=_value(log.body, MAX_VALUE_LEVELS),
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value, MAX_VALUE_LEVELS) for pair in pairs[:MAX_ATTRIBUTES]}


def _value(value: Any, levels: int) -> Any:
    if levels <= 0:
        raise Refused("attributes", "nested too deeply")
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [_value(item, levels - 1) for item in value.array_value.values]
        case "kvlist_value":
            pairs = value.kvlist_value.values
            return {pair.key: _value(pair.value, levels - 1) for pair in pairs}
        case "bytes_value":
            return value.bytes_value.hex()
        case kind:
            return getattr(value, kind)


def _parts(data: bytes, number: int) -> Iterator[bytes | Refused]:
    """The length-delimited fields of one number; the rest of broken data is one refusal."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        if at < 0 or tag >> 3 == 0:
            yield Refused("", "not valid protobuf")
            return
        start, end = _field(data, at, tag & 7)
        if end < 0 or end > len(data):
            yield Refused("", "not valid protobuf")
            return
        if tag >> 3 == number and tag & 7 == LENGTH:
            yield data[start:end]
        at = end


def _field(data: bytes, at: int, wire_type: int) -> tuple[int, int]:
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


def _same(raw: bytes) -> Callable[[], bytes]:
    return lambda: raw
