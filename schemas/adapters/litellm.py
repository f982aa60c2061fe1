"""Takes what LiteLLM's `generic_api` callback sends: model calls, MCP calls, refused keys.

The body may be an array, one record a line, or one record; content types are not asked. Callers
choose `litellm_call_id` and `trace_id`, so neither identifies an event or a trace by itself.
"""

import re
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from schemas.adapters import contents, words
from schemas.adapters.address import origin
from schemas.adapters.base import Adapted, Context, Refused, Rejections
from schemas.adapters.draft import MAX_NS, Draft, finish, from_ns
from schemas.adapters.litellm_outcome import outcome
from schemas.adapters.read import records
from schemas.identity import identifier

SOURCE = "litellm.generic_api"
NAMESPACE = uuid.UUID("5a3f6f0e-8f43-5c0b-9d0c-6f3d7f3e8a11")
DEPLOYMENT_DIGITS = 16  # of the SHA-256 that LiteLLM calls `model_id`

PROVIDES = frozenset(
    {"event.id", "event.name", "timestamp", "ingest.native_id", "call.ids", "tenant.id"}
    | {"tenant.id.source", "api_key.id", "user.id", "enduser.id", "session.id"}
    | {"gen_ai.conversation.id", "trace_id", "request.id", "gen_ai.response.id"}
    | {"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model"}
    | {"llm.deployment.id", "gen_ai.request.stream", "server.address"}
    | {"gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"}
    | {"gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_creation.input_tokens"}
    | {"gen_ai.usage.reasoning.output_tokens", "cost.usd", "cost.source", "latency_ms"}
    | {"gen_ai.response.time_to_first_chunk", "status", "error.type", "error.native_type"}
    | {"error.origin", "http.response.status_code", "gen_ai.response.finish_reasons"}
    | {"http.request.resend_count", "retry.evidence", "idempotency_key.id", "client.address"}
    | {"client.address.quality", "user_agent.original", "gen_ai.tool.name", "gen_ai.tool.type"}
    | {"mcp.server.name", "mcp.method.name", "mcp.session.id", "mcp.protocol.version"}
    | {"tool.args.hash", "tool.args.size", "tool.result.size", "tool.side_effect"}
    | {"tool.destination.ids", "resource.id", "content.input.hash", "content.output.hash"}
)

