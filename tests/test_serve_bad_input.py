"""Whatever is sent: it is counted and kept with a reason, and nothing else changes."""

import gzip
import json
import os
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from streams.ingest import FORMATS
from streams.otlp_answers import JSON, PROTOBUF
from streams.quarantine import Quarantine
from tests.serving import Serve

MIB = 2**20
MEMORY_BYTES = 700 * MIB  # highest resident size allowed, all limits at their defaults
MARKER = "MARKER-3f9a17c2"
CONFIG = """
[tokens.acme]
secret_file = "acme.secret"
tenants = ["acme"]
"""
ACME = "acme-secret-0123456789"


def good(**changes: Any) -> dict[str, Any]:
    return {
        "event.schema_version": "1.0",
        "event.id": "good",
        "event.name": "llm.request",
        "timestamp": datetime.now(UTC).isoformat(),
        "tenant.id": "acme",
        "gen_ai.usage.input_tokens": 10,
        **changes,
    }


def line(**changes: Any) -> bytes:
    return json.dumps(good(**changes)).encode()


BAD = {
    "truncated": line()[:60],
    "not a number": line().replace(b": 10", b": NaN"),
    "infinite": line(**{"cost.usd": 1}).replace(b'usd": 1', b'usd": 1e400'),
    "huge integer": line().replace(b": 10", b": 1" + b"0" * 400),
    "very huge integer": line().replace(b": 10", b": 1" + b"0" * 100_000),
    "negative": line(**{"gen_ai.usage.input_tokens": -1}),
    "wrong type": line(**{"event.id": 5}),
    "nested deeply": b'{"a":' * 100_000,
    "nested deeply inside": line(x=1).replace(
        b'"x": 1', b'"event.id":' + b"[" * 50_000 + b"]" * 50_000
    ),
    "invalid UTF-8": line().replace(b"good", b"\xff\xfe"),
    "NUL": line().replace(b"good", b"a\x00b"),
    "binary": bytes(range(256)) * 10,
    "a list of numbers": b"[1, 2, 3]",
    "a number": b"5",
    "brackets": b"[[[[",
    "text": b'"hello"',
    "unknown version": line(**{"event.schema_version": "99.0"}),
    "a control record": b'{"record":"control","id":"c","action":"mode","mode":"off","owner":"x",'
    b'"reason":"y","effective":"2026-01-01T00:00:00Z"}',
    "far future": line(timestamp="2100-01-01T00:00:00Z"),
    "a long id": line(**{"event.id": "x" * 100_000}),
}


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    folder = tmp_path_factory.mktemp("bad")
    (folder / "acme.secret").write_text(ACME + "\n")
    served = Serve(folder / "data", CONFIG).start()
    yield served
    served.close()


def kept(serve: Serve) -> int:
    quarantine = Quarantine(serve.data)
    count = sum(entry.times for entry in quarantine.entries(100_000))
    quarantine.close()
    return count


@pytest.mark.parametrize("name", BAD)
def test_a_bad_event_is_refused_and_kept(serve: Serve, name: str) -> None:
    before, position = kept(serve), serve.metric("tripmeter_position")
    answer = serve.post(BAD[name])
    assert 400 == answer.status_code, answer.text
    assert answer.json()["errors"][0]["reason"]
    assert kept(serve) > before
    assert serve.metric("tripmeter_position") == position


@pytest.mark.parametrize("path", ["/v1/traces", "/v1/logs", "/ingest/litellm"])
@pytest.mark.parametrize("kind", [JSON, PROTOBUF])
@pytest.mark.parametrize(
    "name",
    ["truncated", "nested deeply", "invalid UTF-8", "binary", "a number", "text", "brackets"],
)
def test_a_bad_body_is_refused_and_kept_everywhere(
    serve: Serve, path: str, kind: str, name: str
) -> None:
    before, position = kept(serve), serve.metric("tripmeter_position")
    answer = serve.post(BAD[name], path, headers={"content-type": kind})
    assert 400 == answer.status_code, answer.text
    assert kept(serve) > before
    assert serve.metric("tripmeter_position") == position


def test_good_events_beside_bad_ones_are_judged(serve: Serve) -> None:
    lines = [line(**{"event.id": f"mixed-{n}"}) for n in range(3)]
    before = serve.metric("tripmeter_position")
    answer = serve.post(b"\n".join([lines[0], BAD["truncated"], lines[1], BAD["NUL"], lines[2]]))
    assert (200, 3, 2) == (answer.status_code, answer.json()["accepted"], answer.json()["rejected"])
    serve.drained()
    assert serve.metric("tripmeter_position") == before + 3


def test_an_event_of_1970_is_late_and_moves_no_clock(serve: Serve) -> None:
    serve.post(line(**{"event.id": "now"}))
    serve.drained()
    before = serve.metric("tripmeter_judged_late_total")
    answer = serve.post(line(**{"event.id": "old", "timestamp": "1970-01-01T00:00:00Z"}))
    assert 200 == answer.status_code
    serve.drained()
    assert serve.metric("tripmeter_judged_late_total") == before + 1


def test_an_event_a_little_ahead_is_taken(serve: Serve) -> None:
    soon = (datetime.now(UTC) + timedelta(minutes=2)).isoformat()
    assert 200 == serve.post(line(**{"event.id": "soon", "timestamp": soon})).status_code


