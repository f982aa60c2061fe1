"""Which events and which of their fields each lane's topic carries, and whose shard they go to.

Every event goes to `credential` first: all that is ever redelivered has the same key, so that is
where redelivery is decided. What is kept goes on to the other lanes that want it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors import CATALOG, Detector
from detectors.features import WINDOWS
from schemas.decode import WIRE
from schemas.finding import LANES, Lane
from streams.columns import Columns
from streams.kafka.routed import FOR_KEY as FOR_KEY

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]
_ODD = np.uint64(0x9E3779B97F4A7C15)
FIRST: Lane = "credential"

_SHOWN = (  # copied with a finding, and the envelope
    "event_schema_version", "event_id", "event_name", "timestamp", "tenant_id", "request_model",
    "tool_name", "input_tokens", "output_tokens", "cost_usd", "http_status", "error_type",
    "status", "client_address", "user_agent", "conversation_id", "resource_id",
)  # fmt: skip
_CALLER = ("api_key_id", "user_id", "session_id", "client_address_quality")
_READ = (  # by masks (`streams.columns`, `streams.masks`), or by detectors that do not say so
    "cache_creation_tokens", "cache_read_tokens", "content_input_hash", "content_output_hash",
    "deployment_id", "error_origin", "latency_ms", "mcp_server_name", "provider_name",
    "resource_owner_source", "resource_owner_tenant_id", "response_model", "server_address",
    "time_to_first_chunk_s", "tool_args_hash", "tool_destination_ids", "tool_result_sampled_ids",
    "tool_result_truncated", "tool_side_effect",
)  # fmt: skip
FIRST_ONLY = frozenset({"call_ids", "ingest_source"})  # redelivery and heartbeats
_ATTRIBUTE = {wire: attribute for attribute, wire in WIRE.items()}
REMEMBERS = {
    # by key, in the first lane
    "cache-collapse": "key", "cache-timing-probe": "key", "canary-key": "key",
    "first-touch-burn": "key", "key-beacon": "key", "logging-tamper": "key",
    "longer-hours": "key", "revoked-key": "key",
    "runaway-session": "key", "shared-key": "key", "stubborn-retry": "key",
    "unexplained-input": "key", "unmetered-usage": "key",
    # by session
    "duplicate-side-effect": "session", "leaked-canary": "session", "repeated-call": "session",
    "shared-session": "session", "toolset-change": "tool list",
    # by answer
    "echoed-response": "answer", "shared-cache": "answer",
    # by tenant
    "unlike-tenant": "tenant",
    # by provider and model, by tool, by deployment
    "fallback-drift": "service", "model-rotation": "service", "pool-saturation": "pool",
    "slow-first-token": "service", "thundering-herd": "service", "tool-drift": "service",
    "tool-truncation": "service", "vendor-drift": "service",
}  # fmt: skip
"""What an inspecting detector remembers by: a name among `_KEYS`. Of any other, one shard sees all
that it takes: right in any case, but it cannot be spread over workers."""
ELSEWHERE: dict[str, Lane] = {"foreign-resource": "resource"}
"""Detectors whose events go to another lane than the one their findings are about."""
ADDS = 1
"""A mark of an event: it only adds to a call told of before. The others say for which groups of the
lane it is."""


@dataclass(frozen=True)
class Group:
    """What of a lane is judged together, because it remembers by the same.

    Attributes:
        mark: of the events that are for it.
        names: of a lane with windows, and of inspecting detectors.
        by: what it remembers by, among `_KEYS`; "" when one shard sees all.
        place: of the group among all, so that those of which one shard sees all are spread.
    """

    mark: int
    names: tuple[str, ...]
    by: str
    place: int

    def home(self, shards: int) -> int:
        """The shard that sees all."""
        return self.place * 5 % shards

    def places(self, columns: Columns, rows: Ints, shards: int) -> Ints:
        """The shard of each of these rows."""
        if not self.by:
            return np.full(len(rows), self.home(shards))
        return np.asarray(_KEYS[self.by](columns)[rows] % np.uint64(shards), np.int64)


@dataclass(frozen=True)
class LaneSpec:
    """One lane's topic.

    Attributes:
        name: of the lane.
        groups: what is judged there.
        windows: columns that select events for its windows.
        fields: attributes of an event that it carries; the first lane carries all, because the
            others are fed from it.
    """

    name: str
    groups: tuple[Group, ...]
    windows: tuple[str, ...]
    fields: tuple[str, ...]

    def runs(self, number: int, shards: int) -> dict[int, tuple[str, ...]]:
        """What one of its shards judges, by the mark of the events."""
        return {
            group.mark: group.names
            for group in self.groups
            if group.by or number == group.home(shards)
        }


def _either(columns: Columns, *names: str) -> Hashes:
    """The first of these attributes that is known."""
    found: Hashes = columns.hashes(names[0])
    for name in names[1:]:
        found = np.asarray(np.where(found > 0, found, columns.hashes(name)), np.uint64)
    return found


def _service(columns: Columns) -> Hashes:
    """A tool, or a provider and its model."""
    tool = np.where(columns["tool_call"], columns.hashes("tool_name"), np.uint64(0))
    return np.asarray(np.where(tool > 0, tool, _model(columns)), np.uint64)


def _model(columns: Columns) -> Hashes:
    found = columns.hashes("provider_name") * _ODD ^ columns.hashes("request_model")
    return np.asarray(found, np.uint64)


_KEYS: dict[str, Callable[[Columns], Hashes]] = {
    "key": lambda c: _either(c, "api_key_id", "tenant_id"),
    "session": lambda c: _either(c, "conversation_id", "session_id", "api_key_id"),
    "tool list": lambda c: _either(c, "conversation_id", "session_id", "mcp_session_id"),
    "answer": lambda c: c.hashes("content_output_hash"),
    "service": _service,
    "pool": lambda c: _either(c, "server_address", "deployment_id", "request_model"),
    "address": lambda c: c.hashes("client_address"),
    "tenant": lambda c: c.hashes("tenant_id"),
}
_OWN: dict[Lane, str] = {
    "credential": "key", "session": "session", "resource": "answer", "service": "service",
    "origin": "address",
}  # fmt: skip
"""What a lane's windows remember by."""