_HEX32 = re.compile(r"[0-9a-f]{32}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_TOOL_LISTS = frozenset({"list_mcp_tools", "alist_mcp_tools"})
_TOOL_CALLS = frozenset({"call_mcp_tool", "acall_mcp_tool"})


def adapt(body: bytes, context: Context) -> Adapted:
    """Events of a callback's body; every record of LiteLLM is about a call, so none is ignored."""
    events: list[bytes] = []
    rejections = Rejections()
    for index, found in enumerate(records(body)):
        if found.reason:
            rejections.add("", found.reason, found.raw, index)
            continue
        try:
            events.append(finish(draft_of(found.value, context), context))
        except Refused as error:
            rejections.add(error.field, error.reason, found.raw, index)
        except (RecursionError, ValueError, TypeError, OverflowError) as error:
            # A shape nobody foresaw must not cost its neighbours.
            reason = f"not understood ({type(error).__name__})"
            rejections.add("", reason, found.raw, index)
    return Adapted(events, rejections.all(), 0)


def draft_of(record: Any, context: Context) -> Draft:
    """What one `StandardLoggingPayload` says, under our names.

    Raises:
        Refused: it is none, or has no times.
    """
    if not isinstance(record, dict):
        raise Refused("", "not an object")
    if not any(name in record for name in ("litellm_call_id", "call_type", "status_fields")):
        raise Refused("call_type", "not a record of LiteLLM's callback")
    metadata = member(record, "metadata")
    start, end = _seconds(record, "startTime"), _seconds(record, "endTime")
    if (end := start if end is None else end) is None:
        raise Refused("endTime", "missing")
    draft: Draft = {
        "event.granularity": "request",
        "timestamp": from_ns(end * 1000, "endTime"),
        "ingest.source": SOURCE,
        "ingest.native_id": record.get("litellm_call_id") or record.get("id"),
        "gen_ai.provider.name": _mapped(words.provider, record.get("custom_llm_provider")),
        "latency_ms": None if start is None else round(max(0, end - start) / 1000, 3),
        "cost.usd": record.get("response_cost"),
        "cost.source": None if record.get("response_cost") is None else "reported",
        "server.address": _host(record.get("api_base")),
    }
    draft |= _identity(record, metadata, context)
    draft |= _network(record, metadata, context)
    call_type = str(record.get("call_type") or "")
    if call_type in _TOOL_CALLS or member(metadata, "mcp_tool_call_metadata"):
        draft |= _tool_call(record, metadata, context)
    elif call_type in _TOOL_LISTS:
        draft |= {"event.name": "agent.tool_list", "mcp.method.name": "tools/list"}
    else:
        draft |= _model_call(record, metadata, start, context)
    draft |= outcome(record, metadata, draft)
    draft["event.id"] = _event_id(record, draft)
    return draft


def member(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A member that should be an object; empty if it is anything else."""
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def _identity(record: Mapping[str, Any], metadata: Mapping[str, Any], context: Context) -> Draft:
    draft: Draft = {}
    for name in ("user_api_key_team_id", "team_id", "user_api_key_org_id"):
        if metadata.get(name):
            draft |= {"tenant.id": metadata[name], "tenant.id.source": f"metadata.{name}"}
            break
    key = metadata.get("user_api_key_hash")
    trace = record.get("trace_id")
    requester = member(metadata, "requester_metadata")
    given = requester.get("session_id") or record.get("session_id")
    if isinstance(trace, str) and _HEX32.fullmatch(trace):
        draft["trace_id"] = trace
    elif isinstance(trace, str) and (not _UUID.fullmatch(trace) or trace == given):
        given = given or trace  # a UUID that no caller gave is LiteLLM's own, new for each call
    call_id = record.get("litellm_call_id")
    return draft | {
        "api_key.id": identifier(context.pepper, key) if isinstance(key, str) and key else key,
        "user.id": metadata.get("user_api_key_user_id"),
        "enduser.id": record.get("end_user") or metadata.get("user_api_key_end_user_id"),
        "session.id": record.get("session_id"),
        "gen_ai.conversation.id": given,
        "request.id": call_id,
        "call.ids": [f"litellm:{call_id}"] if isinstance(call_id, str) and call_id else [],
    }


def _network(record: Mapping[str, Any], metadata: Mapping[str, Any], context: Context) -> Draft:
    headers = {
        str(name).lower(): value
        for part in (
            member(member(metadata, "requester_metadata"), "headers"),
            member(metadata, "requester_custom_headers"),
        )
        for name, value in part.items()
    }
    address = record.get("requester_ip_address") or metadata.get("requester_ip_address")
    client, quality = origin(address, headers.get("x-forwarded-for"), context.trusted_proxies)
    key = headers.get("idempotency-key") or headers.get("x-idempotency-key")
    return {
        "client.address": client,
        "client.address.quality": quality,
        "user_agent.original": record.get("user_agent") or metadata.get("user_agent"),
        "mcp.protocol.version": headers.get("mcp-protocol-version"),
        "idempotency_key.id": key,
    }


def _model_call(
    record: Mapping[str, Any], metadata: Mapping[str, Any], start: int | None, context: Context
) -> Draft:
    usage = member(metadata, "usage_object")
    response = member(record, "response")
    usage = usage or member(response, "usage")
    read = member(usage, "prompt_tokens_details").get("cached_tokens")
    stream = record.get("stream")
    if not isinstance(stream, bool):
        stream = member(record, "model_parameters").get("stream")
    first = _seconds(record, "completionStartTime")
    streamed = stream is True and record.get("status") == "success"
    native = response.get("id") or record.get("id")
    choices = response.get("choices")
    choices = [c for c in choices if isinstance(c, dict)] if isinstance(choices, list) else []
    return {
        "event.name": "llm.request",
        "gen_ai.operation.name": _mapped(words.operation, record.get("call_type")),
        "gen_ai.request.model": record.get("model_group") or record.get("model"),
        "gen_ai.response.id": native if native != record.get("litellm_call_id") else None,
        "llm.deployment.id": str(record.get("model_id") or "")[:DEPLOYMENT_DIGITS],
        "gen_ai.request.stream": stream if isinstance(stream, bool) else None,
        "gen_ai.usage.input_tokens": record.get("prompt_tokens"),
        "gen_ai.usage.output_tokens": record.get("completion_tokens"),
        "gen_ai.usage.cache_read.input_tokens": _first(read, usage.get("cache_read_input_tokens")),
        "gen_ai.usage.cache_creation.input_tokens": _first(
            member(usage, "prompt_tokens_details").get("cache_creation_tokens"),
            usage.get("cache_creation_input_tokens"),
        ),
        "gen_ai.usage.reasoning.output_tokens": member(usage, "completion_tokens_details").get(
            "reasoning_tokens"
        ),
        "gen_ai.response.time_to_first_chunk": (
            round(max(0, first - start) / 1e6, 6) if streamed and first and start else None
        ),
        "gen_ai.response.finish_reasons": [
            c["finish_reason"] for c in choices if isinstance(c.get("finish_reason"), str)
        ],
        "content.input.hash": contents.content_hash(context.pepper, record.get("messages")),
        "content.output.hash": contents.content_hash(
            context.pepper, [c["message"] for c in choices if c.get("message")]
        ),
    }


def _tool_call(record: Mapping[str, Any], metadata: Mapping[str, Any], context: Context) -> Draft:
    call = member(metadata, "mcp_tool_call_metadata")
    model = str(record.get("model") or "").removeprefix("MCP: ")
    tool = call.get("name") or model
    server = str(call.get("mcp_server_resource") or "")
    return contents.arguments(call.get("arguments"), context) | {
        "event.name": "agent.tool_call",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": tool,
        "gen_ai.tool.type": "extension",
        "mcp.server.name": call.get("mcp_server_name"),
        "mcp.method.name": "tools/call",
        "mcp.session.id": call.get("mcp_session_id"),
        "server.address": _host(server),
        "tool.result.size": contents.size(record.get("response")),
        "tool.side_effect": contents.side_effect(tool, call.get("annotations"), context),
    }


def _event_id(record: Mapping[str, Any], draft: Draft) -> str:
    """Recognises the same record sent twice, and nothing a caller could make equal."""
    parts = [record.get(name) for name in ("id", "litellm_call_id", "startTime", "endTime")]
    parts += [draft.get("api_key.id"), record.get("status")]
    return str(uuid.uuid5(NAMESPACE, repr(parts).encode("utf-8", "replace").decode()))


def _seconds(record: Mapping[str, Any], field: str) -> int | None:
    """A time in microseconds since 1970; LiteLLM writes seconds, some versions ISO 8601."""
    value = record.get(field)
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
            value = moment.timestamp() if moment.tzinfo else float("nan")
        except (ValueError, OverflowError):
            raise Refused(field, "no instant with a zone") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(field, "should be seconds since 1970")
    if not 0 <= value <= MAX_NS / 1e9:  # also not a number
        raise Refused(field, "no instant between 1970 and 9999")
    return round(value * 1e6)


def _host(url: Any) -> str | None:
    if not isinstance(url, str) or "//" not in url:
        return None
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _mapped(change: Any, value: Any) -> Any:
    return change(value) if isinstance(value, str) and value else None


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
