"""Reads OTLP/JSON: ids are hex, enums are numbers, 64-bit integers numbers or text."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from schemas.adapters.base import MAX_RESOURCE_BYTES, Refused
from schemas.adapters.read import UNREAD, Found, members, records, value_at
from schemas.adapters.signal import (
    ERROR,
    MAX_ATTRIBUTES,
    MAX_VALUE_LEVELS,
    Happening,
    Resource,
    Signal,
)

Item = tuple[Signal | Refused, Callable[[], bytes]]
"""A record or why it is none, and how to get its bytes (which only a refused one needs)."""

_MARKS = re.compile(r'(?<!\\)"(resource|spans|logRecords)"\s*:\s*(?=[{\[])')
_SPAN_KINDS = {"SPAN_KIND_INTERNAL": 1, "SPAN_KIND_SERVER": 2, "SPAN_KIND_CLIENT": 3}
_LISTS = (("resourceSpans", "scopeSpans", "spans"), ("resourceLogs", "scopeLogs", "logRecords"))


def read(body: bytes) -> Iterator[Item]:
    """Every span and log record of a body, each with its bytes, or why it cannot be read."""
    for found in records(body):
        if found.reason == UNREAD:
            yield Refused("", UNREAD), _same(found.raw)
        elif found.reason:
            yield from _salvage(found)
        elif not isinstance(found.value, dict):
            yield Refused("", "not an object"), _same(found.raw)
        else:
            yield from _document(found.value, found.raw)


def _document(document: dict[str, Any], raw: bytes) -> Iterator[Item]:
    if not any(names[0] in document for names in _LISTS):
        if not document or "resourceMetrics" in document:
            return
        yield Refused("", "neither resourceSpans nor resourceLogs"), _same(raw)
    for names in _LISTS:
        outer, middle, inner = names
        for group in _objects(document, outer):
            if isinstance(group, _Odd):
                yield Refused(outer, group.reason), _written({outer: group.value})
                continue
            try:
                resource = _resource(group.get("resource"))
            except Refused as error:
                yield error, _written({outer: [group]})
                continue
            alone = _Alone(names, group.get("resource"))
            for scope in _objects(group, middle):
                if isinstance(scope, _Odd):
                    yield Refused(middle, scope.reason), alone.scopes(scope.value)
                    continue
                for item in _list(scope, inner):
                    yield signal(item, inner == "spans", resource), alone.record(item)


class _Alone:
    """Writes parts of a group as exports of their own, so that they can be converted again.

    Args:
        names: of the lists of groups, scopes and records.
        resource: what the parts came under; one that is too long is kept with none of them, and
            they cannot be converted again.
    """

    def __init__(self, names: tuple[str, str, str], resource: Any) -> None:
        self._outer, self._middle, self._inner = names
        self._resource = resource
        self._short: bool | None = None

    def scopes(self, value: Any) -> Callable[[], bytes]:
        """Writes a list of scopes."""
        return lambda: self._write({self._middle: value}, value)

    def record(self, item: Any) -> Callable[[], bytes]:
        """Writes a span or log record."""
        return lambda: self._write({self._middle: [{self._inner: [item]}]}, item)

    def _write(self, group: dict[str, Any], bare: Any) -> bytes:
        if self._short is None:
            written = _written(self._resource)()
            self._short = 0 < len(written) <= MAX_RESOURCE_BYTES
        if not self._short:
            return _written(bare)()
        return _written({self._outer: [{"resource": self._resource, **group}]})()


def signal(item: Any, is_span: bool, resource: Resource) -> Signal | Refused:
    """One span or log record, or why it is none."""
    if not isinstance(item, dict):
        return Refused("", "not an object")
    try:
        return _span(item, resource) if is_span else _log(item, resource)
    except Refused as error:
        return error


def _span(item: dict[str, Any], resource: Resource) -> Signal:
    status = item.get("status")
    status = status if isinstance(status, dict) else {}
    kind = item.get("kind")
    return Signal(
        "span",
        resource,
        _id(item, "traceId"),
        _id(item, "spanId"),
        _id(item, "parentSpanId"),
        _string(item, "name"),
        _SPAN_KINDS.get(kind, 0) if isinstance(kind, str) else _integer(item, "kind"),
        _integer(item, "startTimeUnixNano"),
        _integer(item, "endTimeUnixNano"),
        status.get("code") in (ERROR, "STATUS_CODE_ERROR"),
        _string(status, "message"),
        _attributes(item.get("attributes")),
        [
            Happening(
                _string(part, "name"),
                _integer(part, "timeUnixNano"),
                _attributes(part.get("attributes")),
            )
            for part in _list(item, "events")[:MAX_ATTRIBUTES]
            if isinstance(part, dict)
        ],
    )


def _log(item: dict[str, Any], resource: Resource) -> Signal:
    return Signal(
        "log",
        resource,
        _id(item, "traceId"),
        _id(item, "spanId"),
        name=_string(item, "eventName"),
        end_ns=_integer(item, "timeUnixNano") or _integer(item, "observedTimeUnixNano"),
        attributes=_attributes(item.get("attributes")),
        body=_value(item.get("body"), MAX_VALUE_LEVELS) if item.get("body") else None,
    )


def _resource(value: Any) -> Resource:
    return Resource(_attributes(value.get("attributes")) if isinstance(value, dict) else {})


def _attributes(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in value[:MAX_ATTRIBUTES] if isinstance(value, list) else ():
        if isinstance(part, dict) and isinstance(part.get("key"), str):
            found[part["key"]] = _value(part.get("value"), MAX_VALUE_LEVELS)
    return found


def _value(value: Any, levels: int) -> Any:
    if levels <= 0:
        raise Refused("attributes", "nested too deeply")
    if not isinstance(value, dict) or not value:
        return None
    kind, content = next(iter(value.items()))
    match kind:
        case "intValue":
            return _whole(content, "intValue")
        case "doubleValue":
            try:
                return float(content) if isinstance(content, str) and len(content) < 64 else content
            except ValueError:
                raise Refused("doubleValue", "should be a number") from None
        case "arrayValue":
            return [_value(item, levels - 1) for item in _list(content, "values")]
        case "kvlistValue":
            return {
                str(item.get("key")): _value(item.get("value"), levels - 1)
                for item in _list(content, "values")
                if isinstance(item, dict)
            }
    return content


def _whole(value: Any, field: str) -> int:
    if isinstance(value, str) and len(value) <= 24:
        try:
            value = int(value)
        except ValueError:
            raise Refused(field, "should be a whole number") from None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value.bit_length() > 64:
        raise Refused(field, "should be a whole number of 64 bits")
    return value


def _integer(item: dict[str, Any], name: str) -> int:
    value = item.get(name)
    return 0 if value is None or value == "" else _whole(value, name)


def _string(item: dict[str, Any], name: str) -> str:
    value = item.get(name)
    return value if isinstance(value, str) else ""


def _id(item: dict[str, Any], name: str) -> str:
    return _string(item, name).lower()


def _list(value: Any, name: str) -> list[Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


class _Odd(NamedTuple):
    reason: str
    value: Any


def _objects(value: dict[str, Any], name: str) -> Iterator[dict[str, Any] | _Odd]:
    found = value.get(name)
    if found is not None and not isinstance(found, list):
        yield _Odd("should be a list", found)
    for item in found if isinstance(found, list) else ():
        yield item if isinstance(item, dict) else _Odd("should hold objects", [item])


def _same(raw: bytes) -> Callable[[], bytes]:
    return lambda: raw


def _written(item: Any) -> Callable[[], bytes]:
    def write() -> bytes:
        try:
            return json.dumps(item).encode()
        except RecursionError:
            return b""

    return write


def _salvage(found: Found) -> Iterator[Item]:
    """What can still be read of a document with a broken part: its spans one by one."""
    text = found.raw.decode("utf-8", "surrogateescape")
    resource, read, last, some = Resource(), None, 0, False
    for mark in _MARKS.finditer(text):
        if mark.start() < last:
            continue
        if mark[1] == "resource":
            read = value_at(text, mark.end())
            try:
                resource = _resource(read)
            except Refused:
                resource, read = Resource(), None
            continue
        names = _LISTS[mark[1] != "spans"]
        alone = None if read is None else _Alone(names, read)
        for end, member in members(text, mark.end()):
            some, last = True, end
            if member.reason:
                yield Refused("", member.reason), _same(member.raw)
            else:
                written = alone.record(member.value) if alone else _same(member.raw)
                yield signal(member.value, mark[1] == "spans", resource), written
    if not some:
        yield Refused("", found.reason), _same(found.raw)
