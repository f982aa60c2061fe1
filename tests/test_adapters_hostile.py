"""A body made to cost time is refused in time, and its good lines are still taken."""

import random
import time

import pytest

from schemas.adapters import FORMATS, adapt
from schemas.adapters.base import (
    MAX_PART_BYTES,
    MAX_REJECTIONS,
    MAX_REST_BYTES,
    MAX_SHOWN,
    NO_ROOM,
    NOT_READ,
    Rejections,
)
from tests.test_adapters_bad_input import CONTEXT, canonical

SIZE = 256 * 1024
BODIES = {
    "braces": b"{\n" * (SIZE // 2),
    "nested": b"[" * SIZE,
    "objects": b'{"a":1}\n' * (SIZE // 8),
    "random": bytes(random.Random(1).choices(b'{}[]",:\n', k=SIZE)),
}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body_is_refused_in_time(format: str, name: str) -> None:
    began = time.process_time()
    adapted = adapt(BODIES[name], format, CONTEXT)
    assert time.process_time() - began < 2
    assert len(adapted.rejections) <= MAX_REJECTIONS + 2
    assert [] == adapted.events


def test_good_lines_after_many_bad_ones_are_taken_and_the_bad_ones_kept() -> None:
    bad = [b'{"a":%d}' % n for n in range(5000)]
    body = b"\n".join([canonical(), *bad, canonical(event__id="e-2")])
    adapted = adapt(body, "canonical", CONTEXT)
    assert 2 == len(adapted.events)
    assert 5000 == sum(rejected.count for rejected in adapted.rejections)
    assert bad == b"\n".join(rejected.raw for rejected in adapted.rejections).split(b"\n")
    assert MAX_REJECTIONS + 1 == len(adapted.rejections)


def test_what_is_kept_of_bad_records_is_bounded_and_the_others_are_counted() -> None:
    rejections = Rejections()
    original = b"x" * (MAX_PART_BYTES // 3)
    for index in range(MAX_REJECTIONS + 100):
        rejections.add("", "bad", original, index)
    kept = rejections.all()
    assert MAX_REJECTIONS + 100 == sum(rejected.count for rejected in kept)
    assert MAX_PART_BYTES > max(len(rejected.raw) for rejected in kept)
    rest = kept[MAX_REJECTIONS:]
    assert MAX_REST_BYTES + MAX_SHOWN >= sum(len(rejected.raw) for rejected in rest)
    assert (53, "53 " + NO_ROOM, original[:MAX_SHOWN]) == (
        rest[-1].count,
        rest[-1].reason,
        rest[-1].raw,
    )


def test_a_body_that_is_not_read_to_its_end_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schemas.adapters.read.MAX_RECORDS", 3 * MAX_REJECTIONS)
    adapted = adapt(b'{"a":1}\n' * (4 * MAX_REJECTIONS), "canonical", CONTEXT)
    assert NOT_READ == adapted.rejections[-1].reason
    assert 3 * MAX_REJECTIONS + 1 == sum(rejected.count for rejected in adapted.rejections)
