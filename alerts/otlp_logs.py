"""Findings as OpenTelemetry log records, in protobuf over HTTP.

The messages are the official ones (opentelemetry-proto); the SDK's exporter is not used, because it
drops what it cannot send.
"""

import gzip
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from alerts.base import Delivery, Rejected, RetryLater
from alerts.destination_base import HttpSettings, Line, OptionalTokenSettings, Place
from alerts.ocsf import PRODUCT_VERSION, body_of
from alerts.ocsf_fit import fitted
from alerts.posting import Answer, Poster, in_pieces, judge
from schemas.finding import Severity

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import KeyValue
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

MAX_BODY = 3_500_000  # bytes of one request before compression; collectors take 4 MiB and more
MAX_OCSF = 256 * 1024  # bytes of one record's body
SEVERITIES = {  # OpenTelemetry's numbers: INFO, INFO4, WARN, ERROR, FATAL
    Severity.INFO: 9,
    Severity.LOW: 12,
    Severity.MEDIUM: 13,
    Severity.HIGH: 17,
    Severity.CRITICAL: 21,
}
HINT = "is the url that of an OTLP/HTTP receiver?"


class OtlpLogsSettings(HttpSettings, OptionalTokenSettings):
    """An OpenTelemetry receiver of logs (OTLP, protobuf over HTTP)."""

    type: Literal["otlp_logs"]
    url: Line = Field(description="such as https://collector.example.com:4318")
    token_header: Line = Field(
        default="Authorization", description="header of the token; there it follows Bearer"
    )

    def sink(self, name: str, place: Place) -> "OtlpLogsSink":
        """Its sink."""
        secret = self.secret(place.base)
        return OtlpLogsSink(
            name,
            self.url,
            secret.read if secret else None,
            poster=self.poster(place),
            token_header=self.token_header,
        )


class OtlpLogsSink:
    """One receiver.

    Args:
        url: without `/v1/logs`.
        token: reads the token; None sends none.
    """

    batch: ClassVar[int] = 500

    def __init__(
        self,
        name: str,
        url: str,
        token: Callable[[], str] | None,
        *,
        poster: Poster,
        token_header: str = "Authorization",  # noqa: S107  (the name of a header)
    ) -> None:
        self.name = name
        self._url = url.rstrip("/") + "/v1/logs"
        self._token = token
        self._poster = poster
        self._header = token_header

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Posts the records.

        Raises:
            RetryLater, Rejected, Partly: as the receiver's status says, or its partial success.
        """
        records = [(each.key, to_record(each).SerializeToString()) for each in deliveries]
        in_pieces(records, MAX_BODY, lambda piece: judge_answer(self._post(to_request(piece))))

    def probe(self) -> str:
        """Posts a request without records.

        Raises:
            RetryLater: it is not taken.
        """
        try:
            judge_answer(self._post(to_request([])))
        except Rejected as error:
            raise RetryLater(f"{error}; {HINT}", operator=True) from None
        return "takes an empty request"

    def close(self) -> None:
        """Closes the connections."""
        self._poster.close()

    def _post(self, body: bytes) -> Answer:
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
        if self._token is not None:
            bearer = "Bearer " if self._header.lower() == "authorization" else ""
            headers[self._header] = bearer + self._token()
        return self._poster.post(self._url, gzip.compress(body, 6, mtime=0), headers)


def to_record(delivery: Delivery) -> "LogRecord":
    """One log record; its body is the OCSF record as JSON."""
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

    finding, body = delivery.finding, body_of(delivery)
    nanoseconds = body["time"] * 1_000_000
    return LogRecord(
        time_unix_nano=nanoseconds,
        observed_time_unix_nano=nanoseconds,
        severity_number=SEVERITIES[finding.severity],  # type: ignore[arg-type]  # an enum's number
        severity_text=finding.severity.value,
        event_name="security.finding",
        body=AnyValue(string_value=fitted(body, MAX_OCSF).decode()),
        attributes=_attributes(
            {
                "security_rule.name": finding.detector,
                "security_rule.description": finding.title,
                "security_rule.category": finding.family,
                "security_rule.version": finding.provenance.detector_version,
                "tenant.id": finding.tenant,
                "tripmeter.key": delivery.key,
                "tripmeter.finding.id": finding.id,
                "tripmeter.finding.revision": finding.revision,
                "tripmeter.finding.activity": delivery.activity,
                "tripmeter.entity.lane": finding.entity.lane,
                "tripmeter.entity.id": finding.entity.id,
                "tripmeter.cost_usd": finding.cost_usd,
            }
        ),
    )


def to_request(records: Sequence[bytes]) -> bytes:
    """A request around records that are written already."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource

    named = {"service.name": "tripmeter", "service.version": PRODUCT_VERSION}
    scope = ScopeLogs(
        scope=InstrumentationScope(name="tripmeter", version=PRODUCT_VERSION),
        log_records=[LogRecord.FromString(record) for record in records],
    )
    around = ResourceLogs(resource=Resource(attributes=_attributes(named)), scope_logs=[scope])
    request = ExportLogsServiceRequest(resource_logs=[around] if records else [])
    return bytes(request.SerializeToString())


def judge_answer(answer: Answer) -> None:
    """Returns when every record was taken.

    Raises:
        RetryLater, Rejected: as the status says; some records were refused.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

    judge(answer, HINT)
    try:
        told = ExportLogsServiceResponse.FromString(answer.body).partial_success
        refused, reason = told.rejected_log_records, told.error_message
    except DecodeError:  # receivers that were told protobuf and answer in JSON
        refused, reason = _json_partial(answer.body)
    if refused:
        raise Rejected(f"{refused} records were refused: {reason}"[:300])


def _json_partial(body: bytes) -> tuple[int, str]:
    try:
        told = json.loads(body).get("partialSuccess") or {}
        return int(told.get("rejectedLogRecords", 0)), str(told.get("errorMessage", ""))
    except (ValueError, AttributeError, TypeError, RecursionError):
        return 0, ""


def _attributes(values: dict[str, Any]) -> "list[KeyValue]":
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

    def any_value(value: Any) -> AnyValue:
        match value:
            case int():
                return AnyValue(int_value=value)
            case float():
                return AnyValue(double_value=value)
        return AnyValue(string_value=str(value))

    return [
        KeyValue(key=name, value=any_value(value))
        for name, value in values.items()
        if value is not None
    ]
