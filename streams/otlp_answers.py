"""What an OTLP sender is told, in the encoding it spoke."""

import json
from typing import Any

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
MAX_MESSAGE = 400  # characters

_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 408: 4, 413: 8, 415: 3, 429: 8, 503: 14}
_UNKNOWN = 2
_FIELDS = {"traces": "rejectedSpans", "logs": "rejectedLogRecords"}


def exported(content_type: str, signal: str, rejected: int, message: str) -> bytes:
    """The body of a 200: empty, or how many records were refused (which must not be resent).

    Args:
        content_type: `PROTOBUF` or `JSON`.
        signal: `traces` or `logs`.
    """
    if content_type == JSON:
        partial = {_FIELDS[signal]: str(rejected), "errorMessage": message[:MAX_MESSAGE]}
        return json.dumps({"partialSuccess": partial} if rejected else {}).encode()
    from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

    answer: Any
    if signal == "traces":
        answer = trace_service_pb2.ExportTraceServiceResponse()
        if rejected:
            answer.partial_success.rejected_spans = rejected
    else:
        answer = logs_service_pb2.ExportLogsServiceResponse()
        if rejected:
            answer.partial_success.rejected_log_records = rejected
    if rejected:
        answer.partial_success.error_message = message[:MAX_MESSAGE]
    body: bytes = answer.SerializeToString()
    return body


def refused(content_type: str, status: int, message: str) -> bytes:
    """The body of a 4xx or 5xx: a `google.rpc.Status`.

    >>> refused(PROTOBUF, 503, "later")
    b'\\x08\\x0e\\x12\\x05later'
    """
    code = _CODES.get(status, _UNKNOWN)
    if content_type == JSON:
        return json.dumps({"code": code, "message": message[:MAX_MESSAGE]}).encode()
    text = message[:MAX_MESSAGE].encode()
    return bytes((0x08, code, 0x12)) + _varint(len(text)) + text


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
