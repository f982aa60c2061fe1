"""Findings as OpenTelemetry log records."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)

from alerts.base import Rejected, RetryLater
from alerts.otlp_logs import OtlpLogsSink, to_record
from alerts.posting import Poster
from schemas.finding import LANES, Lane
from tests.alerts_fakes import (
    Answer,
    Receiver,
    Request,
    deliveries,
    finding,
    golden,
    hostile,
    receiving,
    rich,
)
from tests.ocsf_schema import problems

CLIENT = httpx.Client()


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with receiving() as receiver:
        receiver.usual = Answer(200, b"")
        yield receiver


def sink(collector: Receiver, token: str | None = None, **options: Any) -> OtlpLogsSink:
    poster = Poster(client=CLIENT, timeout_s=5)
    read = (lambda: token) if token else None
    return OtlpLogsSink("otel", collector.url, read, poster=poster, **options)


def records(request: Request) -> list[Any]:
    told = ExportLogsServiceRequest.FromString(request.body)
    return [
        record
        for resource in told.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


def attributes(record: Any) -> dict[str, Any]:
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in record.attributes
    }


def test_a_batch_is_one_gzipped_protobuf_request(collector: Receiver) -> None:
    sink(collector).send(deliveries(finding("a"), finding("b")))
    (request,) = collector.requests
    assert ("/v1/logs", "application/x-protobuf", "gzip", None) == (
        request.path,
        request.headers["Content-Type"],
        request.headers["Content-Encoding"],
        request.headers.get("Authorization"),
    )
    assert ["a#1", "b#1"] == [attributes(each)["tripmeter.key"] for each in records(request)]


def test_the_record_is_what_the_golden_file_says() -> None:
    record = to_record(deliveries(rich())[0])
    told = {
        "time": record.time_unix_nano,
        "severity": [record.severity_number, record.severity_text],
        "event": record.event_name,
        "attributes": attributes(record),
    }
    assert (golden("otlp-log.json", told), []) == (
        told,
        problems(json.loads(record.body.string_value)),
    )


@pytest.mark.parametrize("lane", LANES)
def test_the_nastiest_finding_is_a_record(lane: Lane) -> None:
    record = to_record(deliveries(hostile(lane))[0])
    assert [] == problems(json.loads(record.body.string_value))


def test_a_token_is_a_bearer_or_stands_alone_in_its_header(collector: Receiver) -> None:
    sink(collector, "T").send(deliveries(finding()))
    sink(collector, "T", token_header="X-Api-Key").send(deliveries(finding()))
    assert ("Bearer T", "T") == (
        collector.requests[0].headers["Authorization"],
        collector.requests[1].headers["X-Api-Key"],
    )


@pytest.mark.parametrize(
    "body",
    [
        ExportLogsServiceResponse(
            partial_success=ExportLogsPartialSuccess(rejected_log_records=1, error_message="odd")
        ).SerializeToString(),
        b'{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"odd"}}',
    ],
)
def test_a_partial_success_is_bisected(collector: Receiver, body: bytes) -> None:
    collector.answers = [Answer(200, body)]
    with pytest.raises(Rejected, match="1 records were refused: odd"):
        sink(collector).send(deliveries(finding("a"), finding("b")))


@pytest.mark.parametrize("body", [b"", b"{}", b'{"partialSuccess":{}}', b"ok"])
def test_every_way_to_say_yes_is_understood(collector: Receiver, body: bytes) -> None:
    collector.answers = [Answer(200, body)]
    sink(collector).send(deliveries(finding()))
    assert 1 == len(collector.requests)


@pytest.mark.parametrize(
    ("status", "operator"), [(401, True), (404, True), (429, False), (502, False), (504, False)]
)
def test_what_is_not_taken_comes_again(collector: Receiver, status: int, operator: bool) -> None:
    collector.answers = [Answer(status, b"", {"Retry-After": "4"})]
    with pytest.raises(RetryLater) as caught:
        sink(collector).send(deliveries(finding()))
    assert (operator, 4.0) == (caught.value.operator, caught.value.after_s)


def test_a_look_at_the_receiver_sends_no_record(collector: Receiver) -> None:
    assert "takes an empty request" == sink(collector).probe()
    assert [] == records(collector.requests[0])
