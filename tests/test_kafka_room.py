"""What a worker does when shards have left it."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from schemas.testing import event
from streams.kafka import lines
from streams.kafka.room import give_back
from streams.kafka.routed import FOR_KEY, START, VERSION, Events, Routed, pack, unpack


class Shard:
    """Refers to itself, as those of a worker do."""

    def __init__(self) -> None:
        self.itself = self


def test_a_shard_that_left_gives_its_memory_back_although_the_collector_is_off() -> None:
    gc.disable()
    try:
        shard = Shard()
        left = weakref.ref(shard)
        del shard
        gc.collect(1), gc.collect(1)  # what a worker does all the time
        give_back()
        assert left() is None
    finally:
        gc.enable()


def test_what_was_packed_in_many_threads_at_once_is_whole() -> None:
    texts = [event("2026-10-01T00:00:00Z", id=f"e{n}").to_json() for n in range(400)]
    data, begins, ends = lines.of(texts)
    count = np.arange(len(texts))
    marks = np.full(len(texts), FOR_KEY, np.uint8)
    events = Events(count, np.zeros_like(count), count, marks, data, begins, ends)
    with ThreadPoolExecutor(8) as threads:
        values = list(
            threads.map(lambda _: pack(Routed(VERSION, 0, 1, START, (9, 0, 0)), events), range(300))
        )
        found = list(threads.map(lambda value: unpack(value)[1].text(), values))
    assert {events.text()} == set(found)
