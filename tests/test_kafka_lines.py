"""Lines move through a worker as places in buffers, and leave out what a lane does not carry."""

import json
from random import Random

import numpy as np
import pytest

from schemas.testing import event
from streams.kafka import lines
from streams.kafka.lines import Narrow

FIELDS = ("event_id", "tenant_id", "tool_name", "tool_destination_ids", "input_tokens")
KEYS = {
    "event.id", "tenant.id", "gen_ai.tool.name", "tool.destination.ids",
    "gen_ai.usage.input_tokens",
}  # fmt: skip


def split(spans: lines.Spans) -> list[bytes]:
    data, begins, ends = spans
    return [data[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]


def narrowed(*given: bytes) -> list[bytes]:
    return split(Narrow(FIELDS)(*lines.of(given)))


@pytest.mark.parametrize(
    "line",
    [
        event("2026-10-01T00:00:00Z", id="a", tool="t").to_json(),
        b'{"event.id":"a","tenant.id":null}',
        b' { "event.id" : "a" , "x" : [ "],", 1, {} ] , "tenant.id" : "b" } ',
        b'{"x":{"event.id":"inner"},"event.id":"outer"}',
        b'{"event.id":"with \\" and \\\\","x":"\\\\\\"","tenant.id":"\\u00e9"}',
        b'{"event\\u002eid":"a","tenant.id":"b"}',
        '{"event.id":"\u00e9\u4e16","gen_ai.usage.input_tokens":1.5e3}'.encode(),
        b'{"tool.destination.ids":["a\\"]","b"],"event.id":"a"}',
        b'{"tool.destination.ids":[],"x":true}',
        b"{}",
        b'{"x":1}',
        b"{%b}" % b",".join(b'"k%d":%d' % (n, n) for n in range(300)),
    ],
)
def test_a_line_keeps_the_fields_of_its_lane_and_their_values(line: bytes) -> None:
    expected = {key: value for key, value in json.loads(line).items() if key in KEYS}

    plain, again = narrowed(line, line)

    assert expected == json.loads(plain)
    assert plain == again


def test_lines_of_different_keys_do_not_mix_what_they_want() -> None:
    mixed = [b'{"event.id":"a","x":1}', b'{"y":2,"event.id":"b"}', b'{"x":3,"tenant.id":"c"}']

    assert [b'{"event.id":"a"}', b'{"event.id":"b"}', b'{"tenant.id":"c"}'] == narrowed(*mixed)


@pytest.mark.parametrize("seed", range(5))
def test_lines_of_several_buffers_stay_what_they_are_in_any_order(seed: int) -> None:
    rng = Random(seed)
    parts = [[bytes([97 + rng.randrange(9)]) * rng.randrange(9) for _ in range(6)] for _ in "abc"]
    spans = [lines.of(part) for part in parts]
    some = [(data, begins[2:5], ends[2:5]) for data, begins, ends in spans]
    order = np.array(rng.sample(range(9), 9))
    kept = [line for part in parts for line in part[2:5]]

    data, begins, ends = lines.together(some)

    assert kept == split((data, begins, ends))
    assert [kept[at] for at in order] == lines.text(data, begins[order], ends[order]).split(b"\n")
    assert b"\n".join(kept[3:5]) == lines.text(data, begins[3:5], ends[3:5])
