"""Whatever arrives, an adapter answers with valid events and named reasons, and in time."""

import json
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.adapters import FORMATS, Context, adapt
from schemas.adapters.base import MAX_BODY_BYTES, Adapted
from schemas.decode import decode_line
from schemas.event import Event
from tests.test_adapters_goldens import SAMPLES, format_of, protobuf

CONTEXT = Context(pepper=bytes(range(32)))
NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
CANONICAL = {
    "event.schema_version": "1.0",
    "event.id": "e-1",
    "event.name": "llm.request",
    "timestamp": "2026-11-18T11:00:00Z",
}


def canonical(**over: Any) -> bytes:
    return json.dumps(CANONICAL | {name.replace("__", "."): v for name, v in over.items()}).encode()


def span(**over: Any) -> dict[str, Any]:
    return {
        "traceId": "a" * 32,
        "spanId": "b" * 16,
        "name": "chat",
        "startTimeUnixNano": "1795000000000000000",
        "endTimeUnixNano": "1795000001000000000",
        "attributes": [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}],
    } | over


def export(*spans: Any) -> dict[str, Any]:
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": list(spans)}]}]}


def reasons(adapted: Adapted) -> list[tuple[str, str]]:
    return [(rejected.field, rejected.reason) for rejected in adapted.rejections]


def call(**over: Any) -> dict[str, Any]:
    times = {"startTime": 1795000000.0, "endTime": 1795000001.0}
    return {"litellm_call_id": "c", "call_type": "acompletion", "status": "success"} | times | over


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (canonical(gen_ai__usage__input_tokens="@").replace(b'"@"', b"NaN"), "gen_ai"),
        (canonical(cost__usd="@").replace(b'"@"', b"1e400"), "cost.usd"),
        (canonical(gen_ai__usage__input_tokens=10**30), "gen_ai.usage.input_tokens"),
        (canonical(gen_ai__usage__input_tokens=-1), "gen_ai.usage.input_tokens"),
        (canonical(user__id=["x"]), "user.id"),
        (canonical(event__schema_version="9.9"), "event.schema_version"),
        (canonical(event__name="llm.surprise"), "event.name"),
        (canonical(timestamp="yesterday"), "timestamp"),
        (canonical(user__id="@").replace(b"@", b"\xff"), ""),
        (canonical(user__id="@").replace(b"@", b"\x00"), ""),
        (canonical()[:-5], ""),
        (b'{"a":' * 3000 + b"1" + b"}" * 3000, ""),
        (b'{"record":"control","id":"c-1","action":"mode"}', "record"),
        (b"17", ""),
    ],
)
def test_a_bad_line_is_kept_with_its_reason_and_its_neighbours_pass(bad: bytes, field: str) -> None:
    good = canonical(event__id="e-2")
    adapted = adapt(good + b"\n" + bad + b"\n" + canonical(event__id="e-3"), "canonical", CONTEXT)
    ids = [json.loads(line)["event.id"] for line in adapted.events]
    assert ["e-2", "e-3"] == ids
    (rejected,) = adapted.rejections
    assert rejected.reason and rejected.field.startswith(field)
    assert (1, True) == (rejected.index, bad[:20] in rejected.raw)


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (call(prompt_tokens=-5), "gen_ai.usage.input_tokens"),
        (call(prompt_tokens=10**25), "gen_ai.usage.input_tokens"),
        (call(prompt_tokens=float("nan")), "gen_ai.usage.input_tokens"),
        (call(completion_tokens=1.5), "gen_ai.usage.output_tokens"),
        (call(response_cost=float("inf")), "cost.usd"),
        (call(response_cost="cheap"), "cost.usd"),
        (call(startTime=None, endTime=None), "endTime"),
        (call(endTime="soon"), "endTime"),
        (call(endTime=-1), "endTime"),
        (call(endTime=1e300), "endTime"),
        (call(model_group={"x": 1}), "gen_ai.request.model"),
        ({"hello": 1}, "call_type"),
        ([call()], ""),
        ("text", ""),
    ],
)
def test_a_bad_callback_is_kept_with_its_field(bad: Any, field: str) -> None:
    body = json.dumps([call(litellm_call_id="a"), bad, call(litellm_call_id="b")]).encode()
    adapted = adapt(body, "litellm", CONTEXT)
    assert 2 == len(adapted.events)
    assert [field] == [rejected.field for rejected in adapted.rejections]


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (span(traceId="0" * 32), "traceId"),
        (span(traceId="xyz"), "traceId"),
        (span(spanId=""), "spanId"),
        (span(endTimeUnixNano="0"), "endTimeUnixNano"),
        (span(endTimeUnixNano="never"), "endTimeUnixNano"),
        (span(endTimeUnixNano=2**63), "latency_ms"),
        (span(endTimeUnixNano=10**40), "endTimeUnixNano"),
        (
            span(
                attributes=[
                    {"key": "gen_ai.usage.input_tokens", "value": {"doubleValue": float("nan")}}
                ]
            ),
            "gen_ai.usage.input_tokens",
        ),
        (
            span(attributes=[{"key": "gen_ai.usage.input_tokens", "value": {"intValue": "x"}}]),
            "intValue",
        ),
        ("text", ""),
        (17, ""),
    ],
)
def test_a_bad_span_is_kept_with_its_field(bad: Any, field: str) -> None:
    body = json.dumps(export(span(spanId="1" * 16), bad, span(spanId="2" * 16))).encode()
    adapted = adapt(body, "otlp-traces", CONTEXT)
    assert 2 == len(adapted.events)
    assert [(field, 1)] == [(r.field, r.index) for r in adapted.rejections]


