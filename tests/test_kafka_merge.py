"""What many sources tell is put into one order, whoever restarts and tells it again."""

from collections import Counter
from collections.abc import Sequence
from random import Random

import numpy as np
import pytest

from streams.kafka import lines
from streams.kafka.merge import Merge
from streams.kafka.routed import FOR_KEY, NONE, START, VERSION, Events, Key, Routed
from tests.lanes_in_memory import SHARDS, Installation, essence, replayed, unordered
from tests.traffic import small_day


def events(*keys: Key) -> Events:
    clock, partition, place = (np.array(part, np.int64) for part in zip(*keys, strict=True))
    marks = np.full(len(keys), FOR_KEY, np.uint8)
    return Events(clock, partition, place, marks, *lines.of([b"{}"] * len(keys)))


def record(after: Key, upto: Key, *, source: int = 0, sources: int = 1, idle_ms: int = 0) -> Routed:
    return Routed(VERSION, source, sources, after, upto, idle_ms)


def released(merge: Merge) -> list[Key]:
    found = merge.release() or NONE
    return [found.key(at) for at in range(len(found))]


def test_what_a_shard_tells_again_after_a_restart_is_known_whatever_partition_it_came_from() -> (
    None
):
    merge, early, late = Merge(1 << 20), (10, 3, 7), (20, 1, 5)
    merge.offer(0, record(START, early), events(early), 0)
    merge.offer(1, record(early, late), events(late), 0)
    first = released(merge)

    merge.offer(2, record(START, early), events(early), 0)

    assert [early, late] == first
    assert [] == released(merge)


def test_a_partition_that_was_idle_goes_on_where_the_others_are() -> None:
    merge = Merge(1 << 20)
    merge.offer(0, record(START, (10, 0, 1), sources=2), events((10, 0, 1)), 0)
    merge.offer(1, record(START, (50, 1, 1), source=1, sources=2), events((50, 1, 1)), 0)
    merge.offer(2, record((10, 0, 1), (10, 0, 1), sources=2, idle_ms=1), NONE, 0)
    before = released(merge)

    merge.offer(3, record((10, 0, 1), (12, 0, 2), sources=2), events((12, 0, 2)), 0)
    merge.offer(4, record((50, 1, 1), (60, 1, 2), source=1, sources=2), events((60, 1, 2)), 0)

    assert [(10, 0, 1), (50, 1, 1)] == before
    assert [(51, 0, 2)] == released(merge)


def test_the_others_follow_a_partition_whose_events_came_after_it_was_moved_on() -> None:
    merge = Merge(1 << 20)
    a, b = (10, 0, 1), (50, 1, 1)
    merge.offer(0, record(START, a, sources=2), events(a), 0)
    merge.offer(1, record(START, b, source=1, sources=2), events(b), 0)
    merge.offer(2, record(a, a, sources=2, idle_ms=1), NONE, 0)
    merge.offer(3, record(a, (12, 0, 2), sources=2), events((12, 0, 2)), 0)
    first = released(merge)

    merge.offer(4, record(b, b, source=1, sources=2, idle_ms=1), NONE, 0)

    assert [a, b] == first
    assert [(51, 0, 2)] == released(merge)


def test_a_partition_that_is_added_later_loses_no_event() -> None:
    merge = Merge(1 << 20)
    merge.offer(0, record(START, (10, 0, 1)), events((10, 0, 1)), 0)
    merge.offer(1, record((10, 0, 1), (11, 0, 2), sources=2), NONE, 0)
    released(merge)

    merge.offer(2, record(START, (5, 1, 1), source=1, sources=2), events((5, 1, 1)), 0)

    assert [(10, 1, 1)] == released(merge)


def _scattered(day: Sequence[bytes], rng: Random) -> list[list[bytes]]:
    sources: list[list[bytes]] = [[], [], [], []]
    for line in day:
        rng.choice(sources).append(line)
    return sources


@pytest.mark.process
def test_after_any_restarts_every_finding_says_what_it_said_before() -> None:
    day, rng = small_day(hours=(9,), clients=1), Random(2)
    parts = Installation(_scattered(day, rng), rng)
    expected = unordered({(one.id, one.revision): essence(one) for one in replayed(day)})

    while any(r.next < len(s) for r, s in zip(parts.routers, parts.sources, strict=True)):
        for number in range(4):
            if rng.random() < 0.6:
                parts.route(number, rng.choice([50, 100]), told=rng.random() < 0.5)
        for place in parts.places:
            if rng.random() < 0.5:
                parts.judge(place, rng.choice([1, 5, 20]))
        if rng.random() < 0.03:
            parts.save()
        if rng.random() < 0.1:
            parts.kill_router(rng.randrange(4))
        if rng.random() < 0.2:
            for _ in range(2 * SHARDS):
                parts.kill_shard(rng.choice(parts.places))
    for _ in range(2):
        parts.finish()
        for place in parts.places:
            parts.kill_shard(place)

    told = Counter((one.id, one.revision) for one in parts.findings)
    sayings = {(one.id, one.revision, str(essence(one))) for one in parts.findings}
    assert max(told.values()) > 1
    assert len(told) == len(sayings)
    assert expected == unordered(parts.told())
