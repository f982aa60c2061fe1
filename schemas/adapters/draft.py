"""Turns a draft (wire names and raw values) into a canonical line, or says why it cannot.

Adapters collect values as their source spells them; bounds, types, secrets and clocks are settled
here, once, for all of them.
"""

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import msgspec
from annotated_types import MaxLen

from schemas.adapters.base import Context, Refused
from schemas.adapters.clean import clean
from schemas.decode import EventRecord, explain
from schemas.event import MAX_COST_USD, MAX_LIST, SCHEMA_VERSION, Event
from schemas.identity import fingerprint, identifier
from schemas.prices import list_prices

MAX_AHEAD = timedelta(minutes=5)  # an event further ahead of its arrival is refused
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_NS = (datetime(9999, 12, 31, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1) * 1000

Draft = dict[str, Any]

FINGERPRINTS = frozenset(
    {"api_key.id", "idempotency_key.id", "tool.args.hash", "content.input.hash"}
    | {"content.output.hash", "tool.destination.ids"}
)
"""Fields that hold fingerprints only; anything else that arrives there is hashed."""

MACHINE_IDS = frozenset(
    {"request.id", "gen_ai.response.id", "gen_ai.tool.call.id", "gen_ai.conversation.id"}
    | {"session.id", "mcp.session.id", "jsonrpc.request.id", "call.ids", "ingest.native_id"}
    | {"llm.deployment.id", "gen_ai.agent.id", "enduser.id", "trace_id", "span_id"}
)
"""Ids that programs make and callers may choose: with a space inside they are hashed."""


def _limit(annotation: Any, metadata: Iterable[Any] = ()) -> int | None:
    for rule in metadata:
        if isinstance(rule, MaxLen):
            return rule.max_length
    for part in get_args(annotation):
        if (found := _limit(part, getattr(part, "__metadata__", ()))) is not None:
            return found
    return None


def _wire(kind: type) -> dict[str, int]:
    """Wire name -> longest text, for the fields whose values are of `kind`."""
    return {
        info.alias or name: _limit(info.annotation, info.metadata) or 0
        for name, info in Event.model_fields.items()
        if kind in _kinds(info.annotation)
    }


def _kinds(annotation: Any) -> set[Any]:
    parts = get_args(annotation)
    return {annotation} | {kind for part in parts for kind in _kinds(part)}


_LISTS = {
    info.alias or name: 256
    for name, info in Event.model_fields.items()
    if "tuple" in str(info.annotation)
}
_TEXTS = {name: limit for name, limit in _wire(str).items() if limit and name not in _LISTS}
_INTEGERS = _wire(int)
_FLOATS = _wire(float)


def finish(draft: Draft, context: Context) -> bytes:
    """The canonical line of a draft.

    Raises:
        Refused: which field, and why.
    """
    estimate_cost(draft, context)
    values: Draft = {"event.schema_version": SCHEMA_VERSION}
    for name, value in draft.items():
        if value is None or value in ("", [], ()):
            continue
        values[name] = settle(name, value, context.pepper)
    if context.observed is not None:
        stamp(values, context.observed)
    try:
        return msgspec.json.encode(msgspec.convert(values, EventRecord))
    except (msgspec.ValidationError, ValueError, OverflowError):
        reason = explain(msgspec.json.encode(values))
        raise Refused(reason.field, reason.reason) from None


def estimate_cost(draft: Draft, context: Context) -> None:
    """Adds a list-price estimate to a model call whose source reports no cost."""
    if draft.get("event.name") != "llm.request":
        return
    usage = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
    if not all(isinstance(draft.get(name), int | None) for name in usage):
        return  # an oddly typed count is refused later, with its name
    cached = (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.request.model",
        "gen_ai.response.model",
    )
    if not all(isinstance(draft.get(name), int | str | None) for name in cached):
        return
    table = list_prices() if context.prices is None else context.prices
    if (found := table.estimate(draft)) and found[0] <= MAX_COST_USD:
        draft["cost.usd"], draft["cost.source"] = found


def stamp(values: Draft, observed: datetime) -> None:
    """Adds the time of arrival and holds the event's clock against it.

    Raises:
        Refused: the event lies more than `MAX_AHEAD` ahead of its arrival.
    """
    values["observed_timestamp"] = observed
    try:
        ahead = datetime.fromisoformat(str(values.get("timestamp"))) - observed
    except (ValueError, TypeError):
        return  # refused for its form, not for its clock
    if ahead > MAX_AHEAD:
        raise Refused("timestamp", "clock_ahead")


def settle(name: str, value: Any, pepper: bytes) -> Any:
    """One value as its field wants it: bounded, hashed or cleaned.

    Raises:
        Refused: it cannot be made fit.
    """
    if name in _LISTS:
        if not isinstance(value, list | tuple):
            raise Refused(name, "should be a list")
        return [
            _text(name, item, pepper, 256) for item in value[:MAX_LIST] if item not in ("", None)
        ]
    if (limit := _TEXTS.get(name)) is not None:
        return _text(name, value, pepper, limit)
    if name in _INTEGERS or name in _FLOATS:
        return _number(name, value, whole=name in _INTEGERS)
    return value


def _text(name: str, value: Any, pepper: bytes, limit: int) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)[:64]
    if not isinstance(value, str):
        raise Refused(name, "should be text")
    if name in FINGERPRINTS:
        return identifier(pepper, value)
    if name in MACHINE_IDS and len(value.split(None, 1)) > 1:
        return fingerprint(pepper, value)  # a sentence is no id, whoever sent it as one
    return clean(pepper, value, limit)


def _number(name: str, value: Any, whole: bool) -> int | float:
    if isinstance(value, bool):
        raise Refused(name, "should be a number")
    if isinstance(value, str) and len(value) <= 32:
        try:
            value = float(value) if any(c in value for c in ".eEnN") else int(value)
        except ValueError:
            raise Refused(name, "should be a number") from None
    if not isinstance(value, int | float):
        raise Refused(name, "should be a number")
    if isinstance(value, int) and value.bit_length() > 63:
        raise Refused(name, "number out of range")
    if not math.isfinite(value):
        raise Refused(name, "should be a finite number")
    if whole and value != int(value):
        raise Refused(name, "should be a whole number")
    return int(value) if whole else float(value)


def from_ns(nanoseconds: int, field: str) -> str:
    """RFC 3339 of nanoseconds since 1970, rounded down to microseconds.

    Raises:
        Refused: not between 1970 and 9999.
    """
    if not 0 < nanoseconds <= MAX_NS:
        raise Refused(field, "no instant between 1970 and 9999")
    return rfc3339(EPOCH + timedelta(microseconds=nanoseconds // 1000))


def rfc3339(moment: datetime) -> str:
    """The one form that the fast decoder reads fastest."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
