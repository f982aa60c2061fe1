"""How a call through LiteLLM ended: its status, its error, its retries, and refused keys."""

import re
from collections.abc import Mapping
from typing import Any

from schemas.adapters import words
from schemas.adapters.draft import Draft

_SPEAKS_OF_A_KEY = re.compile(r"api[ _-]?key|bad key|invalid key|authenti|unauthorized", re.I)
_GATEWAY_CLASSES = frozenset(
    {"ProxyException", "HTTPException", "BudgetExceededError", "Exception", "RouterRateLimitError"}
)
_AUTH = frozenset({"auth", "permission"})
_BLOCKS = frozenset({"budget_exceeded", "permission", "content_filter"})


def outcome(record: Mapping[str, Any], metadata: Mapping[str, Any], draft: Draft) -> Draft:
    """Status, error and retry fields; turns a call with a refused key into `llm.auth_failure`."""
    if record.get("status") == "success":
        return _success(record, draft)
    return _failure(record, metadata, draft)


def _success(record: Mapping[str, Any], draft: Draft) -> Draft:
    hidden = record.get("hidden_params")
    headers = hidden.get("additional_headers") if isinstance(hidden, dict) else None
    retries = headers.get("x-litellm-attempted-retries") if isinstance(headers, dict) else None
    response = record.get("response")
    failed = isinstance(response, dict) and (response.get("is_error") or response.get("isError"))
    if failed and draft["event.name"] == "agent.tool_call":
        return {
            "status": "error",
            "error.type": "tool_error",
            "error.origin": "tool",
            "retry.evidence": "none",
        }
    return {
        "status": "blocked" if _guarded(record) else "ok",
        "http.response.status_code": 200 if draft["event.name"] == "llm.request" else None,
        "http.request.resend_count": retries,
        "retry.evidence": "none" if retries is None else "reported_total",
    }


def _failure(record: Mapping[str, Any], metadata: Mapping[str, Any], draft: Draft) -> Draft:
    information = record.get("error_information")
    error: Mapping[str, Any] = information if isinstance(information, dict) else {}
    name, code, normal = (
        _text(error, f) for f in ("error_class", "error_code", "normalized_error")
    )
    status = int(code) if code.isdigit() and len(code) == 3 else None
    kind = words.error_type(name, normal.lstrip("0123456789_"), code, status=status)
    where = _origin(error, name, kind, draft)
    unowned = _unowned(record, metadata)
    event: Draft = {}
    if draft["event.name"] == "llm.request" and where == "gateway":
        if kind == "_OTHER" and unowned and not record.get("total_tokens"):
            kind = "auth"  # custom authentication raises a bare Exception: nobody owns the call
        if kind == "auth" or (kind in _AUTH and unowned):
            event = {"event.name": "llm.auth_failure", "cost.usd": None, "cost.source": None}
    if draft["event.name"] == "agent.tool_call":
        event = {"cost.usd": None, "cost.source": None} if kind in _AUTH else {}
    blocked = _guarded(record) or (where == "gateway" and kind in _BLOCKS)
    return event | {
        "status": "blocked" if blocked else "error",
        "error.type": kind,
        "error.native_type": words.class_name(name) or words.class_name(normal),
        "error.origin": where,
        "http.response.status_code": status,
        "retry.evidence": "none",
    }


def _origin(error: Mapping[str, Any], name: str, kind: str, draft: Draft) -> str | None:
    if kind == "tool_error":
        return "tool"
    if kind == "budget_exceeded":
        return "gateway"
    if category := error.get("error_rate_limit_category"):
        return "provider" if category == "vendor_rate_limit" else "gateway"
    if error.get("llm_provider"):
        return "provider"
    if name in _GATEWAY_CLASSES or not draft.get("llm.deployment.id"):
        return "gateway"
    if not draft.get("server.address"):
        return "gateway"  # nothing was called; a custom authentication may raise what it likes
    return "provider" if draft["event.name"] == "llm.request" else None


def _unowned(record: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """Whether the gateway knew nobody behind the key, or says that the key was the reason."""
    if metadata.get("user_api_key_team_id") or metadata.get("user_api_key_org_id"):
        return False
    user = metadata.get("user_api_key_user_id")
    message = record.get("error_str")
    spoken = isinstance(message, str) and _SPEAKS_OF_A_KEY.search(message[:4096])
    return user in (None, "", "default_user_id") or bool(spoken)


def _guarded(record: Mapping[str, Any]) -> bool:
    fields = record.get("status_fields")
    verdict = fields.get("guardrail_status") if isinstance(fields, dict) else None
    return isinstance(verdict, str) and ("block" in verdict or "intervened" in verdict)


def _text(error: Mapping[str, Any], field: str) -> str:
    value = error.get(field)
    return str(value) if isinstance(value, str | int) else ""
