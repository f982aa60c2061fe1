"""Reads OTLP as protobuf. A record that cannot be read is cut out, and the others are kept."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ProtoResource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from schemas.adapters.base import MAX_RESOURCE_BYTES, Refused
from schemas.adapters.otlp_json import Item
from schemas.adapters.signal import (
    ERROR,
    MAX_ATTRIBUTES,
    MAX_VALUE_LEVELS,
    Happening,
    Resource,
    Signal,
)
from schemas.adapters.wire import field, parts


def read(body: bytes, logs: bool) -> Iterator[Item]:
    """Every span (or log record) of an export request, or why it cannot be read."""
    for group in parts(body, 1):
        if isinstance(group, Refused):
            yield group, _same(body)
            continue
        yield from _group(group, logs)


def _group(group: bytes, logs: bool) -> Iterator[Item]:
    resource = Resource()
    written: bytes | None = b""  # None: not known, or too long to be kept with each record
    for part in parts(group, 1):
        if isinstance(part, Refused):
            break  # told below; what was read before it holds
        try:
            resource = Resource(_attributes(ProtoResource.FromString(part).attributes))
            written = field(1, part) if len(part) <= MAX_RESOURCE_BYTES else None
        except (DecodeError, Refused):
            yield Refused("resource", "not valid protobuf"), _same(field(1, group))
            written = None
            break
    for scope in parts(group, 2):
        if isinstance(scope, Refused):
            yield scope, _same(field(1, group))
            continue
        for item in parts(scope, 2):
            if isinstance(item, Refused):
                yield item, partial(_export, written, scope)
            else:
                yield _signal(item, logs, resource), partial(_alone, written, item)


def _export(resource: bytes | None, scope: bytes) -> bytes:
    """A scope as an export of its own, so that it can be converted again."""
    return scope if resource is None else field(1, resource + field(2, scope))


def _alone(resource: bytes | None, item: bytes) -> bytes:
    """A record as an export of its own."""
    return item if resource is None else _export(resource, field(2, item))


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


def _same(raw: bytes) -> Callable[[], bytes]:
    return lambda: raw