def test_large_bodies_and_bombs_are_refused_in_bounded_memory(serve: Serve) -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(bomb.compress(bytes(MIB)) for _ in range(128)) + bomb.flush()
    assert 413 == serve.post(packed, headers={"content-encoding": "gzip"}).status_code
    assert 413 == serve.post(b"x" * (64 * MIB + 1)).status_code
    assert 400 == serve.post(b"x" * (4 * MIB)).status_code
    assert peak_bytes(serve) < MEMORY_BYTES
    assert 200 == serve.get("/readyz").status_code


@pytest.mark.slow
def test_bodies_of_64_mebibytes_cost_bounded_memory(serve: Serve) -> None:
    for path in FORMATS:
        kind = {"content-type": PROTOBUF if path == "/v1/logs" else JSON}
        for piece in (b'{"a":', b"[", b"x"):
            body = piece * (64 * MIB // len(piece))
            for encoding, sent in (("identity", body), ("gzip", gzip.compress(body, 1))):
                headers = {**kind, "content-encoding": encoding}
                began = time.monotonic()
                answer = serve.post(sent, path, headers=headers, timeout=60)
                print(path, piece, encoding, f"{time.monotonic() - began:.1f} s")
                assert 400 == answer.status_code, (path, piece, encoding)
    assert peak_bytes(serve) < MEMORY_BYTES
    assert 200 == serve.get("/readyz").status_code


def peak_bytes(serve: Serve) -> int:
    status = Path(f"/proc/{serve.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def test_a_sender_cannot_write_for_another_tenant(serve: Serve) -> None:
    answer = serve.post(line(**{"tenant.id": "birch"}), token=ACME)
    assert 403 == answer.status_code
    [finding] = [json.loads(text) for *_, text in serve.findings() if b"tenant-mismatch" in text]
    assert {"token": "acme", "tenant": "birch"} == finding["evidence"]
    delivered_within(serve, "tenant-mismatch", 20.0)


def delivered_within(serve: Serve, text: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    delivered = serve.data / "findings.ocsf.ndjson"  # made when the first finding is delivered
    while not delivered.exists() or text not in delivered.read_text():
        assert time.monotonic() < deadline, f"{text} was not delivered: {serve.log}"
        time.sleep(0.05)


def test_a_wrong_token_is_told_nothing(serve: Serve) -> None:
    assert 401 == serve.post(line(), token="wrong-wrong-wrong-wrong").status_code


def marked_bodies() -> list[tuple[str, str, bytes]]:
    """Markers wherever a sender may put text: in good records, in bad ones, in names."""
    event = line(
        **{
            "event.id": "marked",
            "gen_ai.input.messages": [{"role": "user", "content": MARKER}],
            MARKER: MARKER,
            "prompt": MARKER,
        }
    )
    litellm = {
        "id": "chatcmpl-1", "litellm_call_id": "c1", "call_type": "acompletion",
        "status": "success", "startTime": 1.0e9, "endTime": 1.0e9 + 1,
        "model": "gpt-4o", "messages": [{"role": "user", "content": MARKER}],
        "response": {"choices": [{"message": {"content": MARKER}}]},
        "error_str": MARKER, "metadata": {"user_api_key_user_email": f"{MARKER}@example.com"},
    }  # fmt: skip
    attributes = [
        {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
        {"key": "gen_ai.input.messages", "value": {"stringValue": MARKER}},
        {"key": MARKER, "value": {"stringValue": MARKER}},
    ]
    span = {
        "traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1", "name": MARKER, "kind": 3,
        "startTimeUnixNano": "1", "endTimeUnixNano": "2", "attributes": attributes,
        "events": [{"name": MARKER, "attributes": attributes}],
        "status": {"code": 2, "message": MARKER},
    }  # fmt: skip
    log = {"timeUnixNano": "1", "body": {"stringValue": MARKER}, "attributes": attributes}
    return [
        ("/ingest/canonical", JSON, event),
        ("/ingest/canonical", JSON, event.replace(b'"marked"', b"5")),
        ("/ingest/canonical", JSON, MARKER.encode()),
        ("/ingest/litellm", JSON, json.dumps([litellm]).encode()),
        ("/ingest/litellm", JSON, json.dumps([{**litellm, "endTime": MARKER}]).encode()),
        ("/v1/traces", JSON, otlp("Span", "spans", span)),
        ("/v1/traces", JSON, otlp("Span", "spans", {**span, "endTimeUnixNano": MARKER})),
        ("/v1/traces", PROTOBUF, b"\x0a\x80\x01" + MARKER.encode()),
        ("/v1/logs", JSON, otlp("Log", "logRecords", log)),
    ]


def otlp(kind: str, plural: str, record: dict[str, Any]) -> bytes:
    scoped = {"scope": {"name": "test"}, plural: [record]}
    return json.dumps({f"resource{kind}s": [{"resource": {}, f"scope{kind}s": [scoped]}]}).encode()


def test_no_content_is_written_anywhere(serve: Serve) -> None:
    answers = [
        serve.post(body, path, headers={"content-type": kind}).content
        for path, kind, body in marked_bodies()
    ]
    serve.drained()
    answers.append(serve.get("/metrics").content)
    assert MARKER.encode() not in b"".join(answers)
    assert 0 == serve.stop()
    written = serve.everything()
    assert MARKER.encode() not in written
    assert MARKER.encode("utf-16-le") not in written
    plain = [f for f in serve.data.iterdir() if serve.token.encode() in f.read_bytes()]
    assert [serve.data / "ingest-token"] == plain
    assert serve.token not in serve.log
    assert 0 == os.stat(serve.data).st_mode & 0o077
