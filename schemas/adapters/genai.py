"""Reads the call that a span or log record tells of, in any dialect of `spellings`."""

import json
import re
import uuid
from typing import Any

from schemas.adapters import contents, spellings, words
from schemas.adapters.address import origin
from schemas.adapters.base import Context, Refused
from schemas.adapters.draft import Draft, from_ns
from schemas.adapters.genai_model import model_call
from schemas.adapters.signal import SERVER, Signal
from schemas.identity import identifier

NAMESPACE = uuid.UUID("0d0f2c57-7d6e-5a0b-8b52-4c2f0f1f9a77")
_TRACE = re.compile(r"(?!0{32})[0-9a-f]{32}")
_SPAN = re.compile(r"(?!0{16})[0-9a-f]{16}")
_STATUS_IN_MESSAGE = re.compile(r"Error code: (\d{3})\b")
_CLASS_IN_MESSAGE = re.compile(r"([A-Za-z_][\w.]{2,64}(?:Error|Exception|Timeout)):")
_TOOL_WORD = re.compile(r"[-/.:]|__")
_PROVIDER_ERRORS = frozenset(
    {"rate_limit", "auth", "server_error", "invalid_request", "content_filter", "context_length"}
)
_KIND_OPERATIONS = {
    "llm": "chat",
    "generation": "chat",
    "dogenerate": "chat",
    "dostream": "chat",
    "embedding": "embeddings",
    "doembed": "embeddings",
}
_V1_REQUESTER = ("metadata.requester_metadata",)


def draft_of(signal: Signal, name: str, context: Context) -> Draft:
    """What `signal` says of a call of the kind `name`.

    Raises:
        Refused: it lacks an id or a time.
    """
    draft: Draft = {"event.name": name, "event.granularity": "request"}
    draft |= _envelope(signal, name, context)
    draft |= _texts(signal, context)
    draft |= _outcome(signal, name)
    draft |= _network(signal, context)
    if name == "llm.request":
        draft |= model_call(signal, context)
    elif name == "agent.tool_call":
        draft |= _tool_call(signal, draft, context)
    return draft


def tool_word(tool: Any) -> str:
    """A tool's own name, without the server's name before it.

    >>> tool_word("docs_mcp-read_document"), tool_word("read_document")
    ('read_document', 'read_document')
    """
    return _TOOL_WORD.split(str(tool))[-1]


def _envelope(signal: Signal, name: str, context: Context) -> Draft:
    if not signal.end_ns:
        raise Refused("endTimeUnixNano" if signal.kind == "span" else "timeUnixNano", "missing")
    names: list[str] = []
    trace = signal.trace_id if _TRACE.fullmatch(signal.trace_id) else ""
    span = signal.span_id if _SPAN.fullmatch(signal.span_id) else ""
    if signal.kind == "span" and not trace:
        raise Refused("traceId", "should be 32 hex digits, not all 0")
    if signal.kind == "span" and not span:
        raise Refused("spanId", "should be 16 hex digits, not all 0")
    if trace and span:
        names.append(f"otlp:{trace}:{span}")
        identity = f"{trace}:{span}"
    else:
        identity = json.dumps([signal.end_ns, signal.attributes], sort_keys=True, default=str)
    if (call := signal.attributes.get("litellm.call_id")) and isinstance(call, str):
        names.append(f"litellm:{call}")
    source = f"otlp.{signal.kind}"
    if name == "agent.tool_call" and trace and signal.parent_id:
        tool = tool_word(signal.first(spellings.TEXTS["gen_ai.tool.name"]))
        names.append(f"mcp:{trace}:{signal.parent_id}:{tool}")
        if signal.role == SERVER:
            names.append(f"otlp:{trace}:{signal.parent_id}")
            source = "otlp.mcp-server"
    timed = signal.kind == "span" and signal.start_ns
    return {
        "event.id": str(uuid.uuid5(NAMESPACE, identity.encode("utf-8", "replace").decode())),
        "timestamp": from_ns(signal.end_ns, "endTimeUnixNano"),
        "latency_ms": max(0, signal.end_ns - signal.start_ns) / 1e6 if timed else None,
        "ingest.source": source,
        "ingest.native_id": f"{trace}:{span}" if trace and span else None,
        "trace_id": trace or None,
        "span_id": span or None,
        "call.ids": names,
    }


