"""The fast reader of canonical events: a `msgspec.Struct` derived from the pydantic model.

A contract test holds both to the same verdict and the same value on every input. The one liberty:
`timestamp` stays text in the struct and is read for a whole block at once (`timestamps_ms`).
"""

import types
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as at
import msgspec
import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from schemas.event import AwareTimestamp, Event

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def constraints(metadata: tuple[Any, ...]) -> dict[str, Any]:
    meta: dict[str, Any] = {}
    for rule in metadata:
        match rule:
            case at.Ge(ge=low):
                meta["ge"] = low
            case at.Le(le=high):
                meta["le"] = high
            case at.MinLen(min_length=low):
                meta["min_length"] = low
            case at.MaxLen(max_length=high):
                meta["max_length"] = high
    return meta


def _fast(annotation: Any, metadata: tuple[Any, ...] = ()) -> Any:
    """The msgspec spelling of a pydantic field type."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *rules = get_args(annotation)
        return _fast(inner, (*metadata, *rules))
    if origin in (Union, types.UnionType):
        members = [_fast(member) for member in get_args(annotation)]
        return Union[tuple(members)]  # noqa: UP007  (built at run time)
    if origin is Literal or annotation is type(None):
        return annotation
    if annotation is datetime:
        return AwareTimestamp
    if origin is tuple:
        annotation = types.GenericAlias(tuple, (_fast(get_args(annotation)[0]), ...))
    meta = constraints(metadata)
    return Annotated[annotation, msgspec.Meta(**meta)] if meta else annotation


WIRE = {name: info.alias or name for name, info in Event.model_fields.items()}
"""Attribute of an event -> key on the wire."""


def _derive() -> type[msgspec.Struct]:
    fields: list[Any] = []
    for name, info in Event.model_fields.items():
        kind = str if name == "timestamp" else _fast(info.annotation, tuple(info.metadata))
        fields.append((name, kind) if info.is_required() else (name, kind, info.default))
    return msgspec.defstruct(
        "EventRecord", fields, rename=WIRE, gc=False, kw_only=True, omit_defaults=True
    )


EventRecord = _derive()
"""An `Event` as the core reads it: the same attributes, `timestamp` still as text."""

Records = list[Any]
Millis = npt.NDArray[np.int64]

_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(EventRecord)


class InvalidEvent(ValueError):
    """The bytes are not an event we know.

    Attributes:
        field: wire name of the offending field, or "" when the JSON itself is broken.
        reason: what is wrong with it; never the value.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


def decode_lines(block: bytes) -> tuple[Records, Millis]:
    """All events of a block of NDJSON, and their times in ms since 1970.

    Raises:
        msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError: if any line is bad; read
            the block line by line then.
    """
    _require_utf8(block)
    records = _decoder.decode_lines(block)
    return records, timestamps_ms([record.timestamp for record in records])


def decode(line: bytes) -> Any:
    """An event that is known to be good."""
    return _decoder.decode(line)


def decode_many(block: bytes) -> Records:
    """Events that are known to be good, one per line."""
    return _decoder.decode_lines(block)


def decode_line(line: bytes) -> tuple[Any, int]:
    """One event and its time in ms since 1970.

    Raises:
        InvalidEvent: the field and the reason, in pydantic's words, without the value.
    """
    try:
        _require_utf8(line)
        record = _decoder.decode(line)
        return record, _slow_ms(record.timestamp)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise explain(line, str(error)) from None


def _require_utf8(data: bytes) -> None:
    """The decoder does not look into members it does not know; they must be UTF-8 all the same."""
    if not data.isascii():
        data.decode()


def explain(line: bytes, fallback: str = "not an event") -> InvalidEvent:
    """Why `line` is rejected; pydantic is asked because it names the field."""
    try:
        Event.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        if first["type"] == "json_invalid":
            return InvalidEvent("", "not valid JSON")
        return InvalidEvent(".".join(map(str, first["loc"])), first["msg"])
    except RecursionError:
        return InvalidEvent("", "nested too deeply")
    return InvalidEvent("", fallback)


def instant(text: str) -> datetime:
    """An RFC 3339 instant; raises `msgspec.ValidationError`."""
    return msgspec.convert(text, AwareTimestamp)


def _slow_ms(text: str) -> int:
    return (instant(text) - EPOCH) // MILLISECOND


# `2026-10-01T00:00:00.123456Z`: the usual form, read for a whole block in a few array operations.
_FORM = b"dddd-dd-ddTdd:dd:dd.ddddddZ"
_WIDTH = len(_FORM)
_DATE = slice(0, 10)
_LOW = np.array([48 if c == ord("d") else c for c in _FORM], np.uint8)
_HIGH = np.array([57 if c == ord("d") else c for c in _FORM], np.uint8)
_HIGH[[11, 14, 17]] = ord("2"), ord("5"), ord("5")  # tens of hour, minute, second
_DAY_MS = np.zeros(_WIDTH)  # what one unit of each digit is worth, in ms
_DAY_MS[[11, 12, 14, 15, 17, 18, 20, 21, 22]] = 36e6, 36e5, 6e5, 6e4, 1e4, 1e3, 100, 10, 1
_ZERO_MS = float(_DAY_MS.sum() * 48)


def timestamps_ms(texts: list[str]) -> Millis:
    """Reads RFC 3339 instants, rounded down to the millisecond.

    Raises:
        msgspec.ValidationError: if one of them is not an instant with a zone.

    >>> timestamps_ms(["1970-01-02T00:00:00.001999Z", "1970-01-01T01:00:00+01:00"]).tolist()
    [86400001, 0]
    """
    joined = "".join(texts)
    if len(joined) == _WIDTH * len(texts) and joined.isascii() and texts:
        raw = np.frombuffer(joined.encode(), np.uint8).reshape(-1, _WIDTH)
        values = _usual_form(raw)
        if values is not None:
            return values
    return np.array([_slow_ms(text) for text in texts], np.int64)


def _usual_form(raw: npt.NDArray[np.uint8]) -> Millis | None:
    if ((raw < _LOW) | (raw > _HIGH)).any() or ((raw[:, 11] == 50) & (raw[:, 12] > 51)).any():
        return None
    in_day = (raw @ _DAY_MS - _ZERO_MS).astype(np.int64)
    try:
        if (raw[:, _DATE] == raw[0, _DATE]).all():
            return np.asarray(in_day + _date_ms(raw[0, _DATE].tobytes()), np.int64)
        dates, which = np.unique(
            np.ascontiguousarray(raw[:, _DATE]).view("S10"), return_inverse=True
        )
        midnights = np.array([_date_ms(date) for date in dates.tolist()], np.int64)
        return np.asarray(in_day + midnights[which.ravel()], np.int64)
    except ValueError:  # such as 31 February: the slow path says so properly
        return None


def _date_ms(date: bytes) -> int:
    return (datetime.fromisoformat(date.decode()).replace(tzinfo=UTC) - EPOCH) // MILLISECOND


if TYPE_CHECKING:
    Record = Event
else:
    Record = EventRecord
