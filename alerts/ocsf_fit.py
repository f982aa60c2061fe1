"""A record that stays below a receiver's limit, shortened where it hurts least, and marked so."""

import json
from collections.abc import Callable
from typing import Any

import msgspec

Record = dict[str, Any]
KEPT_EVENTS = 3  # of the evidence, in the first step
LONGEST_TEXTS = (256, 64, 24)  # characters of any text, in the last steps
LONGEST_ID = 64


def encoded(record: Record) -> bytes:
    """One line of JSON in ASCII: nothing in it can end a line, hide or reorder text."""
    try:
        line = msgspec.json.encode(record)
    except (OverflowError, UnicodeEncodeError):  # beyond 64 bits, or half a character
        line = b"\xff"
    return line if line.isascii() else json.dumps(record, separators=(",", ":")).encode()


def fitted(record: Record, limit: int) -> bytes:
    """The record as one line of at most `limit` bytes (4096 or more).

    What goes first: copies of events but the first few, then all of them, then analyses and the
    runbook, then the ends of long texts. Such a record says `unmapped.truncated`.
    """
    line = encoded(record)
    for step in _STEPS:
        if len(line) <= limit:
            break
        record = step({**record, "unmapped": {**record.get("unmapped", {}), "truncated": True}})
        line = encoded(record)
    return line


def _few_events(record: Record) -> Record:
    return {**record, "evidences": record["evidences"][: 1 + KEPT_EVENTS]}


def _no_events(record: Record) -> Record:
    info = {name: value for name, value in record["finding_info"].items() if name != _EVENTS}
    seen = {"name": "what was seen", "data": {}}
    observables = record["observables"][:1]
    return {**record, "finding_info": info, "evidences": [seen], "observables": observables}


def _no_extras(record: Record) -> Record:
    return {
        name: value
        for name, value in record.items()
        if name not in ("anomaly_analyses", "remediation")
    } | {"unmapped": {**record["unmapped"], "techniques": []}}


def _shorter(longest: int) -> Callable[[Record], Record]:
    def shorten(value: Any) -> Any:
        match value:
            case str():
                return value if len(value) <= longest else value[: longest - 1] + "…"
            case list():
                return [shorten(each) for each in value[:20]]
            case dict():
                return {name: shorten_named(name, each) for name, each in value.items()}
        return value

    def shorten_named(name: str, value: Any) -> Any:
        """An id stays whole, or nobody finds the record again; one of others' making is cut."""
        whole = name == "uid" and isinstance(value, str) and len(value) <= LONGEST_ID
        return value if whole else shorten(value)

    def step(record: Record) -> Record:
        result: Record = shorten(record)
        return result

    return step


_EVENTS = "related_events"
_STEPS = (_few_events, _no_events, _no_extras, *map(_shorter, LONGEST_TEXTS))