def lane_of(kind: type[Detector]) -> Lane:
    """The lane whose shards an inspecting detector runs in."""
    lane: Lane = ELSEWHERE.get(kind.about.id, kind.lane)
    return "service" if lane == FIRST and REMEMBERS.get(kind.about.id) != "key" else lane


def _groups(name: Lane, inspecting: list[type[Detector]], windows: bool) -> tuple[Group, ...]:
    """By what they remember by; one of which one shard sees all stands alone."""
    by: dict[str, list[str]] = {_OWN[name]: [name] if windows else []}
    alone: list[list[str]] = []
    for kind in inspecting:
        what = REMEMBERS.get(kind.about.id)
        if what is None:
            alone.append([kind.about.id])
        else:
            by.setdefault(what, []).append(kind.about.id)
    found = [(what, names) for what, names in by.items() if names] + [("", one) for one in alone]
    first = 0 if by[_OWN[name]] else 1
    return tuple(
        Group(FOR_KEY << at, tuple(names), what, LANES.index(name) * 3 + at)
        for at, (what, names) in enumerate(found, first)
    )


def _spec(name: Lane) -> LaneSpec:
    inspecting = [kind for kind in CATALOG if kind.takes and lane_of(kind) == name]
    windows = [spec for spec in WINDOWS if spec.lane == name]
    shown = {spec.name for spec in windows}
    judging = [kind for kind in CATALOG if any(c.window in shown for c in kind.channels)]
    shows = [kind.about for kind in (*inspecting, *judging)]
    wanted = [name for about in shows for name in (*about.needs, *about.helps)]
    needed = [_ATTRIBUTE[need] for need in wanted if need in _ATTRIBUTE]
    fields = dict.fromkeys((*_SHOWN, *_CALLER, *_READ, *needed))
    selects = tuple(dict.fromkeys(spec.select for spec in windows))
    return LaneSpec(name, _groups(name, inspecting, bool(windows)), selects, tuple(fields))


def _specs() -> tuple[LaneSpec, ...]:
    others = tuple(spec for name in LANES if name != FIRST and (spec := _spec(name)).groups)
    first = _spec(FIRST)
    return (LaneSpec(FIRST, first.groups, (), tuple(WIRE)), *others)


SPECS = _specs()
"""Lanes that have something to judge; the first is fed by routers, the others by the first."""
BY_NAME = {spec.name: spec for spec in SPECS}
AFTER = SPECS[1:]  # lanes fed by the first