@pytest.mark.parametrize("junk", [b"tru", b"[" * 5000 + b"]" * 5000, b'"\xff"', b'"\x00"', b"01"])
def test_a_span_that_is_no_json_does_not_cost_its_neighbours(junk: bytes) -> None:
    document = export(span(spanId="1" * 16), span(extra="@"), span(spanId="2" * 16))
    body = json.dumps(document).encode().replace(b'"@"', junk)
    adapted = adapt(body, "otlp-traces", CONTEXT)
    assert (2, 1) == (len(adapted.events), len(adapted.rejections))


def test_a_truncated_export_gives_what_came_whole() -> None:
    body = json.dumps(export(span(spanId="1" * 16), span(spanId="2" * 16))).encode()
    adapted = adapt(body[:-40], "otlp-traces", CONTEXT)
    assert (1, 1) == (len(adapted.events), len(adapted.rejections))


def test_a_broken_record_in_protobuf_does_not_cost_its_neighbours() -> None:
    document = export(span(spanId="1" * 16), span(name="@@@@"), span(spanId="2" * 16))
    document["resourceSpans"][0]["resource"]["attributes"] = []
    for item in document["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        item |= {"kind": 3, "status": {}}
    body = protobuf(document).replace(b"@@@@", b"\xff\xff\xff\xff")
    adapted = adapt(body, "otlp-traces", CONTEXT)
    assert (2, [("", "not valid protobuf")]) == (len(adapted.events), reasons(adapted))


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_a_body_that_is_too_large_is_one_rejection(format: str) -> None:
    adapted = adapt(b" " * (MAX_BODY_BYTES + 1), format, CONTEXT)
    assert (0, 1) == (len(adapted.events), len(adapted.rejections))
    assert "67108864 bytes" in adapted.rejections[0].reason
    assert 4096 == len(adapted.rejections[0].raw)


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_an_empty_body_is_nothing(format: str) -> None:
    assert Adapted([], [], 0) == adapt(b" \n", format, CONTEXT)


def test_an_event_far_ahead_of_its_arrival_is_refused() -> None:
    observed = Context(pepper=bytes(32), observed=NOW)
    ahead = (NOW + timedelta(minutes=5, seconds=1)).isoformat()
    just = (NOW + timedelta(minutes=5)).isoformat()
    body = b"\n".join(
        canonical(event__id=f"e-{n}", timestamp=text)
        for n, text in enumerate([ahead, just, "2100-01-01T00:00:00Z", "1970-01-01T00:00:00Z"])
    )
    adapted = adapt(body, "canonical", observed)
    assert [("timestamp", "clock_ahead")] * 2 == reasons(adapted)
    assert ["e-1", "e-3"] == [json.loads(line)["event.id"] for line in adapted.events]
    assert {"2026-11-18T12:00:00Z"} == {
        json.loads(line)["observed_timestamp"] for line in adapted.events
    }


@pytest.mark.parametrize("format", ["litellm", "otlp-traces"])
def test_every_format_is_held_to_the_clock(format: str) -> None:
    body = json.dumps(
        call() if format == "litellm" else export(span()),
    ).encode()
    early = Context(pepper=bytes(32), observed=NOW - timedelta(days=3))
    assert [("timestamp", "clock_ahead")] == reasons(adapt(body, format, early))


def test_long_texts_are_cut_and_stay_distinct() -> None:
    body = json.dumps([call(model_group="m" * 1000 + tail) for tail in "ab"]).encode()
    models = [json.loads(e)["gen_ai.request.model"] for e in adapt(body, "litellm", CONTEXT).events]
    assert ({256}, 2) == ({len(model) for model in models}, len(set(models)))


def mutated(body: bytes, chance: random.Random) -> bytes:
    broken = bytearray(body)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(broken) + 1)
        match chance.randrange(5):
            case 0:
                del broken[at:]
                broken += b"{"
            case 1:
                broken[at : at + 1] = bytes([chance.randrange(256)])
            case 2:
                del broken[at : at + chance.randrange(60)]
            case 3:
                broken[at:at] = broken[: chance.randrange(80)]
            case _:
                broken[at:at] = chance.choice([b"NaN", b"[" * 1500, b"\x00", b'"', b"}", b"-1e999"])
    return bytes(broken)


def bodies(path: Path) -> list[bytes]:
    document = json.loads(path.read_bytes())
    found = [json.dumps(document).encode(), path.read_bytes()]
    return [*found, protobuf(document)] if "otlp" in path.name else found


def survives(path: Path, times: int) -> None:
    for number, body in enumerate(bodies(path)):
        chance = random.Random(f"{path.name}{number}")
        for _ in range(times):
            adapted = adapt(mutated(body, chance), format_of(path), CONTEXT)
            for line in adapted.events:
                decode_line(line)
            assert all(rejected.reason for rejected in adapted.rejections)
            if adapted.events:
                assert Event.model_validate_json(adapted.events[0]).event_id


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_random_damage_never_raises_and_never_makes_an_invalid_event(path: Path) -> None:
    began = time.monotonic()
    survives(path, 40)
    assert time.monotonic() - began < 30


@pytest.mark.slow
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_ten_thousand_random_damages_are_survived(path: Path) -> None:
    survives(path, 5_000)
    assert path.exists()
