"""Takes OpenTelemetry traces and logs, as protobuf or JSON, and keeps what tells of calls."""

from collections.abc import Callable, Iterator

from schemas.adapters import otlp_json, spellings
from schemas.adapters.base import Adapted, Context, Refused, Rejections
from schemas.adapters.collapse import Told, collapse
from schemas.adapters.draft import finish
from schemas.adapters.enrich import enrich
from schemas.adapters.family import Family
from schemas.adapters.genai import draft_of
from schemas.adapters.kinds import kind_of
from schemas.adapters.otlp_json import Item
from schemas.adapters.read import BOM
from schemas.adapters.signal import Signal
from schemas.adapters.wire import is_text

PROVIDES = (
    frozenset(spellings.TEXTS)
    | frozenset(spellings.COUNTS)
    | frozenset(
        {
            "event.id",
            "event.name",
            "timestamp",
            "ingest.native_id",
            "call.ids",
            "trace_id",
            "span_id",
        }
        | {"tenant.id", "tenant.id.source", "gen_ai.provider.name", "gen_ai.operation.name"}
        | {"llm.deployment.id", "gen_ai.request.stream", "cost.usd", "cost.source", "latency_ms"}
        | {"gen_ai.response.time_to_first_chunk", "gen_ai.response.finish_reasons", "status"}
        | {"error.type", "error.native_type", "error.origin", "http.response.status_code"}
        | {"http.request.resend_count", "retry.evidence", "idempotency_key.id", "client.address"}
        | {"client.address.quality", "tool.args.hash", "tool.args.size", "tool.result.size"}
        | {"tool.side_effect", "tool.destination.ids", "resource.id"}
        | {"content.input.hash", "content.output.hash"}
    )
)


def adapt_traces(body: bytes, context: Context) -> Adapted:
    """Events of an export of spans."""
    return _adapt(body, False, context)


def adapt_logs(body: bytes, context: Context) -> Adapted:
    """Events of an export of log records."""
    return _adapt(body, True, context)


def _items(body: bytes, logs: bool) -> tuple[Iterator[Item], Rejections]:
    if is_text(body.removeprefix(BOM)):
        return otlp_json.read(body), Rejections()
    from schemas.adapters import otlp_protobuf  # costs 0.1 s, and most commands do without

    return otlp_protobuf.read(body, logs), Rejections(joint=b"")


def _adapt(body: bytes, logs: bool, context: Context) -> Adapted:
    items, rejections = _items(body, logs)
    signals: list[Signal] = []
    told: list[Told] = []
    raw = {}
    count = 0

    def refuse(field: str, reason: str, index: int, written: Callable[[], bytes]) -> None:
        rejections.add(field, reason, b"" if rejections.closed else written(), index)

    for index, (signal, written) in enumerate(items):
        count = index + 1
        if isinstance(signal, Refused):
            refuse(signal.field, signal.reason, index, written)
            continue
        signals.append(signal)
        try:
            if (name := kind_of(signal)) is not None:
                told.append(Told(signal, draft_of(signal, name, context), index))
                raw[index] = written
        except Refused as error:
            refuse(error.field, error.reason, index, written)
        except (RecursionError, ValueError, TypeError, OverflowError) as error:
            # A shape nobody foresaw must not cost its neighbours.
            refuse("", f"not understood ({type(error).__name__})", index, written)
    family = Family(signals)
    calls = collapse(told, family)
    enrich(calls, family)
    events: list[bytes] = []
    for call in calls:
        try:
            events.append(finish(call.draft, context))
        except (Refused, RecursionError, ValueError, TypeError, OverflowError) as error:
            refused = error if isinstance(error, Refused) else Refused("", type(error).__name__)
            rejections.add(refused.field, refused.reason, raw[call.index](), call.index)
    refusals = rejections.all()
    ignored = count - len(events) - sum(refusal.count for refusal in refusals)
    return Adapted(events, refusals, max(0, ignored))
