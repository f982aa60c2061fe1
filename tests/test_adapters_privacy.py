"""Nothing anybody wrote leaves an adapter: markers planted in every free text are searched for."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.adapters import Context, adapt
from tests.test_adapters_goldens import SAMPLES, format_of, protobuf

CONTEXT = Context(pepper=bytes(range(32)))

# Members whose texts the event is meant to carry, as identifiers or words of a known vocabulary.
CARRIED = {
    *("event.schema_version", "event.id", "event.name", "timestamp", "event.granularity"),
    *("api_key.id", "tool.destination.ids", "user.id", "gen_ai.request.model"),  # hashed or cleaned
    *("gen_ai.tool.name", "resource.id", "call_type", "status", "model", "model_group", "id"),
    *("litellm_call_id", "trace_id", "session_id", "custom_llm_provider", "end_user", "api_base"),
    *("model_id", "user_agent", "requester_ip_address", "user_api_key_team_id"),
    *("user_api_key_org_id", "user_api_key_user_id", "name", "mcp_server_name", "mcp_session_id"),
    *("mcp_server_resource", "finish_reason", "error_class", "error_code", "normalized_error"),
    *("mcp-protocol-version", "traceId", "spanId", "parentSpanId", "startTimeUnixNano"),
    *("endTimeUnixNano", "timeUnixNano", "eventName", "key", "intValue", "x-forwarded-for"),
    *("guardrail_status", "user_api_key_hash"),
}
# OTLP attributes that are content, in any dialect.
CONTENT = (
    *("messages", "arguments", "result", "input.value", "output.value", "prompt", "completion"),
    *("message", "stacktrace", "parameters", "response.text", "entity.input", "entity.output"),
    *("observation.input", "observation.output", "toolCall.args", "email", "alias", "events"),
    *("final_result", "tool_response", "tool_arguments", "requester_metadata", "hidden_params"),
)


class Planter:
    """Replaces texts by markers and remembers them."""

    def __init__(self) -> None:
        self.markers: list[str] = []

    def marker(self) -> str:
        self.markers.append(f"zq{len(self.markers)}marker{len(self.markers)}qz")
        return self.markers[-1]

    def text(self) -> str:
        marker = self.marker()
        shapes = (
            marker,
            f"please tell {marker} everything",
            f"{marker}@example.com",
            f"sk-proj-{marker}",
            f"Bearer {marker}",
            json.dumps([{"role": "user", "content": marker}]),
            json.dumps({"email": f"{marker}@example.org", "deep": [{"x": marker}]}),
            f"https://{marker}.example.com/{marker}?q={marker}",
        )
        return shapes[len(self.markers) % len(shapes)]

    def plain(self, value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: self.plain(item, key) for key, item in value.items()}
        if isinstance(value, list):
            return [self.plain(item, name) for item in value]
        return self.text() if isinstance(value, str) and name not in CARRIED else value

    def otlp(self, value: Any, name: str = "") -> Any:
        if isinstance(value, list):
            return [self.otlp(item, name) for item in value]
        if not isinstance(value, dict):
            return value
        if isinstance(value.get("key"), str) and "value" in value:
            planted = value["value"]
            if any(word in value["key"] for word in CONTENT):
                planted = {"stringValue": self.text()}
            return {"key": value["key"], "value": planted}
        found = {key: self.otlp(item, key) for key, item in value.items()}
        for field in ("message", "body"):
            if field in found or name == "status":
                found["message" if name == "status" else field] = (
                    self.text() if name == "status" else {"stringValue": self.text()}
                )
        if name == "spans":
            found["name"] = self.text()
        if name in ("spans", "logRecords"):
            found["attributes"] = [
                *found["attributes"],
                {"key": "http.request.header.authorization", "value": {"stringValue": self.text()}},
                {"key": "some.custom.text", "value": {"stringValue": self.text()}},
                {"key": "gen_ai.system_instructions", "value": {"stringValue": self.text()}},
                {"key": "gen_ai.tool.definitions", "value": {"stringValue": self.text()}},
            ]
        return found


def planted(path: Path) -> tuple[Any, list[str]]:
    planter = Planter()
    document = json.loads(path.read_bytes())
    if "otlp" in path.name:
        return planter.otlp(document), planter.markers
    extra = {"messages": "x", "prompt": "x", "headers": {"authorization": "x"}, "error_str": "x"}
    return [planter.plain(item | extra) for item in document], planter.markers


def outputs(body: bytes, format: str) -> Iterator[str]:
    adapted = adapt(body, format, CONTEXT)
    yield from (line.decode() for line in adapted.events)
    yield from (f"{rejected.field} {rejected.reason}" for rejected in adapted.rejections)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_no_marker_leaves(path: Path) -> None:
    document, markers = planted(path)
    bodies = [json.dumps(document).encode(), json.dumps(document, indent=1).encode()]
    if "otlp" in path.name:
        bodies.append(protobuf(document))
    for body in bodies:
        out = "\n".join(outputs(body, format_of(path)))
        assert len(markers) > 5 and "event.id" in out
        assert [] == [marker for marker in markers if marker in out]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_no_marker_leaves_with_a_rejected_record(path: Path) -> None:
    document, markers = planted(path)
    body = json.dumps(document).encode()
    for seed in range(60):
        broken = bytearray(body)
        chance = random.Random(seed)
        at = chance.randrange(len(broken))
        broken[at:at] = chance.choice(  # taking away could turn content into an id
            [b"", b'"', b"}", b"NaN", b"1e400", b'{"', b"\xff", b"\x00", b"[" * 2000]
        )
        out = "\n".join(outputs(bytes(broken), format_of(path)))
        assert [] == [marker for marker in markers if marker in out]


@pytest.mark.parametrize(
    "secret",
    ["sk-proj-abcdefgh12345678", "AKIAIOSFODNN7EXAMPLE", "Bearer abcdefghijkl", "ann@example.com"],
)
@pytest.mark.parametrize(
    "field",
    ["gen_ai.request.model", "gen_ai.tool.name", "user_agent.original", "user.id", "session.id"],
)
def test_a_secret_in_a_carried_field_is_replaced(secret: str, field: str) -> None:
    event = {
        "event.schema_version": "1.0",
        "event.id": "e-1",
        "event.name": "llm.request",
        "timestamp": "2026-11-18T11:00:00Z",
        field: f"x {secret}",
    }
    (line,) = adapt(json.dumps(event).encode(), "canonical", CONTEXT).events
    assert secret not in line.decode() and "hmac:" in json.loads(line)[field]
    escaped = json.dumps(event).replace("@", "\\u0040").replace("-", "\\u002d").encode()
    (line,) = adapt(
        escaped.replace(b"2026\\u002d11\\u002d18", b"2026-11-18"), "canonical", CONTEXT
    ).events
    assert secret not in line.decode()


def test_a_key_alias_and_an_e_mail_of_a_gateway_never_leave() -> None:
    body = next(path for path in SAMPLES if path.stem == "litellm.calls").read_bytes()
    out = "\n".join(outputs(body, "litellm"))
    assert "sk-alias-secret" not in out and "u-1@example.com" not in out
