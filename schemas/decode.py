"""The fast reader of canonical events: a `msgspec.Struct` derived from the pydantic model.

A contract test holds both to the same verdict and the same value on every input.
"""

import types
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as at
import msgspec
from pydantic import ValidationError

from schemas.event import AwareTimestamp, Event


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
        kind = _fast(info.annotation, tuple(info.metadata))
        fields.append((name, kind) if info.is_required() else (name, kind, info.default))
    wire = {name: info.alias or name for name, info in Event.model_fields.items()}
    return msgspec.defstruct("EventRecord", fields, rename=wire, gc=False, kw_only=True)


if TYPE_CHECKING:
    EventRecord = Event
else:
    EventRecord = _derive()

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


def decode_lines(block: bytes) -> list[Any]:
    """All events of a block of NDJSON, or `msgspec.DecodeError` if any line is bad."""
    return _decoder.decode_lines(block)


def decode_line(line: bytes) -> Any:
    """One event.

    Raises:
        InvalidEvent: the field and the reason, in pydantic's words, without the value.
    """
    try:
        return _decoder.decode(line)
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
