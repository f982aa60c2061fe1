"""Small samples of every dialect become exactly the events that are kept beside them.

`python tests/test_adapters_goldens.py` writes the expected events anew; read the difference.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from schemas.adapters import PROVIDES, Context, adapt, detect
from schemas.event import Event

GOLDENS = Path(__file__).parent / "goldens"
SAMPLES = sorted(GOLDENS.glob("*.json"))
CONTEXT = Context(pepper=bytes(range(32)))


def format_of(path: Path) -> str:
    return path.name.split(".")[0]


def expected_of(path: Path) -> Path:
    return path.with_suffix(".expected.ndjson")


def protobuf(document: dict[str, Any]) -> bytes:
    """The same export as protobuf, written by the OpenTelemetry classes."""
    request = (
        ExportLogsServiceRequest() if "resourceLogs" in document else ExportTraceServiceRequest()
    )
    for group in document.get("resourceSpans", document.get("resourceLogs", [])):
        logs = "scopeLogs" in group
        out = (request.resource_logs if logs else request.resource_spans).add()
        fill(out.resource.attributes, group["resource"]["attributes"])
        for scope in group["scopeLogs" if logs else "scopeSpans"]:
            inner = (out.scope_logs if logs else out.scope_spans).add()
            for item in scope["logRecords" if logs else "spans"]:
                record = (inner.log_records if logs else inner.spans).add()
                record.trace_id = bytes.fromhex(item["traceId"])
                record.span_id = bytes.fromhex(item["spanId"])
                fill(record.attributes, item["attributes"])
                if logs:
                    record.time_unix_nano = int(item["timeUnixNano"])
                    record.event_name = item.get("eventName", "")
                    continue
                record.parent_span_id = bytes.fromhex(item.get("parentSpanId", ""))
                record.name, record.kind = item["name"], item["kind"]
                record.start_time_unix_nano = int(item["startTimeUnixNano"])
                record.end_time_unix_nano = int(item["endTimeUnixNano"])
                record.status.code = item["status"].get("code", 0)
                record.status.message = item["status"].get("message", "")
                for part in item.get("events", []):
                    event = record.events.add()
                    event.name, event.time_unix_nano = part["name"], int(part["timeUnixNano"])
                    fill(event.attributes, part["attributes"])
    return request.SerializeToString()


def fill(attributes: Any, pairs: list[dict[str, Any]]) -> None:
    for pair in pairs:
        attribute = attributes.add()
        attribute.key = pair["key"]
        put(attribute.value, pair["value"])


def put(out: Any, value: dict[str, Any]) -> None:
    ((kind, content),) = value.items()
    match kind:
        case "intValue":
            out.int_value = int(content)
        case "arrayValue":
            out.array_value.SetInParent()
            for item in content["values"]:
                put(out.array_value.values.add(), item)
        case "kvlistValue":
            fill(out.kvlist_value.values, content["values"])
        case "doubleValue":
            out.double_value = content
        case "boolValue":
            out.bool_value = content
        case _:
            out.string_value = content


def told(body: bytes, format: str) -> list[dict[str, Any]]:
    adapted = adapt(body, format, CONTEXT)
    assert [] == adapted.rejections
    return [json.loads(line) for line in adapted.events]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_becomes_the_expected_events(path: Path) -> None:
    expected = [json.loads(line) for line in expected_of(path).read_text().splitlines()]
    assert expected == told(path.read_bytes(), format_of(path))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_recognised_whole_packed_tight_and_by_its_lines(path: Path) -> None:
    document = json.loads(path.read_bytes())
    tight = json.dumps(document, separators=(",", ":")).encode()
    lines = b"\n".join(
        json.dumps(item).encode()
        for item in (document if isinstance(document, list) else [document])
    )
    for body in (path.read_bytes(), tight, lines, b"\xef\xbb\xbf" + lines, b"\n " + tight):
        assert format_of(path) == detect(body)
        assert told(path.read_bytes(), format_of(path)) == told(body, format_of(path))


@pytest.mark.parametrize(
    "path", [p for p in SAMPLES if "otlp" in p.name], ids=lambda path: path.stem
)
def test_protobuf_tells_the_same_as_json(path: Path) -> None:
    body = protobuf(json.loads(path.read_bytes()))
    assert format_of(path) == detect(body)
    assert told(path.read_bytes(), format_of(path)) == told(body, format_of(path))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_every_event_is_valid_and_has_only_what_its_format_provides(path: Path) -> None:
    allowed = PROVIDES[format_of(path)] | {"event.schema_version", "ingest.source"}
    for event in told(path.read_bytes(), format_of(path)):
        assert isinstance(Event.model_validate_json(json.dumps(event)).timestamp, datetime)
        assert set(event) <= allowed, set(event) - allowed


if __name__ == "__main__":
    for sample in SAMPLES:
        events = adapt(sample.read_bytes(), format_of(sample), CONTEXT).events
        expected_of(sample).write_bytes(b"".join(line + b"\n" for line in events))
