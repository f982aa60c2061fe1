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


def _constraints(metadata: tuple[Any, ...]) -> dict[str, Any]:
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
    meta = _constraints(metadata)
    return Annotated[annotation, msgspec.Meta(**meta)] if meta else annotation


def _derive() -> type[msgspec.Struct]:
    fields: list[Any] = []
    for name, info in Event.model_fields.items():
        kind = str if name == "timestamp" else _fast(info.annotation, tuple(info.metadata))
        fields.append((name, kind) if info.is_required() else (name, kind, info.default))
    wire = {name: info.alias or name for name, info in Event.model_fields.items()}
    return msgspec.defstruct("EventRecord", fields, rename=wire, gc=False, kw_only=True)


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
    records = _decoder.decode_lines(block)
    return records, timestamps_ms([record.timestamp for record in records])


def decode_line(line: bytes) -> tuple[Any, int]:
    """One event and its time in ms since 1970.

    Raises:
        InvalidEvent: the field and the reason, in pydantic's words, without the value.
    """
    try:
        record = _decoder.decode(line)
        return record, _slow_ms(record.timestamp)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise explain(line, str(error)) from None


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
_MARKS = np.array([i for i, c in enumerate(_FORM) if c != ord("d")])
_MARK_BYTES = np.array([c for c in _FORM if c != ord("d")], np.uint8)
_DIGITS = np.array([i for i, c in enumerate(_FORM) if c == ord("d")])
_WEIGHTS = np.zeros((_WIDTH, 7))
for _part, _places in enumerate(((0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19), (20, 23))):
    for _at in range(*_places):
        _WEIGHTS[_at, _part] = 10.0 ** (_places[1] - 1 - _at)
_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])  # 29 Feb: slow path
_BEFORE_MONTH = np.cumsum(_MONTH_DAYS) - _MONTH_DAYS


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
    digits = raw - np.uint8(48)
    if (raw[:, _MARKS] != _MARK_BYTES).any() or (digits[:, _DIGITS] > 9).any():
        return None
    parts = (digits.astype(np.float64) @ _WEIGHTS).astype(np.int64)
    year, month, day, hour, minute, second, ms = parts.T
    if not (
        ((year >= 1970) & (month >= 1) & (month <= 12) & (day >= 1)).all()
        and ((hour <= 23) & (minute <= 59) & (second <= 59)).all()
        and (day <= _MONTH_DAYS[np.minimum(month, 12)]).all()
    ):
        return None
    past = year - 1  # leap days of whole years, plus this year's once February is over
    leaps = past // 4 - past // 100 + past // 400 - 477
    leap_year = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    days = (year - 1970) * 365 + leaps + _BEFORE_MONTH[month] + (leap_year & (month > 2)) + day - 1
    return np.asarray(((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + ms, np.int64)


if TYPE_CHECKING:
    Record = Event
else:
    Record = EventRecord
