"""A key that a LiteLLM proxy refuses: known by either signal, hidden by none, not invented."""

import json
from typing import Any

from schemas.adapters import Context, adapt
from schemas.identity import identifier
from streams.pipeline import Pipeline
from tests.test_adapters_bad_input import call, export, span
from tests.test_adapters_calls import attributes

CONTEXT = Context(pepper=bytes(range(32)))
SERVER = 2


def refused_call(**over: Any) -> dict[str, Any]:
    """What the callback sends when a custom authentication raises an error of its own kind."""
    return call(
        status="failure",
        custom_llm_provider="openai",
        model="openai/gpt-4o",
        model_group="gpt-4o",
        model_id="6c" * 32,
        total_tokens=0,
        error_str="no",
        error_information={"error_class": "ValueError", "normalized_error": "UNCLASSIFIED"},
        metadata={"user_api_key_hash": "2b" * 32, "requester_ip_address": "203.0.113.9"},
        **over,
    )


def served_span(status: str, **more: str) -> dict[str, Any]:
    """The span of the request that a proxy answered with `status`."""
    told = attributes(
        http__response__status_code=int(status),
        gen_ai__request__model="gpt-4o",
        error__type="ProxyException",
        **more,
    )
    told += [
        {"key": "litellm.api_key.hash", "value": {"stringValue": "2b" * 32}},
        {"key": "litellm.provider.error.code", "value": {"stringValue": status}},
    ]
    return span(kind=SERVER, status={"code": 2}, attributes=told)


def lines(document: dict[str, Any], format: str) -> list[bytes]:
    adapted = adapt(json.dumps(document).encode(), format, CONTEXT)
    assert [] == adapted.rejections
    return adapted.events


def test_a_custom_authentication_may_raise_any_error() -> None:
    (line,) = lines(refused_call(), "litellm")
    event = json.loads(line)

    assert ("llm.auth_failure", "auth", "gateway") == (
        event["event.name"],
        event["error.type"],
        event["error.origin"],
    )
    assert identifier(CONTEXT.pepper, "2b" * 32) == event["api_key.id"]


def test_a_failure_of_a_called_provider_is_no_refused_key() -> None:
    (line,) = lines(refused_call(api_base="https://api.example.com/v1"), "litellm")

    assert "llm.request" == json.loads(line)["event.name"]


def test_the_span_of_a_request_whose_provider_refused_is_not_a_refused_key() -> None:
    named = {"litellm__provider__error__llm_provider": "openai"}

    assert [] == lines(export(served_span("403", **named)), "otlp-traces")
    assert 1 == len(lines(export(served_span("403")), "otlp-traces"))


def test_a_span_that_knows_no_address_does_not_hide_the_callback_that_does() -> None:
    span_first = lines(export(served_span("401")), "otlp-traces")
    told = [*span_first, *lines(refused_call(), "litellm")]
    keys = {json.loads(line)["api_key.id"] for line in told}
    pipeline = Pipeline()
    pipeline.process(b"".join(line + b"\n" for line in told))

    assert (2, 0, 0) == (pipeline.stats.events, pipeline.stats.merged, pipeline.stats.rejected)
    assert 1 == len(keys)
