"""One call is one event, however many signals tell of it; many calls stay many."""

import copy
import json
import time
from pathlib import Path
from typing import Any

import pytest

from schemas.adapters import Context, adapt
from schemas.adapters.address import origin
from schemas.identity import fingerprint
from tests.test_adapters_bad_input import call, export, span

PEPPER = bytes(range(32))
CONTEXT = Context(pepper=PEPPER)
GOLDENS = Path(__file__).parent / "goldens"


def golden(name: str) -> Any:
    return json.loads((GOLDENS / f"{name}.json").read_bytes())


def told(document: Any, format: str, context: Context = CONTEXT) -> list[dict[str, Any]]:
    adapted = adapt(json.dumps(document).encode(), format, context)
    assert [] == adapted.rejections
    return [json.loads(line) for line in adapted.events]


def attributes(**values: str | int | bool | float) -> list[dict[str, Any]]:
    kinds = {str: "stringValue", int: "intValue", bool: "boolValue", float: "doubleValue"}
    return [
        {"key": name.replace("__", "."), "value": {kinds[type(value)]: value}}
        for name, value in values.items()
    ]


def tool_span(span_id: str, name: str, kind: int, start: int, end: int, parent: str = "") -> Any:
    return span(
        spanId=span_id * 16,
        kind=kind,
        parentSpanId=parent * 16,
        startTimeUnixNano=1795000000_000000000 + start,
        endTimeUnixNano=1795000000_000000000 + end,
        attributes=attributes(gen_ai__operation__name="execute_tool", gen_ai__tool__name=name),
    )


def test_a_thousand_calls_that_pin_one_call_id_are_a_thousand_events() -> None:
    probes = [
        call(
            litellm_call_id="pinned",
            id="pinned",
            endTime=1795000001.0 + number / 1000,
            metadata={"user_api_key_hash": f"{number:064x}"},
        )
        for number in range(1_000)
    ]
    assert 1_000 == len({event["event.id"] for event in told(probes, "litellm")})


def test_calls_at_one_instant_with_one_id_differ_by_their_key() -> None:
    probes = [call(id="x", metadata={"user_api_key_hash": key}) for key in ("a" * 64, "b" * 64)]
    assert 2 == len({event["event.id"] for event in told(probes, "litellm")})


def test_a_record_sent_twice_has_one_id_on_every_host_with_the_pepper() -> None:
    first, again = told([call(), call()], "litellm")
    assert first == again
    elsewhere = told([call()], "litellm", Context(pepper=PEPPER))
    assert [first] == elsewhere


def test_a_span_and_its_log_record_share_their_event_id() -> None:
    logs = golden("otlp-logs.genai")
    record = logs["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    (spanned,) = told(
        export(span(traceId=record["traceId"].upper(), spanId=record["spanId"])), "otlp-traces"
    )
    logged = told(logs, "otlp-logs")[0]
    assert spanned["event.id"] == logged["event.id"]
    assert spanned["call.ids"] == logged["call.ids"]
    assert {"otlp.span", "otlp.log"} == {spanned["ingest.source"], logged["ingest.source"]}


def test_callback_and_spans_of_one_call_share_a_name_and_a_key() -> None:
    spans = golden("otlp-traces.litellm-v1")
    (first, _) = told(spans, "otlp-traces")
    back = golden("litellm.calls")[0] | {"litellm_call_id": "call-v1"}
    (event,) = told(back, "litellm")
    assert "litellm:call-v1" in first["call.ids"] and "litellm:call-v1" in event["call.ids"]
    assert first["api_key.id"] == event["api_key.id"]
    assert first["ingest.source"] != event["ingest.source"]


def test_an_mcp_call_seen_by_client_and_server_is_one_event_from_the_clients_view() -> None:
    events = told(golden("otlp-traces.litellm-v2"), "otlp-traces")
    (event,) = [event for event in events if event["event.name"] == "agent.tool_call"]
    assert ("read_document", "4", "sess-m") == (
        event["gen_ai.tool.name"],
        event["jsonrpc.request.id"],
        event["mcp.session.id"],
    )


