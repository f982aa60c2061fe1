"""What was refused is kept so that it can be converted again: with all that it was read with."""

import json
from datetime import timedelta
from typing import Any

import pytest

from schemas.adapters import Context, adapt
from schemas.adapters.base import MAX_RESOURCE_BYTES, Rejected
from schemas.adapters.wire import field, parts
from tests.test_adapters_bad_input import NOW, export, span
from tests.test_adapters_calls import attributes
from tests.test_adapters_goldens import protobuf

PEPPER = bytes(range(32))
TOO_EARLY = Context(PEPPER, observed=NOW - timedelta(days=3))  # events look ahead of the clock
LATER = Context(PEPPER, observed=NOW + timedelta(days=3))


def document(count: int, **resource: str) -> dict[str, Any]:
    spans = [span(spanId=f"{n:016x}", kind=3, status={}) for n in range(1, count + 1)]
    made = export(*spans)
    made["resourceSpans"][0]["resource"] = {"attributes": attributes(**resource)}
    return made


def written(made: dict[str, Any], encoding: str) -> bytes:
    return protobuf(made) if encoding == "protobuf" else json.dumps(made).encode()


def refused(body: bytes, context: Context = TOO_EARLY) -> list[Rejected]:
    adapted = adapt(body, "otlp-traces", context)
    assert [] == adapted.events
    return adapted.rejections


def again(rejections: list[Rejected]) -> list[bytes]:
    events = []
    for rejected in rejections:
        adapted = adapt(rejected.raw, "otlp-traces", LATER)
        assert [] == adapted.rejections
        events += adapted.events
    return events


@pytest.mark.parametrize("encoding", ["json", "protobuf"])
@pytest.mark.parametrize("singly", [20, 3])
def test_a_refused_span_is_kept_with_its_resource(
    monkeypatch: pytest.MonkeyPatch, encoding: str, singly: int
) -> None:
    monkeypatch.setattr("schemas.adapters.base.MAX_REJECTIONS", singly)
    body = written(document(8, tenant__id="acme", service__name="checkout"), encoding)
    rejections = refused(body)
    assert min(8, singly + 1) == len(rejections)
    events = again(rejections)
    assert adapt(body, "otlp-traces", LATER).events == events
    assert {"acme"} == {json.loads(event)["tenant.id"] for event in events}


def test_a_refused_log_record_is_kept_with_its_resource() -> None:
    record = {
        "traceId": "a" * 32,
        "spanId": "b" * 16,
        "timeUnixNano": "1795000000000000000",
        "eventName": "gen_ai.client.inference.operation.details",
        "attributes": attributes(gen_ai__operation__name="chat", gen_ai__request__model="gpt-4o"),
    }
    scope = {"scopeLogs": [{"logRecords": [record]}]}
    resource = {"resource": {"attributes": attributes(tenant__id="acme")}}
    for encoding in ("json", "protobuf"):
        body = written({"resourceLogs": [resource | scope]}, encoding)
        (rejected,) = adapt(body, "otlp-logs", TOO_EARLY).rejections
        expected = adapt(body, "otlp-logs", LATER).events
        assert (1, expected) == (len(expected), adapt(rejected.raw, "otlp-logs", LATER).events)


@pytest.mark.parametrize("encoding", ["json", "protobuf"])
def test_a_span_whose_resource_is_too_long_to_keep_is_not_taken_without_it(encoding: str) -> None:
    body = written(document(2, tenant__id="acme", k8s="x" * MAX_RESOURCE_BYTES), encoding)
    for rejected in refused(body):
        assert len(rejected.raw) < 1000
        assert [] == adapt(rejected.raw, "otlp-traces", LATER).events


def test_a_span_of_a_broken_document_is_kept_with_its_resource() -> None:
    body = json.dumps(document(2, tenant__id="acme")).encode()[:-60]  # inside the second span
    whole, broken = refused(body)
    (event,) = again([whole])
    assert ("acme", "not valid JSON") == (json.loads(event)["tenant.id"], broken.reason)


def test_a_group_that_breaks_off_keeps_the_resource_it_began_with() -> None:
    (group,) = parts(protobuf(document(2, tenant__id="acme")), 1)
    assert isinstance(group, bytes)
    adapted = adapt(field(1, group + b"\xff"), "otlp-traces", LATER)
    assert ["acme", "acme"] == [json.loads(event)["tenant.id"] for event in adapted.events]
    assert ["not valid protobuf"] == [rejected.reason for rejected in adapted.rejections]


@pytest.mark.parametrize(
    "body",
    [
        b'{"resourceSpans":[' + b",".join([b"1"] * 10_000) + b"]}",
        b'{"resourceSpans":[{"scopeSpans":[' + b",".join([b"1"] * 10_000) + b"]}]}",
        field(1, field(1, b"\xff") * 10_000),
    ],
    ids=["groups", "scopes", "resources"],
)
def test_many_odd_parts_of_one_body_do_not_keep_the_body_many_times(body: bytes) -> None:
    assert sum(len(rejected.raw) for rejected in refused(body)) < 64 * len(body)
