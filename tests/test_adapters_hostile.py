"""A body made to cost time is refused in time, and its good lines are still taken."""

import random
import time

import pytest

from schemas.adapters import FORMATS, adapt
from schemas.adapters.base import MAX_REJECTIONS, NOT_READ
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


def test_good_lines_after_many_bad_ones_are_taken_and_the_bad_ones_counted() -> None:
    body = canonical() + b"\n" + b'{"a":1}\n' * 5000 + canonical(event__id="e-2")
    adapted = adapt(body, "canonical", CONTEXT)
    assert 2 == len(adapted.events)
    assert 5000 == sum(rejected.count for rejected in adapted.rejections)


def test_a_body_that_is_not_read_to_its_end_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schemas.adapters.read.MAX_RECORDS", 3 * MAX_REJECTIONS)
    adapted = adapt(b'{"a":1}\n' * (4 * MAX_REJECTIONS), "canonical", CONTEXT)
    assert NOT_READ == adapted.rejections[-1].reason
    assert 3 * MAX_REJECTIONS + 1 == sum(rejected.count for rejected in adapted.rejections)