def test_client_and_server_in_two_bodies_share_a_name() -> None:
    client = told(export(tool_span("1", "read", 3, 10, 90, "a")), "otlp-traces")[0]
    beside = told(export(tool_span("2", "docs-read", 2, 5, 95, "a")), "otlp-traces")[0]
    below = told(export(tool_span("3", "docs-read", 2, 20, 80, "1")), "otlp-traces")[0]
    assert set(client["call.ids"]) & set(beside["call.ids"])
    assert set(client["call.ids"]) & set(below["call.ids"])
    assert ("otlp.span", "otlp.mcp-server") == (client["ingest.source"], beside["ingest.source"])


def test_two_parallel_calls_of_one_tool_stay_two() -> None:
    spans = [
        tool_span("1", "read", 3, 10, 90, "a"),
        tool_span("2", "docs-read", 2, 5, 95, "a"),
        tool_span("3", "read", 3, 12, 92, "b"),
        tool_span("4", "docs-read", 2, 7, 97, "b"),
    ]
    for order in (spans, spans[::-1], [spans[1], spans[3], spans[0], spans[2]]):
        events = told(export(*order), "otlp-traces")
        assert ["1" * 16, "3" * 16] == sorted(event["span_id"] for event in events)


def test_calls_one_after_another_and_calls_of_other_tools_stay_apart() -> None:
    spans = [
        tool_span("1", "read", 3, 10, 20, "a"),
        tool_span("2", "read", 2, 30, 40, "a"),
        tool_span("3", "bread", 2, 10, 20, "a"),
        tool_span("4", "read", 3, 10, 20, "a"),
    ]
    assert 4 == len(told(export(*spans), "otlp-traces"))


def test_one_model_call_told_by_two_instrumentations_is_one_event() -> None:
    inner = span(
        spanId="1" * 16,
        kind=3,
        parentSpanId="2" * 16,
        attributes=attributes(
            gen_ai__operation__name="chat",
            gen_ai__response__id="r-1",
            gen_ai__usage__input_tokens=7,
        ),
    )
    outer = copy.deepcopy(inner) | {"spanId": "2" * 16, "kind": 1, "parentSpanId": ""}
    (event,) = told(export(outer, inner), "otlp-traces")
    assert ("1" * 16, 7) == (event["span_id"], event["gen_ai.usage.input_tokens"])


def test_names_of_spans_and_scopes_decide_nothing() -> None:
    plain = span(name="chat gpt-4o", attributes=[], kind=3)
    adapted = adapt(json.dumps(export(plain)).encode(), "otlp-traces", CONTEXT)
    assert (0, 0, 1) == (len(adapted.events), len(adapted.rejections), adapted.ignored)
    odd = span(name="GET /health", kind=2)
    assert ["llm.request"] == [event["event.name"] for event in told(export(odd), "otlp-traces")]


@pytest.mark.parametrize(
    ("trace", "given", "as_trace", "as_conversation"),
    [
        ("hdr-sess", "hdr-sess", None, "hdr-sess"),
        ("4daf6fcd1f91b0bfbbfe72bd908e91a2", None, "4daf6fcd1f91b0bfbbfe72bd908e91a2", None),
        ("4DAF6FCD1F91B0BFBBFE72BD908E91A2", None, None, "4DAF6FCD1F91B0BFBBFE72BD908E91A2"),
        ("753262ad-6625-4e9e-8c85-dad53e1cd8db", None, None, None),
        ("lsess-1", None, None, "lsess-1"),
    ],
)
def test_litellms_trace_id_is_one_only_if_it_looks_like_one(
    trace: str, given: str | None, as_trace: str | None, as_conversation: str | None
) -> None:
    metadata = {"requester_metadata": {"session_id": given}}
    (event,) = told(call(trace_id=trace, session_id="", metadata=metadata), "litellm")
    assert as_trace == event.get("trace_id")
    assert as_conversation == event.get("gen_ai.conversation.id")


