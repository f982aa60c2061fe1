"""However many names a stream brings, a detector's memory keeps its bound."""

from functools import cache
from typing import Any

import numpy as np
import pytest

from detectors import CATALOG, Detector
from detectors.long_memory import LongMemory
from detectors.memory import Memory
from schemas.reader import Reader
from streams.columns import Columns
from tests.detecting import call, tool

INSPECTING = [kind for kind in CATALOG if kind.takes and kind().memory is not None]
EACH = pytest.mark.parametrize("kind", INSPECTING, ids=[kind.about.id for kind in INSPECTING])
LIMIT = 40
NAMES = 3 * LIMIT
FULL = {
    "foreign-resource",
    "shared-session",
    "shared-cache",
    "echoed-response",
    "toolset-change",
    "exfil-footprint",
    "resource-enumeration",
    "cache-timing-probe",
    "unexplained-input",
    "duplicate-side-effect",
    "repeated-call",
    "stubborn-retry",
    "runaway-session",
    "thundering-herd",
    "pool-saturation",
}


def all_kinds(i: int) -> list[bytes]:
    """Events of every kind, each with names that no other event has."""
    who: dict[str, Any] = {"key": f"hmac:{i:016x}", "model": f"m{i}", "session": f"session-{i}-x"}
    word = {"output_tokens": 1, "input_tokens": 50, "time_to_first_chunk_s": 0.1}
    sends = {"side_effect": True, "tool_destination_ids": (f"to{i}",), "resource": f"r{i}"}
    return [
        call(i, prompt=f"p{i}", **who, **word),
        call(i, prompt=f"q{i}", input_tokens=90_000, **who),
        call(i, prompt=f"p{i}", content_output_hash=f"a{i}", output_tokens=500, **who),
        call(i, prompt=f"p{i}", **{**who, "http_status": 429}),
        call(i, error_type="timeout", **{**who, "http_status": None}),
        call(i, kind="agent.tool_list", content_output_hash=f"l{i}", http_status=None, **who),
        tool(i, args=f"hmac:{i}", tenant=f"t{i}", **sends, **who),
        tool(i, args=f"hmac:{i}", status="error", tool="x", resource=f"s{i}", **who),
        tool(i + 0.5, args=f"hmac:b{i}", tenant=f"t{i}", **{**sends, **who, "tool": f"u{i}"}),
    ]


@cache
def crowd() -> Columns:
    block = Reader().read(b"\n".join(line for i in range(NAMES) for line in all_kinds(i)))
    return Columns(block.records, block.values.copy())


def memories(detector: Detector) -> list[Memory]:
    memory = detector.memory
    assert memory is not None
    return [memory, memory.long] if isinstance(memory, LongMemory) else [memory]


@EACH
def test_a_crowd_of_names_stays_within_the_bound(kind: type[Detector]) -> None:
    detector, columns = kind(), crowd()
    for memory in memories(detector):
        memory.limit = LIMIT
    largest = 0
    for row in np.flatnonzero(columns[kind.takes]).tolist():
        time = int(columns.times[row])
        memories(detector)[0].tick(time)
        list(detector.inspect(columns.records[row], time))
        largest = max(largest, *(len(memory) for memory in memories(detector)))

    assert largest <= 2 * LIMIT
    if kind.about.id in FULL:
        assert all(memory.overflows for memory in memories(detector))
