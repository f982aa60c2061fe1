"""Which events and which of their fields each lane's topic carries, and whose shard they go to.

Every event goes to `credential` first: all that is ever redelivered has the same key, so that is
where redelivery is decided. What is kept goes on to the other lanes that want it.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import msgspec
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
KEYED = frozenset(
    {
        # by key
        "cache-collapse", "canary-key", "first-touch-burn", "key-beacon", "logging-tamper",
        "revoked-key", "runaway-session", "shared-key", "unmetered-usage",
        # by session
        "duplicate-side-effect", "repeated-call", "shared-session",
        # by provider and model, or by tool
        "fallback-drift", "model-rotation", "slow-first-token", "tool-drift", "tool-truncation",
        "vendor-drift",
    }
)  # fmt: skip
"""Inspecting detectors that remember by the key of their lane. Any other runs in one shard that
sees all of the lane's events: right in any case, but it cannot be spread over workers."""
ELSEWHERE = {"foreign-resource": "resource"}
"""Detectors whose events go to another lane than the one their findings are about."""
ADDS, FOR_ALL = 1, 4
"""Marks of an event: only adds to a call told of before; goes to the shard of its key; goes to the
shard that sees all."""


@dataclass(frozen=True)
class LaneSpec:
    """One lane's topic.

    Attributes:
        name: of the lane.
        judges: lanes with windows and ids of inspecting detectors that every shard runs.
        judges_all: ids of those that one shard runs for all.
        masks: columns that select events for `judges`; empty selects all.
        fields: attributes of an event that it carries; the first lane carries all, because the
            others are fed from it.
    """

    name: str
    judges: tuple[str, ...]
    judges_all: tuple[str, ...]
    masks: tuple[str, ...]
    fields: tuple[str, ...]

    def home(self, shards: int) -> int:
        """The shard that sees all."""
        return LANES.index(self.name) * 5 % shards if self.name in LANES else 0

    def runs(self, number: int, shards: int) -> dict[int, tuple[str, ...]]:
        """What one of its shards judges, by the mark of the events."""
        found = {FOR_KEY: self.judges, FOR_ALL: self.judges_all}
        return {
            mark: names
            for mark, names in found.items()
            if names and (mark == FOR_KEY or number == self.home(shards))
        }

    def places(self, columns: Columns, rows: Ints, shards: int) -> Ints:
        """The shard of each of these rows, by the key that this lane remembers."""
        return np.asarray(_KEYS[self.name](columns)[rows] % np.uint64(shards), np.int64)


def _either(columns: Columns, *names: str) -> Hashes:
    """The first of these attributes that is known."""
    found: Hashes = columns.hashes(names[0])
    for name in names[1:]:
        found = np.asarray(np.where(found > 0, found, columns.hashes(name)), np.uint64)
    return found


def _service(columns: Columns) -> Hashes:
    """A tool, or a provider and its model."""
    provider, model = columns.hashes("provider_name"), columns.hashes("request_model")
    tool = columns.hashes("tool_name")
    return np.asarray(np.where(tool > 0, tool, provider * _ODD ^ model), np.uint64)


_KEYS: dict[str, Callable[[Columns], Hashes]] = {
    "credential": lambda c: _either(c, "api_key_id", "tenant_id"),
    "session": lambda c: _either(c, "conversation_id", "session_id", "api_key_id"),
    "resource": lambda c: c.hashes("resource_id"),
    "service": _service,
    "origin": lambda c: c.hashes("client_address"),
}


def lane_of(kind: type[Detector]) -> str:
    """The lane whose shards an inspecting detector runs in."""
    lane = ELSEWHERE.get(kind.about.id, kind.lane)
    return "service" if lane == FIRST and kind.about.id not in KEYED else lane


def _spec(name: Lane) -> LaneSpec:
    inspecting = [kind for kind in CATALOG if kind.takes and lane_of(kind) == name]
    keyed = [kind for kind in inspecting if kind.about.id in KEYED]
    others = [kind.about.id for kind in inspecting if kind.about.id not in KEYED]
    windows = [spec for spec in WINDOWS if spec.lane == name]
    masks = [spec.select for spec in windows] + [kind.takes for kind in keyed]
    shown = {spec.name for spec in windows}
    judging = [kind for kind in CATALOG if any(c.window in shown for c in kind.channels)]
    shows = [kind.about for kind in (*inspecting, *judging)]
    wanted = [name for about in shows for name in (*about.needs, *about.helps)]
    needed = [_ATTRIBUTE[need] for need in wanted if need in _ATTRIBUTE]
    judges = ([name] if windows else []) + [kind.about.id for kind in keyed]
    fields = dict.fromkeys((*_SHOWN, *_CALLER, *_READ, *needed))
    every = dict.fromkeys(masks)
    return LaneSpec(name, tuple(judges), tuple(others), tuple(every), tuple(fields))


def _specs() -> tuple[LaneSpec, ...]:
    found = (_spec(name) for name in LANES if name != FIRST)
    others = tuple(spec for spec in found if spec.judges or spec.judges_all)
    first = _spec(FIRST)
    return (LaneSpec(FIRST, first.judges, (), (), tuple(WIRE)), *others)


SPECS = _specs()
"""Lanes that have something to judge; the first is fed by routers, the others by the first."""
BY_NAME = {spec.name: spec for spec in SPECS}
AFTER = SPECS[1:]  # lanes fed by the first


class Narrow:
    """Leaves of canonical lines the fields that a lane carries, byte for byte.

    >>> narrow = Narrow(("event_id", "tenant_id"))
    >>> narrow(b'{"event.id":"a","x":1,"tenant.id":null}\\n{"event.id":"b"}')
    b'{"event.id":"a","tenant.id":null}\\n{"event.id":"b"}'
    """

    def __init__(self, fields: Collection[str]) -> None:
        members = [(name, msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for name in fields]
        rename = {name: WIRE[name] for name in fields}
        kind = msgspec.defstruct("Narrow", members, rename=rename, gc=False)
        self._decode = msgspec.json.Decoder(kind).decode_lines
        self._encode = msgspec.json.Encoder().encode_lines

    def __call__(self, lines: bytes) -> bytes:
        """As many lines, without the other fields."""
        return self._encode(self._decode(lines))[:-1]
