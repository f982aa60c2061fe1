"""Whatever a source leaves out, repeats or sends at once: no detector of the catalog fails."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from random import Random
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from annotated_types import Le

from schemas.event import Event
from streams.pipeline import CoreSettings, Pipeline
from tests.random_streams import START_MS, stamp

FINGERPRINTS = [f"hmac:{n:016x}" for n in range(3)]
SETTINGS = CoreSettings(
    lateness_s=240,
    canaries=frozenset(FINGERPRINTS[:1]),
    revoked={FINGERPRINTS[1]: datetime(2026, 1, 1, tzinfo=UTC)},
    reconcile_usage=True,
)
SEEDS, EVENTS, BLOCK = 16, 100, 50
SINGLE = ("event_schema_version", "event_id", "timestamp")
NAMES = ["llm.request", "agent.tool_call"] * 4 + ["llm.usage_bucket", "agent.tool_list"]
STEPS_MS = [[0, 0, 0, 1], [0, 1, 900, 60_000], [0, 60_000, 60_000, 400_000]]
SPREAD = [1, 1, 1, 1, 1, 2, 2, 400]  # values of a field in one stream
MISSING = [0.0, 0.0, 0.5]  # how often a field is left out of one stream


def pool(rng: Random, kind: Any, limits: Sequence[Any] = ()) -> list[Any]:
    """A few values that a field of this type may have, its bounds among them."""
    if get_origin(kind) in (Union, UnionType):
        return pool(rng, next(one for one in get_args(kind) if one is not type(None)), limits)
    if hasattr(kind, "__metadata__"):
        return pool(rng, get_args(kind)[0], kind.__metadata__)
    most = next((limit.le for limit in limits if isinstance(limit, Le)), 0)
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    if get_origin(kind) is tuple:
        return [[], FINGERPRINTS[:1], FINGERPRINTS]
    if kind is bool:
        return [True, False]
    if kind is datetime:
        return [stamp(START_MS)]
    if kind in (int, float):
        return [kind(n) for n in rng.sample([0, 1, 1, 200, 429, most // 10**6], 3)] + [kind(most)]
    return [*FINGERPRINTS, *(f"hmac:{n:016x}" for n in range(99, 99 + rng.choice([0, 0, 200])))]


def holes(rng: Random, events: int) -> Iterator[bytes]:
    """Events much alike, in which some optional fields may be missing, many of them at once."""
    fields = {name: field for name, field in Event.model_fields.items() if name not in SINGLE}
    names = rng.choice([["agent.tool_call"], ["llm.request"], NAMES])
    few: dict[str, list[Any]] = {}
    for name, field in fields.items():
        values = names if name == "event_name" else pool(rng, field.annotation, field.metadata)
        few[name] = rng.sample(values, min(len(values), rng.choice(SPREAD)))
    missing = {name: rng.choice(MISSING) for name in fields}
    missing["event_name"] = 0.0
    steps, now = rng.choice(STEPS_MS), START_MS
    id = time = ""
    for number in range(events):
        now += rng.choice(steps)
        if not id or rng.random() < 0.9:  # else another event of the same id and instant
            id, time = f"e{number}", stamp(now - rng.choice([0, 0, 1000, 200_000]))
        event = {"event.schema_version": "1.0", "event.id": id, "timestamp": time}
        for name, values in few.items():
            if rng.random() >= missing[name]:
                event[fields[name].alias or name] = rng.choice(values)
        yield json.dumps(event).encode()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_stream_full_of_holes_stops_no_detector(seed: int) -> None:
    lines = list(holes(Random(seed), EVENTS))
    pipeline = Pipeline(SETTINGS)

    for start in range(0, EVENTS, BLOCK):
        output = pipeline.process(b"\n".join(lines[start : start + BLOCK]))
        assert [] == [(one.field, one.reason) for one in output.rejections]
        pipeline = Pipeline.restore(pipeline.snapshot(), SETTINGS)
    pipeline.close()
