"""Takes events that already have our form: one a line, whole documents, or arrays of them.

Keys that come raw are hashed, texts that hold secrets are replaced, members we do not know are
left out, and nothing else is changed.
"""

import re
from typing import Any, get_args

import msgspec
import numpy as np
from pydantic import ValidationError

from schemas.adapters.base import Adapted, Context, Refused, Rejections
from schemas.adapters.clean import EMAIL, SECRET
from schemas.adapters.draft import settle, stamp
from schemas.adapters.read import records
from schemas.decode import EventRecord, InvalidEvent, decode_line, instant
from schemas.event import Event, EventName
from schemas.records import Control
from schemas.suspect import suspect

PROVIDES = frozenset(info.alias or name for name, info in Event.model_fields.items())
KINDS = frozenset(get_args(EventName))

MIN_BLOCK = 8  # bytes; a shorter one is no event
_HASHED = (
    rb"api_key\.id|idempotency_key\.id|tool\.args\.hash|content\.input\.hash|content\.output\.hash"
)
_RAW_ID = re.compile(rb'"(?:' + _HASHED + rb')"\s*:\s*"(?!hmac:[0-9a-f]{16}")')
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(EventRecord)
_SECRET = re.compile(SECRET.pattern.encode())
_EMAIL = re.compile(EMAIL.pattern.encode())


def is_clean(block: bytes) -> bool:
    """Whether a block of NDJSON may pass as it is: nothing in it even looks like a secret."""
    objects = len(block) >= MIN_BLOCK and block[:1] == b"{"
    return objects and not suspect(np.frombuffer(block, np.uint8))


def adapt(body: bytes, context: Context) -> Adapted:
    """Canonical events of a body. Control records are not taken from a source."""
    events: list[bytes] = []
    rejections = Rejections()
    for index, found in enumerate(records(body)):
        if found.reason:
            rejections.add("", found.reason, found.raw, index)
            continue
        try:
            events.append(_line(found.value, found.raw, context, rejections.full))
        except Refused as error:
            rejections.add(error.field, error.reason, found.raw, index)
        except RecursionError:
            rejections.add("", "nested too deeply", found.raw, index)
    return Adapted(events, rejections.all(), 0)


def _line(value: Any, raw: bytes, context: Context, brief: bool) -> bytes:
    if not isinstance(value, dict):
        raise Refused("", "not an object")
    if "record" in value and "event.name" not in value:
        return _control(value, raw, context)
    if brief:
        _glanced(raw)
    record = _checked(raw)
    if context.source and "ingest.source" not in value:
        record.ingest_source = context.source
    if context.observed is None and not _needs_care(raw):
        return msgspec.json.encode(record)
    values = msgspec.to_builtins(record)
    values = {name: settle(name, item, context.pepper) for name, item in values.items()}
    if context.observed is not None:
        stamp(values, context.observed)
    line = msgspec.json.encode(values)
    _checked(line)
    return line


def _control(value: dict[str, Any], raw: bytes, context: Context) -> bytes:
    if not context.controls or value["record"] != "control":
        raise Refused("record", "only events are taken from a source")
    try:
        return Control.model_validate_json(raw).model_dump_json().encode()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise Refused(str(first["loc"][0]) if first["loc"] else "", first["msg"]) from None


def _glanced(raw: bytes) -> None:
    """Refuses what is no event without finding out why, which is what takes long."""
    try:
        raw.decode()
        instant(_decoder.decode(raw).timestamp)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused("", "not an event") from None


def _checked(line: bytes) -> Any:
    try:
        return decode_line(line)[0]
    except InvalidEvent as error:
        raise Refused(error.field, error.reason) from None


def _needs_care(raw: bytes) -> bool:
    return not is_clean(raw) and may_hold_secret(raw)


def may_hold_secret(raw: bytes) -> bool:
    """Whether a line has to be settled member by member; exact where `is_clean` is quick."""
    return (
        _RAW_ID.search(raw) is not None
        or b"tool.destination.ids" in raw
        or b"\\" in raw  # an escape may hide a secret's shape
        or _SECRET.search(raw) is not None
        or (b"@" in raw and _EMAIL.search(raw) is not None)
    )
