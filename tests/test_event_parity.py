"""The pydantic event and the fast decoder agree on every input: accept, reject, and value."""

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.decode import InvalidEvent, decode_line, instant
from schemas.event import MAX_COUNT, Event

BASE: dict[str, Any] = {
    "event.schema_version": "1.0",
    "event.id": "e-1",
    "event.name": "llm.request",
    "timestamp": "2026-10-01T00:00:00.123456Z",
}
WIRE = {name: info.alias or name for name, info in Event.model_fields.items()}

odd_numbers = st.sampled_from(
    [0, -1, 1, 2**31, 2**53, 2**63, 2**64, 10**30, MAX_COUNT, MAX_COUNT + 1, True, 999, 1000]
) | st.sampled_from([0.0, -0.0, 1.0, 1.5, 1e6, 1e6 + 1, 1e22, 5e-324, float("nan"), float("inf")])
odd_texts = st.sampled_from(
    ["", "x", "x" * 256, "x" * 257, "x" * 1024, "x" * 1025, "é" * 256, "\x00", "1", "ok", "true"]
) | st.sampled_from(
    ["hmac:0123456789abcdef", "llm.request", "2026-10-01T00:00:00Z", "🦊" * 256, "🦊" * 257]
)
TIMES = """2026-10-01T00:00:00Z 2026-10-01T00:00:00.1+02:00 2026-10-01T00:00:00 2026-10-01 now
2026-02-30T00:00:00Z 2100-01-01T00:00:00Z 1970-01-01T00:00:00Z 1759276800 2026-10-01t00:00:00z
2026-10-01T24:00:00Z 2026-10-01T23:59:60Z 0001-01-01T00:00:00Z 2026-10-01T00:00:00+00:00
2026-10-01T00:00:00.123456789Z 2026-10-01T00:00:00.Z 9999-12-31T23:59:59-23:59"""
odd_times = st.sampled_from([*TIMES.split(), "2026-10-01 00:00:00Z"])
simple = st.none() | st.booleans() | odd_numbers | odd_texts | odd_times | st.integers() | st.text()
values = simple | st.lists(simple, max_size=3) | st.dictionaries(st.text(), simple, max_size=2)
events = st.dictionaries(st.sampled_from([*WIRE.values(), "surprise"]), values, max_size=6)


def slow(line: bytes) -> dict[str, Any] | None:
    try:
        event = Event.model_validate_json(line)
    except (ValidationError, RecursionError):
        return None
    return {name: getattr(event, name) for name in WIRE}


def fast(line: bytes) -> dict[str, Any] | None:
    try:
        record, _ = decode_line(line)
    except InvalidEvent:
        return None
    found = {name: getattr(record, name) for name in WIRE}
    return found | {"timestamp": instant(record.timestamp)}


def agree(line: bytes) -> dict[str, Any] | None:
    expected = slow(line)
    assert expected == fast(line), line[:300]
    return expected


@settings(max_examples=600, deadline=None)
@given(events)
def test_any_fields_with_any_values_are_judged_alike(fields: dict[str, Any]) -> None:
    agree(json.dumps(BASE | fields).encode())
    agree(json.dumps(BASE | fields, ensure_ascii=True, indent=1).encode("ascii"))


@pytest.mark.parametrize("name", sorted(WIRE.values()))
@settings(max_examples=10, deadline=None)
@given(value=values)
def test_every_field_alone_is_judged_alike(name: str, value: Any) -> None:
    agree(json.dumps(BASE | {name: value}).encode())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_judged_alike(line: bytes) -> None:
    assert None is agree(line)


@pytest.mark.parametrize(
    "value",
    [
        *("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e22", "1.0", "12.0", "1.5", "01"),
        *("-0", "9" * 30, "1E2", '"\\ud800"', '"\\udc00x"', '"\\ud83d\\ude00"', "tru", "'x'"),
        *('"\\u0000"', "\x00", "null", "[" * 3000 + "]" * 3000, '{"a":' * 3000 + "1" + "}" * 3000),
    ],
)
@pytest.mark.parametrize("field", ["gen_ai.usage.input_tokens", "cost.usd", "user.id", "unknown"])
def test_literals_no_writer_would_send_are_judged_alike(field: str, value: str) -> None:
    line = json.dumps(BASE | {field: "@"}).replace('"@"', value).encode()
    agree(line)


@pytest.mark.parametrize("tail", [b"", b" ", b"\n", b"x", b"{}", b"\x00", b"\xef\xbb\xbf", b","])
def test_what_surrounds_an_event_is_judged_alike(tail: bytes) -> None:
    line = json.dumps(BASE).encode()
    agree(line + tail)
    agree(tail + line)


def test_invalid_utf_8_is_judged_alike_wherever_it_stands() -> None:
    for name in ("user.id", "surprise"):
        line = json.dumps(BASE | {name: "@"}).encode().replace(b"@", b"\xff\xfe")
        assert None is agree(line)


def test_an_ordinary_event_is_accepted_by_both() -> None:
    found = agree(json.dumps(BASE | {"gen_ai.usage.input_tokens": 3, "cost.usd": 1}).encode())
    assert found is not None and isinstance(found["timestamp"], datetime)
    assert (3, 1.0) == (found["input_tokens"], found["cost_usd"])


def test_repeated_members_are_read_alike() -> None:
    line = json.dumps(BASE).encode()[:-1] + b',"user.id":"a","user.id":"b"}'
    found = agree(line)
    assert found is not None and "b" == found["user_id"]


def test_thousands_of_digits_are_refused_in_every_member_we_know() -> None:
    """In a member we do not know only pydantic notices; the fast decoder does not look into it."""
    for name in ("gen_ai.usage.input_tokens", "cost.usd", "user.id"):
        line = json.dumps(BASE | {name: "@"}).replace('"@"', "9" * 5000).encode()
        assert None is agree(line)