def test_time_to_the_first_token_is_known_only_for_streams() -> None:
    times = {"startTime": 1795000000.0, "completionStartTime": 1795000000.25}
    (streamed,) = told(call(stream=True, **times, endTime=1795000001.0), "litellm")
    (whole,) = told(call(stream=False, **times, endTime=1795000001.0), "litellm")
    assert 0.25 == streamed["gen_ai.response.time_to_first_chunk"]
    assert "gen_ai.response.time_to_first_chunk" not in whole
    assert 1000.0 == streamed["latency_ms"] == whole["latency_ms"]


def test_an_absent_count_of_tries_is_never_zero() -> None:
    (event,) = told(call(), "litellm")
    assert ("none", False) == (event["retry.evidence"], "http.request.resend_count" in event)


def test_a_trusted_proxy_vouches_for_the_address_it_forwards() -> None:
    headers = {"headers": {"x-forwarded-for": "198.51.100.1, 203.0.113.9"}}
    record = call(requester_ip_address="10.0.0.7", metadata={"requester_metadata": headers})
    (event,) = told(record, "litellm", Context(PEPPER, trusted_proxies=("10.0.0.0/8",)))
    assert "xff_trusted" == event["client.address.quality"]
    assert "203.0.113.9" == event["client.address"]
    (event,) = told(record, "litellm")
    assert ("10.0.0.7", "peer") == (event["client.address"], event["client.address.quality"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client", "quality"),
    [
        ("::ffff:10.0.0.7", "203.0.113.9", "203.0.113.9", "xff_trusted"),
        ("10.0.0.7", "1.2.3.4, ::ffff:203.0.113.9", "203.0.113.9", "xff_trusted"),
        ("10.0.0.7", "203.0.113.9, 10.0.0.8", "203.0.113.9", "xff_trusted"),
        ("10.0.0.7", "1.2.3.4, unknown, 10.0.0.8", "10.0.0.7", "xff_unverified"),
        ("10.0.0.7", "1.2.3.4, , 10.0.0.8", "10.0.0.7", "xff_unverified"),
        ("10.0.0.7", "1.2.3.4," * 500 + "203.0.113.9", "203.0.113.9", "xff_trusted"),
        ("203.0.113.9", "1.2.3.4, 203.0.113.9, unknown", "203.0.113.9", "xff_unverified"),
        ("fe80::1%any text", None, "fe80::1", "peer"),
    ],
)
def test_only_what_a_trusted_proxy_wrote_is_believed(
    peer: str, forwarded: str | None, client: str, quality: str
) -> None:
    assert (client, quality) == origin(peer, forwarded, ("10.0.0.0/8",))


def test_a_long_header_in_a_span_hides_no_hop() -> None:
    headers = "{'x-forwarded-for': '%s203.0.113.9'}" % ("1.2.3.4, " * 100)
    parts = {
        "metadata.requester_ip_address": "10.0.0.7",
        "metadata.requester_custom_headers": headers,
    }
    one = span(
        attributes=attributes(gen_ai__operation__name="chat")
        + [{"key": key, "value": {"stringValue": value}} for key, value in parts.items()]
    )
    context = Context(PEPPER, trusted_proxies=("10.0.0.0/8",))
    (event,) = told(export(one), "otlp-traces", context)
    assert "203.0.113.9" == event["client.address"]


def test_the_operator_says_which_tools_change_things_and_which_arguments_name_resources() -> None:
    context = Context(
        PEPPER,
        side_effects={"read_document": True},
        resource_arguments=frozenset({"doc_id"}),
    )
    event = told(golden("litellm.tools"), "litellm", context)[0]
    assert (True, fingerprint(PEPPER, "D-42")) == (event["tool.side_effect"], event["resource.id"])


def test_equal_arguments_have_equal_fingerprints_in_every_format() -> None:
    (event, *_) = told(golden("litellm.tools"), "litellm")
    attribute = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "read_document",
        "gen_ai.tool.call.arguments": '{"tenant":"globex",  "doc_id":"D-42"}',
    }
    pairs = [{"key": k, "value": {"stringValue": v}} for k, v in attribute.items()]
    (spanned,) = told(export(span(attributes=pairs)), "otlp-traces")
    assert event["tool.args.hash"] == spanned["tool.args.hash"]


