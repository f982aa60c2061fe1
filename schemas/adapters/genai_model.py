"""Reads what is particular to a model call from a span or log record: usage, cost, contents."""

import re
from typing import Any

from schemas.adapters import contents, spellings
from schemas.adapters.base import Context
from schemas.adapters.draft import Draft
from schemas.adapters.signal import Signal

MAX_PARTS = 512  # flattened members of a conversation


def model_call(signal: Signal, context: Context) -> Draft:
    """Models, usage, cost, first token and fingerprints of contents, as `signal` tells them."""
    draft: Draft = {
        name: _count(name, signal.first(names)) for name, names in spellings.COUNTS.items()
    }
    draft |= _asked(signal)
    cost = signal.first(spellings.COST)
    if any(name.startswith("langfuse.") for name in signal.attributes):
        draft, cost = _langfuse(signal, draft, cost)
    _settle_inclusion(draft)
    pepper = context.pepper
    stream = signal.first(spellings.STREAM)
    if isinstance(stream, str):
        stream = stream.lower() == "true"
    return draft | {
        "cost.usd": cost,
        "cost.source": None if cost is None else "reported",
        "gen_ai.request.stream": stream if stream is not None else draft["gen_ai.request.stream"],
        "gen_ai.response.time_to_first_chunk": _first_chunk(signal),
        "gen_ai.response.finish_reasons": _finish(signal),
        "content.input.hash": _hash(signal, spellings.PROMPT, spellings.PROMPT_PARTS, pepper),
        "content.output.hash": _hash(signal, spellings.ANSWER, spellings.ANSWER_PARTS, pepper),
    }


def _asked(signal: Signal) -> Draft:
    """Models, ids and flags, also from the parameters and answers some dialects carry as JSON."""
    parameters = contents.parsed(signal.attributes.get("llm.invocation_parameters"))
    parameters = parameters if isinstance(parameters, dict) else {}
    served = signal.first(spellings.TEXTS["gen_ai.response.model"])
    asked = signal.first(spellings.TEXTS["gen_ai.request.model"])
    hidden = contents.parsed(signal.attributes.get("hidden_params"))
    draft: Draft = {"gen_ai.request.stream": None}
    if isinstance(parameters.get("stream"), bool):
        draft["gen_ai.request.stream"] = parameters["stream"]
    draft["gen_ai.request.model"] = asked or parameters.get("model") or served
    gateway = "litellm.call_id" in signal.attributes or isinstance(hidden, dict)
    draft["gen_ai.response.model"] = None if gateway and served == asked else served
    if user := parameters.get("user"):
        draft["enduser.id"] = signal.first(spellings.TEXTS["enduser.id"]) or user
    if "openinference.span.kind" in signal.attributes and not signal.first(("gen_ai.response.id",)):
        answer = contents.parsed(signal.attributes.get("output.value"))
        if isinstance(answer, dict) and isinstance(answer.get("id"), str):
            draft |= {"gen_ai.response.id": answer["id"], "request.id": answer["id"]}
    if isinstance(hidden, dict):
        draft |= _hidden(hidden)
        usage = signal.text(("metadata.usage_object",))
        for name, word in (
            ("gen_ai.usage.cache_read.input_tokens", "cached_tokens"),
            ("gen_ai.usage.reasoning.output_tokens", "reasoning_tokens"),
        ):
            if signal.first(spellings.COUNTS[name]) is None:
                found = re.search(rf"['\"]{word}['\"]: ?(\d{{1,12}})\b", usage[:65536])
                draft |= {name: int(found[1])} if found else {}
    return draft


def _langfuse(signal: Signal, draft: Draft, cost: Any) -> tuple[Draft, Any]:
    """Usage and cost, which Langfuse writes as JSON."""
    usage = contents.parsed(signal.attributes.get("langfuse.observation.usage_details"))
    costs = contents.parsed(signal.attributes.get("langfuse.observation.cost_details"))
    usage = usage if isinstance(usage, dict) else {}
    for field, names in spellings.LANGFUSE_USAGE.items():
        value = next((usage[name] for name in names if usage.get(name) is not None), None)
        draft[field] = value if draft[field] is None else draft[field]
    if cost is None and isinstance(costs, dict):
        cost = costs.get("total")
    return draft, cost


def _hidden(hidden: dict[str, Any]) -> Draft:
    draft: Draft = {"llm.deployment.id": str(hidden.get("model_id") or "")[:16]}
    headers = hidden.get("additional_headers")
    retries = headers.get("x-litellm-attempted-retries") if isinstance(headers, dict) else None
    if retries is not None:
        draft |= {"http.request.resend_count": retries, "retry.evidence": "reported_total"}
    return draft


def _settle_inclusion(draft: Draft) -> None:
    """Cached input is part of the input; a source whose cache exceeds its input counts it apart."""
    names = [name for name in spellings.COUNTS if "cache" in name]
    counted, cached = draft["gen_ai.usage.input_tokens"], [draft[name] for name in names]
    apart = sum(value for value in cached if isinstance(value, int))
    if isinstance(counted, int) and apart > counted:
        draft["gen_ai.usage.input_tokens"] = counted + apart


def _count(name: str, value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _first_chunk(signal: Signal) -> float | None:
    seconds = signal.first(spellings.FIRST_CHUNK_S)
    if isinstance(seconds, int | float) and not isinstance(seconds, bool):
        return seconds
    milliseconds = signal.first(spellings.FIRST_CHUNK_MS)
    if isinstance(milliseconds, int | float) and not isinstance(milliseconds, bool):
        return milliseconds / 1000
    times = [h.time_ns for h in signal.happenings if h.name in spellings.FIRST_CHUNK_EVENTS]
    if times and signal.start_ns and min(times) >= signal.start_ns:
        return round((min(times) - signal.start_ns) / 1e9, 9)
    return None


def _finish(signal: Signal) -> list[str]:
    value = contents.parsed(signal.first(spellings.FINISH))
    if isinstance(value, str):
        return [value]
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


def _hash(
    signal: Signal, names: tuple[str, ...], prefixes: tuple[str, ...], pepper: bytes
) -> str | None:
    value = signal.first(names)
    if value is None:
        parts = {
            name[len(prefix) :]: item
            for prefix in prefixes
            for name, item in list(signal.attributes.items())
            if name.startswith(prefix) and len(name) > len(prefix)
        }
        value = dict(list(parts.items())[:MAX_PARTS])
    return contents.content_hash(pepper, value)