def _texts(signal: Signal, context: Context) -> Draft:
    draft: Draft = {}
    around = signal.resource.attributes
    for name, names in spellings.TEXTS.items():
        value = signal.first(names)
        if value is None and name not in ("server.address", "gen_ai.request.model"):
            value = around.get(name)
        draft[name] = str(value) if isinstance(value, int) else value
    tenants = context.tenant_attributes + spellings.TENANT
    for place, attributes in (("", signal.attributes), ("resource.", around)):
        found = next((name for name in tenants if attributes.get(name)), None)
        if found is not None:
            draft |= {"tenant.id": attributes[found], "tenant.id.source": place + found}
            break
    if isinstance(key := draft["api_key.id"], str):
        draft["api_key.id"] = identifier(context.pepper, key)
    if "openinference.span.kind" in signal.attributes:
        draft["gen_ai.conversation.id"] = draft["gen_ai.conversation.id"] or draft["session.id"]
    if isinstance(uri := draft["mcp.resource.uri"], str):
        draft["mcp.resource.uri"] = re.split(r"[?#]", uri)[0]
    provider = signal.text(spellings.PROVIDER)
    operation = signal.text(spellings.OPERATION) or _KIND_OPERATIONS.get(
        signal.text((*spellings.SPAN_KIND, "ai.operationId")).lower().rpartition(".")[2], ""
    )
    session = re.search(r"'session_id': '([^']{1,256})'", signal.text(_V1_REQUESTER)[:4096])
    if session and not draft["gen_ai.conversation.id"]:
        draft["gen_ai.conversation.id"] = session[1]
    return draft | {
        "request.id": draft["request.id"] or draft["gen_ai.response.id"],
        "gen_ai.provider.name": words.provider(provider) if provider else None,
        "gen_ai.operation.name": words.operation(operation) if operation else None,
    }


def _outcome(signal: Signal, name: str) -> Draft:
    happened = [h.attributes.get("exception.type") for h in signal.happenings]
    native = signal.text(spellings.ERROR) or next((t for t in happened if isinstance(t, str)), "")
    if not native and (found := _CLASS_IN_MESSAGE.match(signal.message)):
        native = found[1]
    status = _status(signal)
    failed = signal.failed or bool(native) or (status is not None and status >= 400)
    draft: Draft = {"http.response.status_code": status}
    resent = signal.attributes.get("http.request.resend_count")
    draft["http.request.resend_count"] = resent
    draft["retry.evidence"] = "none" if resent is None else "observed"
    if not failed:
        return draft | {"status": "ok"}
    kind = words.error_type(native, status=status)
    if name == "llm.auth_failure" and kind not in ("auth", "permission"):
        kind = "auth"
    if name == "agent.tool_call" and kind == "_OTHER":
        kind = "tool_error"
    wrapped = "ProxyException" in native and name == "llm.request"  # says nothing of its origin
    return draft | {
        "status": "error",
        "error.type": kind,
        "error.native_type": words.class_name(native),
        "error.origin": None if wrapped else _origin(name, kind),
    }


def _origin(name: str, kind: str) -> str | None:
    if name == "llm.auth_failure" or kind == "budget_exceeded":
        return "gateway"
    if name == "agent.tool_call":
        return "tool" if kind == "tool_error" else None
    return "provider" if kind in _PROVIDER_ERRORS else None


def _status(signal: Signal) -> int | None:
    value = signal.first(spellings.HTTP_STATUS)
    text = "" if isinstance(value, bool) else str(value or "")[:8]
    if not text.isdigit() and (found := _STATUS_IN_MESSAGE.search(signal.message[:4096])):
        text = found[1]
    return int(text) if text.isascii() and text.isdigit() and 100 <= int(text) <= 599 else None


def _network(signal: Signal, context: Context) -> Draft:
    headers = signal.text(("metadata.requester_custom_headers", "metadata.requester_metadata"))
    forwarded = re.search(r"""['"]x-forwarded-for['"]: ?['"]([^'"]+)""", headers)
    client, quality = origin(
        signal.first(spellings.ADDRESS),
        forwarded[1] if forwarded else None,
        context.trusted_proxies,
    )
    if quality == "peer" and not forwarded and client not in ("127.0.0.1", "::1"):
        quality = "xff_unverified"  # the record does not say whether a header was believed
    return {"client.address": client, "client.address.quality": quality}


def _tool_call(signal: Signal, draft: Draft, context: Context) -> Draft:
    tool = draft["gen_ai.tool.name"]
    if not tool and signal.text(("traceloop.span.kind",)) == "tool":
        tool = signal.first(("traceloop.entity.name",))
    mcp = draft["mcp.method.name"] or draft["mcp.server.name"]
    cost = signal.first(spellings.COST)
    found = contents.arguments(signal.first(spellings.ARGUMENTS), context)
    return found | {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.request.model": None,
        "gen_ai.tool.name": tool,
        "gen_ai.tool.type": draft["gen_ai.tool.type"] or ("extension" if mcp else None),
        "cost.usd": cost,
        "cost.source": None if cost is None else "reported",
        "tool.result.size": contents.size(signal.first(spellings.RESULT)),
        "tool.side_effect": contents.side_effect(
            tool, signal.first(spellings.ANNOTATIONS), context
        ),
    }
