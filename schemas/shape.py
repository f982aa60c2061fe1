"""What a line may hold, as tables for the fast scanner: derived from the pydantic model.

Every field has a number, its place in `Event`. The tables say, by that number, what kind of value
it takes and within which bounds.
"""

import types
from datetime import datetime
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import numpy as np
import numpy.typing as npt

from schemas.decode import WIRE, constraints
from schemas.event import MAX_COST_USD, Event
from schemas.fingerprint import bytes_of, fingerprint
from schemas.scan import AMOUNT, COUNT, FLAG, INSTANT, KEY_PLACES, LIST, TEXT, WORD

FIELDS = {name: number for number, name in enumerate(Event.model_fields)}
"""Attribute of an event -> its number."""
NANO, MILLI = 1e9, 1e3  # amounts become integers: dollars in billionths, durations in thousandths


class Shape(NamedTuple):
    """Tables by field number, but for the last five.

    Attributes:
        kind: what the value is.
        optional: whether it may be null.
        least, most: of a text's length, a count or an amount, or of a list's members' lengths.
        scale: by which an amount is multiplied.
        members: of a list, at most.
        key: first byte of the wire key in `letters`; one more entry ends the last.
        word: first of the allowed words in `words`; one more entry ends the last.
        words: first byte of each word in `letters`; one more entry ends the last.
        letters: all keys and words.
        places: field by fingerprint of its key, open addressing; -1 is empty.
        required: the fields that must come.
    """

    kind: npt.NDArray[np.int64]
    optional: npt.NDArray[np.bool_]
    least: npt.NDArray[np.int64]
    most: npt.NDArray[np.int64]
    scale: npt.NDArray[np.float64]
    members: npt.NDArray[np.int64]
    key: npt.NDArray[np.int64]
    word: npt.NDArray[np.int64]
    words: npt.NDArray[np.int64]
    letters: npt.NDArray[np.uint8]
    places: npt.NDArray[np.int64]
    required: npt.NDArray[np.int64]


class _Field(NamedTuple):
    kind: int
    optional: bool
    least: int = 0
    most: int = 0
    scale: float = 1.0
    members: int = 0
    words: tuple[str, ...] = ()


def _field(annotation: Any, metadata: tuple[Any, ...]) -> _Field:
    origin = get_origin(annotation)
    if hasattr(annotation, "__metadata__"):
        inner, *rules = get_args(annotation)
        return _field(inner, (*metadata, *rules))
    if origin in (Union, types.UnionType):
        (inner,) = (member for member in get_args(annotation) if member is not type(None))
        return _field(inner, metadata)._replace(optional=True)
    bounds = constraints(metadata)
    if origin is Literal:
        return _Field(WORD, False, words=get_args(annotation))
    if origin is tuple:
        inside = _field(get_args(annotation)[0], ())
        return inside._replace(kind=LIST, members=bounds["max_length"])
    if annotation is str:
        return _Field(TEXT, False, bounds.get("min_length", 0), bounds["max_length"])
    if annotation is int:
        return _Field(COUNT, False, bounds["ge"], bounds["le"])
    if annotation is float:
        scale = NANO if bounds["le"] == MAX_COST_USD else MILLI
        return _Field(AMOUNT, False, int(bounds["ge"]), int(bounds["le"]), scale)
    return {bool: _Field(FLAG, False), datetime: _Field(INSTANT, False)}[annotation]


def _make() -> Shape:
    fields = [_field(info.annotation, tuple(info.metadata)) for info in Event.model_fields.values()]
    keys = [WIRE[name] for name in FIELDS]
    words = [word for field in fields for word in field.words]
    letters = "".join(keys + words)
    ends = np.cumsum([0, *map(len, keys), *map(len, words)])
    places = np.full(KEY_PLACES, -1, np.int64)
    for number, key in enumerate(keys):
        place = int(fingerprint(bytes_of(key), 0, len(key))) % KEY_PLACES
        while places[place] >= 0:
            place = (place + 1) % KEY_PLACES
        places[place] = number
    required = [FIELDS[name] for name, info in Event.model_fields.items() if info.is_required()]
    return Shape(
        kind=np.array([field.kind for field in fields], np.int64),
        optional=np.array([field.optional for field in fields], np.bool_),
        least=np.array([field.least for field in fields], np.int64),
        most=np.array([field.most for field in fields], np.int64),
        scale=np.array([field.scale for field in fields], np.float64),
        members=np.array([field.members for field in fields], np.int64),
        key=ends[: len(keys) + 1],
        word=np.cumsum([0, *(len(field.words) for field in fields)]),
        words=ends[len(keys) :],
        letters=bytes_of(letters),
        places=places,
        required=np.array(required, np.int64),
    )


SHAPE = _make()


def words_of(name: str) -> tuple[str, ...]:
    """The words a field may hold, in the order in which they are counted from 1."""
    info = Event.model_fields[name]
    return _field(info.annotation, tuple(info.metadata)).words
