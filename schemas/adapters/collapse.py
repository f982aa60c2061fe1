"""Makes one event of the records of one body that tell of the same call.

The rules, each also in docs/events.md:

1. A span and a log record with the same trace and span id are one call.
2. Tool spans of one trace are one call when they play different roles (client, internal, server),
   name the same tool (`docs_mcp-read_document` is `read_document`), and overlap in time; spans with
   a common parent, or one the parent of the other, are paired first. One of each role at most.
3. Model spans of one trace are one call when they share a call id of the gateway or a response id,
   overlap, and one is above the other or both serve one incoming request: callers can pin ids and
   traces, but not what a gateway puts below its own spans.
4. Refused keys of one incoming request are one.

The client's view is kept, what it lacks is filled in from the others, and all names are kept.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from schemas.adapters.draft import Draft
from schemas.adapters.family import Family
from schemas.adapters.genai import tool_word
from schemas.adapters.signal import CLIENT, SERVER, Signal
from schemas.event import MAX_LIST

MAX_COMPARED = 64  # records of one group, nearest in time, that one record is compared with

_NEVER_FILLED = frozenset({"call.ids", "ingest.source", "event.id", "timestamp", "latency_ms"})


@dataclass(eq=False, slots=True)
class Told:
    """A record that tells of a call, and what it says."""

    signal: Signal
    draft: Draft
    index: int

    def absorb(self, other: "Told") -> None:
        """Takes over what this record does not know, and the names of the other."""
        for name, value in other.draft.items():
            if name not in _NEVER_FILLED and self.draft.get(name) in (None, "", []):
                self.draft[name] = value
        names = dict.fromkeys([*self.draft["call.ids"], *other.draft["call.ids"]])
        self.draft["call.ids"] = list(names)[:MAX_LIST]


Call = tuple[Told, set[int]]
"""What is known of a call, and the roles of the spans that told of it."""


def collapse(told: list[Told], family: Family) -> list[Told]:
    """The calls of a body, in the order of their first records."""
    told = _grouped(told, _same_span, lambda a, b: True, _span_first)
    tools = [t for t in told if t.draft["event.name"] == "agent.tool_call"]
    models = [t for t in told if t.draft["event.name"] == "llm.request"]
    refused = [t for t in told if t.draft["event.name"] == "llm.auth_failure"]
    rest = [t for t in told if t.draft["event.name"] == "agent.tool_list"]

    def one_call(a: Told, b: Told) -> bool:
        return _overlap(a, b) and family.one_request(a.signal, b.signal)

    models = _grouped(models, lambda t: _shared(t, "request.id"), one_call, _richest)
    models = _grouped(models, lambda t: _shared(t, "gen_ai.response.id"), one_call, _richest)
    refused = _grouped(refused, lambda t: family.root(t.signal), lambda a, b: True, _richest)
    found = [*_one_tool_call(tools), *models, *refused, *rest]
    return sorted(found, key=lambda t: t.index)


def _grouped(
    told: list[Told],
    name_of: Callable[[Told], str],
    alike: Callable[[Told, Told], bool],
    rank: Callable[[Told], tuple[int, ...]],
) -> list[Told]:
    """One of every group of alike records; the highest rank absorbs the others."""
    kept: list[Told] = []
    groups: dict[str, list[Told]] = defaultdict(list)
    for one in sorted(told, key=rank, reverse=True):
        name = name_of(one)
        group = groups[name] if name else []
        twin = next((other for other in group[-MAX_COMPARED:] if alike(one, other)), None)
        if twin is None:
            kept.append(one)
            group.append(one)
        else:
            twin.absorb(one)
    return kept


def _same_span(told: Told) -> str:
    return f"{told.signal.trace_id}:{told.signal.span_id}" if told.signal.span_id else ""


def _span_first(told: Told) -> tuple[int, ...]:
    return (told.signal.kind == "span", -told.index)


def _richest(told: Told) -> tuple[int, ...]:
    return (
        told.signal.role == CLIENT,
        sum(value is not None for value in told.draft.values()),
        -told.index,
    )


def _shared(told: Told, field: str) -> str:
    value = told.draft.get(field)
    trace = told.signal.trace_id
    return f"{trace}:{value}" if trace and isinstance(value, str) and value else ""


def _overlap(a: Told, b: Told) -> bool:
    if "span" not in (a.signal.kind, b.signal.kind):
        return True
    return a.signal.start_ns <= b.signal.end_ns and b.signal.start_ns <= a.signal.end_ns


def _one_tool_call(tools: list[Told]) -> list[Told]:
    groups: dict[tuple[str, str], list[Told]] = defaultdict(list)
    for told in tools:
        groups[told.signal.trace_id, tool_word(told.draft.get("gen_ai.tool.name"))].append(told)
    kept: list[Told] = []
    for group in groups.values():
        group.sort(key=lambda t: (_preference(t.signal), t.signal.start_ns, t.index))
        calls: list[Call] = []  # by start
        for one in group:
            at = bisect_left(calls, one.signal.start_ns, key=_start)
            near = calls[max(0, at - MAX_COMPARED) : at + MAX_COMPARED]
            choice = _partner(one, near) if one.signal.trace_id else None
            if choice is None:
                calls.insert(at, (one, {one.signal.role}))
            else:
                choice[0].absorb(one)
                choice[1].add(one.signal.role)
        kept += [told for told, _ in calls]
    return kept


def _start(call: Call) -> int:
    return call[0].signal.start_ns


def _partner(one: Told, calls: list[Call]) -> Call | None:
    fitting = [
        (_related(one.signal, told.signal), -abs(one.signal.start_ns - told.signal.start_ns), at)
        for at, (told, roles) in enumerate(calls)
        if one.signal.role not in roles and _overlap(one, told) and _same_tool(one, told)
    ]
    return calls[max(fitting)[2]] if fitting else None


def _preference(signal: Signal) -> int:
    return {CLIENT: 0, SERVER: 2}.get(signal.role, 1)


def _related(a: Signal, b: Signal) -> bool:
    return bool(a.parent_id) and (
        a.parent_id == b.parent_id or a.parent_id == b.span_id or b.parent_id == a.span_id
    )


def _same_tool(a: Told, b: Told) -> bool:
    names = [str(t.draft.get("gen_ai.tool.name") or "") for t in (a, b)]
    short, long = sorted(names, key=len)
    return short == long or (
        len(long) > len(short) > 0 and long.endswith(short) and long[-len(short) - 1] in "-/.:_"
    )
