"""Writes canonical event lines from columns: the pen of the sample traffic.

A column is one value for all events or one value for each. Identities are fingerprints of names, so
a seed gives the same lines on every machine.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

START = datetime(2026, 10, 1, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

# model -> (provider, dollars per million input tokens, per million output tokens); the order of
# magnitude of list prices, reported in the events as a gateway would
MODELS: dict[str, tuple[str, float, float]] = {
    "gpt-4o": ("openai", 2.5, 10.0),
    "gpt-4o-mini": ("openai", 0.15, 0.6),
    "gpt-5.2": ("openai", 1.75, 14.0),
    "claude-opus-4-1": ("anthropic", 15.0, 75.0),
    "claude-sonnet-4-5": ("anthropic", 3.0, 15.0),
    "claude-haiku-4-5": ("anthropic", 1.0, 5.0),
    "gemini-2.5-pro": ("gcp.gemini", 1.25, 10.0),
    "gemini-2.5-flash": ("gcp.gemini", 0.3, 2.5),
    "mistral-large-2411": ("mistral_ai", 2.0, 6.0),
    "llama-3.3-70b": ("aws.bedrock", 0.72, 0.72),
    "nova-pro": ("aws.bedrock", 0.8, 3.2),
    "deepseek-r1": ("aws.bedrock", 1.35, 5.4),
    "command-r-plus": ("cohere", 2.5, 10.0),
    "grok-4": ("x_ai", 3.0, 15.0),
}
MODEL_NAMES = tuple(MODELS)
CACHED_SHARE_OF_PRICE = 0.1  # a cached input token costs a tenth

ERRORS = {
    400: "invalid_request",
    401: "auth",
    403: "permission",
    404: "not_found",
    429: "rate_limit",
    500: "server_error",
    503: "server_error",
}

Column = Any  # one value, or a sequence with one for each event
Times = npt.NDArray[np.int64]


class Line(NamedTuple):
    """One event, ready to be sent."""

    ms: int  # end of the operation, since 1970
    id: str
    cost_usd: float
    data: bytes  # the canonical line, without a newline


def fingerprint(*name: object) -> str:
    """The identity of a name, in the form of the installation's own fingerprints.

    >>> fingerprint("key", 1)
    'hmac:dadad8b106000f76'
    """
    return "hmac:" + _digest(8, name)


def fingerprints(count: int, *name: object) -> list[str]:
    """`count` different identities that belong to one name.

    >>> fingerprints(2, "prompt")
    ['hmac:257be9eb02633ff6', 'hmac:79fc9267474c081d']
    """
    text = "|".join(map(str, name)).encode()
    digits = hashlib.shake_128(text).hexdigest(8 * count)
    return [f"hmac:{digits[i : i + 16]}" for i in range(0, 16 * count, 16)]


def event_ids(name: tuple[object, ...], count: int) -> list[str]:
    """`count` different UUID-shaped ids that belong to `name`."""
    h = _digest(8, name)
    return [f"{h[:8]}-{h[8:12]}-5{h[12:15]}-8000-{i:012x}" for i in range(count)]


def at(day: float, hour: float = 0.0) -> int:
    """Milliseconds since 1970 of an instant `day` days and `hour` hours into the samples."""
    return START_MS + round(day * DAY_MS + hour * HOUR_MS)


def instant(ms: int) -> datetime:
    """The aware datetime of an instant in ms since 1970."""
    return START + timedelta(milliseconds=ms - START_MS)


def llm_lines(
    name: tuple[object, ...],
    ms: Times,
    *,
    tenant: str | None,
    key: str,
    model: Column,
    address: Column,
    agent: Column,
    prompt: Column,
    tokens_in: Column,
    tokens_out: Column,
    cached: Column = 0,
    status: Column = 200,
    latency_ms: Column = 900,
    conversation: Column = None,
    event: str = "llm.request",
) -> list[Line]:
    """Model calls. `prompt` is the fingerprint of the input; failed calls cost nothing.

    Args:
        name: what the ids are made from; two calls with one name give the same ids.
        status: HTTP status; 200 is a success.
    """
    n = len(ms)
    who = _joined({"tenant.id": tenant, "api_key.id": key})
    columns = zip(
        event_ids(name, n),
        ms.tolist(),
        _stamps(ms),
        *(_column(c, n) for c in (model, address, agent, prompt, tokens_in, tokens_out)),
        *(_column(c, n) for c in (cached, status, latency_ms, conversation)),
        strict=True,
    )
    lines = []
    for id_, t, stamp, m, ip, ua, hash_, tin, tout, cache, http, latency, talk in columns:
        provider, price_in, price_out = MODELS[m]
        ok = http == 200
        if not ok:
            tout = cache = 0
        paid = (tin - cache + CACHED_SHARE_OF_PRICE * cache) * price_in + tout * price_out
        cost = round(paid / 1e6, 8) if ok else 0.0
        outcome = '"ok"' if ok else f'"error","error.type":"{ERRORS[http]}"'
        talked = f'"gen_ai.conversation.id":"{talk}",' if talk else ""
        lines.append(
            Line(
                t,
                id_,
                cost,
                (
                    f'{{"event.schema_version":"1.0","event.id":"{id_}","event.name":"{event}",'
                    f'"event.granularity":"attempt","timestamp":"{stamp}Z",'
                    f'"ingest.source":"canonical",{who}{talked}"gen_ai.operation.name":"chat",'
                    f'"gen_ai.provider.name":"{provider}","gen_ai.request.model":"{m}",'
                    f'"gen_ai.usage.input_tokens":{tin},"gen_ai.usage.output_tokens":{tout},'
                    f'"gen_ai.usage.cache_read.input_tokens":{cache},"cost.usd":{cost!r},'
                    f'"cost.source":"reported","latency_ms":{latency},"status":{outcome},'
                    f'"http.response.status_code":{http},"retry.evidence":"inferred",'
                    f'"client.address":"{ip}","client.address.quality":"peer",'
                    f'"user_agent.original":"{ua}","content.input.hash":"{hash_}"}}'
                ).encode(),
            )
        )
    return lines


def tool_lines(
    name: tuple[object, ...],
    ms: Times,
    *,
    tenant: str,
    key: str,
    session: Column,
    tool: Column,
    args: Column,
    address: Column,
    resource: Column = None,
    owner: Column = None,
    side_effect: Column = False,
    ok: Column = True,
    idempotency: Column = None,
    destination: Column = None,
    acl: str | None = None,
) -> list[Line]:
    """Tool calls of agents. `args`, `resource` and `destination` are fingerprints."""
    n = len(ms)
    who = _joined({"tenant.id": tenant, "api_key.id": key, "tool.acl.decision": acl})
    columns = zip(
        event_ids(name, n),
        ms.tolist(),
        _stamps(ms),
        *(_column(c, n) for c in (session, tool, args, address, resource, owner)),
        *(_column(c, n) for c in (side_effect, ok, idempotency, destination)),
        strict=True,
    )
    lines = []
    for id_, t, stamp, talk, used, hash_, ip, thing, owns, effect, fine, once, to in columns:
        optional = _joined(
            {
                "resource.id": thing,
                "resource.owner.tenant_id": owns,
                "resource.owner.source": "resolver:registry" if owns else None,
                "idempotency_key.id": once,
            }
        )
        sent = f'"tool.destination.ids":["{to}"],' if to else ""
        outcome = '"ok"' if fine else '"error","error.type":"timeout"'
        text = (
            f'{{"event.schema_version":"1.0","event.id":"{id_}","event.name":"agent.tool_call",'
            f'"event.granularity":"request","timestamp":"{stamp}Z","ingest.source":"canonical",'
            f'{who}"gen_ai.conversation.id":"{talk}","gen_ai.operation.name":"execute_tool",'
            f'"gen_ai.tool.name":"{used}","tool.args.hash":"{hash_}","tool.args.size":64,'
            f'"tool.side_effect":{json.dumps(bool(effect))},{sent}{optional}"status":{outcome},'
            f'"client.address":"{ip}","client.address.quality":"peer","retry.evidence":"none"}}'
        )
        lines.append(Line(t, id_, 0.0, text.encode()))
    return lines


def _joined(fields: dict[str, str | None]) -> str:
    return "".join(f'"{name}":"{value}",' for name, value in fields.items() if value is not None)


def _stamps(ms: Times) -> list[str]:
    texts: list[str] = np.datetime_as_string(ms.astype("datetime64[ms]"), unit="us").tolist()
    return texts


def _column(value: Column, n: int) -> Sequence[Any]:
    if isinstance(value, np.ndarray):
        plain: list[Any] = value.tolist()
        return plain
    return value if isinstance(value, list) else [value] * n


def _digest(size: int, name: tuple[object, ...]) -> str:
    return hashlib.blake2b("|".join(map(str, name)).encode(), digest_size=size).hexdigest()