def test_redacted_content_has_no_fingerprint() -> None:
    messages = [{"role": "user", "content": "redacted-by-litellm"}]
    (event,) = told(call(messages=messages, model_group="m"), "litellm")
    assert "content.input.hash" not in event


def test_a_refused_key_is_one_event_with_the_key_that_was_tried() -> None:
    events = told(golden("otlp-traces.litellm-v2"), "otlp-traces")
    (event,) = [event for event in events if event["event.name"] == "llm.auth_failure"]
    assert fingerprint(PEPPER, "3f" * 32) == event["api_key.id"]
    assert ("198.51.100.66", 401) == (event["client.address"], event["http.response.status_code"])


def test_a_provider_that_refuses_the_gateways_key_is_no_probe() -> None:
    events = told(golden("litellm.calls"), "litellm")
    kinds = [(event["event.name"], event.get("error.origin")) for event in events]
    assert ("llm.request", "provider") == kinds[4]
    assert [("llm.auth_failure", "gateway")] * 2 == kinds[5:7]


@pytest.mark.parametrize("model", [{"x": 1}, ["m"], True])
def test_a_field_of_a_wrong_type_is_refused_by_name(model: Any) -> None:
    adapted = adapt(json.dumps(call(model_group=model)).encode(), "litellm", CONTEXT)
    assert ["gen_ai.request.model"] == [rejected.field for rejected in adapted.rejections]


def test_a_log_record_with_contents_only_is_left_to_its_span() -> None:
    logs = golden("otlp-logs.genai")
    records = logs["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    contents = attributes(
        event_name="gen_ai.client.inference.operation.details",
        gen_ai__operation__name="chat",
        gen_ai__provider__name="openai",
        gen_ai__input__messages="[]",
    )
    records[:] = [records[0] | {"eventName": "", "attributes": contents}]
    adapted = adapt(json.dumps(logs).encode(), "otlp-logs", CONTEXT)
    assert (0, 0, 1) == (len(adapted.events), len(adapted.rejections), adapted.ignored)


def test_control_records_pass_only_where_the_operator_reads_his_own_files() -> None:
    control = {
        "record": "control",
        "id": "c-1",
        "action": "mode",
        "mode": "off",
        "owner": "ann",
        "reason": "move",
        "effective": "2026-11-18T11:00:00Z",
    }
    body = json.dumps(control, indent=1).encode()
    assert ["record"] == [r.field for r in adapt(body, "canonical", CONTEXT).rejections]
    (line,) = adapt(body, "canonical", Context(PEPPER, controls=True)).events
    assert control.items() <= json.loads(line).items()
    broken = json.dumps(control | {"action": "rule"}).encode()
    adapted = adapt(broken, "canonical", Context(PEPPER, controls=True))
    assert ["action"] == [r.field for r in adapted.rejections]


def test_parallel_calls_that_pin_trace_and_call_id_stay_apart() -> None:
    probes = [
        span(
            spanId=f"{number:016x}",
            parentSpanId="b7ad6b7169203331",
            kind=3,
            attributes=attributes(
                gen_ai__operation__name="chat",
                gen_ai__request__model="m",
                litellm__call_id="pinned",
            ),
        )
        for number in range(1, 301)
    ]
    assert 300 == len(told(export(*probes), "otlp-traces"))


def test_a_trace_of_thousands_of_tool_calls_is_read_in_reasonable_time() -> None:
    spans = [
        {**tool_span("1", "read", kind, 10 * n, 10 * n + 9), "spanId": f"{kind}{n:015x}"}
        for n in range(1, 1001)
        for kind in (2, 3)
    ]
    began = time.monotonic()
    assert 1000 == len(told(export(*spans), "otlp-traces"))
    assert time.monotonic() - began < 20
