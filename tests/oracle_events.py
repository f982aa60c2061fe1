"""What one event says, as the oracle reads it: outcomes, masks and amounts, from plain JSON."""

import zlib
from collections import Counter
from datetime import datetime
from typing import Any

from detectors.features import WindowSpec

AHEAD_MS = 300_000
STEPS = 50

MET = {
    "model": "gen_ai.request.model",
    "address": "client.address",
    "client": "user_agent.original",
}
_ITEMS = {
    "model": "gen_ai.request.model",
    "prompt": "content.input.hash",
    "key": "api_key.id",
    "tenant": "tenant.id",
}
_DENIED = {"auth", "permission", "not_found", "invalid_request"}


def milliseconds(text: str) -> int:
    """An instant in ms since 1970."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return round(moment.timestamp() * 1000)


def stamped(event: dict[str, Any], time: int) -> bool:
    """Whether ingest bears an event's time out."""
    stamp = event.get("observed_timestamp")
    return stamp is not None and time <= milliseconds(stamp) + AHEAD_MS


def tokens(event: dict[str, Any]) -> int:
    """Input and output tokens."""
    used = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
    return sum(event.get(name) or 0 for name in used)


def outcome(event: dict[str, Any]) -> frozenset[str]:
    """What came of it: any of ok, denied, limited, other."""
    code, error = event.get("http.response.status_code", 0), event.get("error.type")
    found = set()
    if 200 <= code < 300:
        found.add("ok")
    if code in (400, 401, 403, 404) or error in _DENIED:
        found.add("denied")
    if code == 429 or error == "rate_limit":
        found.add("limited")
    if error is not None and error not in _DENIED and error != "rate_limit":
        found.add("other")
    if not found and event.get("status") is not None:
        found.add({"ok": "ok", "error": "other", "blocked": "denied"}[event["status"]])
    if event["event.name"] == "llm.auth_failure":
        found.add("denied")
    return frozenset(found)


def _failed(event: dict[str, Any]) -> bool:
    failed = bool(outcome(event) & {"denied", "limited", "other"})
    return failed or event.get("http.response.status_code", 0) >= 400


def _model_call(event: dict[str, Any]) -> bool:
    return event["event.name"] in ("llm.request", "llm.auth_failure") and "api_key.id" in event


def _refused_at_origin(event: dict[str, Any]) -> bool:
    return (
        event["event.name"] in ("llm.request", "llm.auth_failure")
        and "denied" in outcome(event)
        and "client.address" in event
        and event.get("client.address.quality") in ("peer", "xff_trusted")
    )


SELECTS = {"model_call": _model_call, "refused_at_origin": _refused_at_origin}


def _tool_call(event: dict[str, Any]) -> bool:
    return bool(event["event.name"] == "agent.tool_call")


TAKES = {
    "tool_call": _tool_call,
    "failed_tool_call": lambda e: _tool_call(e) and e.get("status") == "error",
    "resource_call": lambda e: _tool_call(e) and "resource.id" in e,
    "acting_call": lambda e: _tool_call(e) and bool(e.get("tool.side_effect")),
    "in_session": lambda e: "gen_ai.conversation.id" in e or "session.id" in e,
}


def window_of(spec: WindowSpec, key: str, time: int) -> tuple[int, int]:
    """Number and start of the window an event falls into; a key's are shifted by its hash."""
    phase = (zlib.crc32(key.encode()) >> 1) % STEPS * (spec.width_ms // STEPS)
    number = (time + phase) // spec.width_ms
    return number, number * spec.width_ms - phase


def amounts(
    spec: WindowSpec, event: dict[str, Any], marks: dict[str, bool], values: dict[str, Counter[str]]
) -> dict[str, int]:
    """By how much an event makes each feature of its window grow."""
    came = outcome(event)
    masks = {
        "": True,
        "denied": "denied" in came,
        "rate_limited": "limited" in came,
        "limited_unnamed": "limited" in came and "content.input.hash" not in event,
        "answered": not came & {"denied", "limited"},
        "wasted": event.get("cost.usd", 0.0) > 0 and _failed(event),
        **marks,
    }
    sums = {"one": 1, "tokens": tokens(event), "nanousd": round(event.get("cost.usd", 0.0) * 1e9)}
    grown = {}
    for feature in spec.features:
        if not masks[feature.where]:
            continue
        kind = type(feature).__name__
        if kind == "Total":
            grown[feature.name] = sums[feature.of]
        elif (value := event.get(_ITEMS[feature.of])) is not None:
            counts = values.setdefault(feature.name, Counter())
            most = max(counts.values(), default=0)
            counts[value] += 1
            grew = counts[value] == 1 if kind == "Distinct" else counts[value] > max(most, 1)
            grown[feature.name] = int(grew)
    return grown
