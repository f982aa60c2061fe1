"""What routing, lanes and judging cost in one process, without a broker, stage by stage.

    python benchmarks/make_events.py events.ndjson --span 600
    python benchmarks/kafka_lanes.py events.ndjson [--events 200000] [--shards 16] [--profile FILE]

The same router and shards as in `tripmeter worker`, over lists instead of topics; so what is
missing is Kafka, Faust and snapshots. Every shard judges when it has what a worker waits for.
CPU seconds, after a warm-up of 20,000 events.
"""

import argparse
import cProfile
import sys
import time
from collections import Counter, deque
from contextlib import nullcontext
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).parent.parent)  # instead of this folder, which holds a kafka.py

from streams.kafka.lanes import BY_NAME, FIRST, SPECS  # noqa: E402
from streams.kafka.routed import words  # noqa: E402
from streams.kafka.router import Router  # noqa: E402
from streams.kafka.runs import ENOUGH_BYTES  # noqa: E402
from streams.kafka.shard import Shard  # noqa: E402
from streams.output import CoreSettings  # noqa: E402
from streams.pipeline import Pipeline  # noqa: E402

PARTITIONS = 4
FETCH = 1400  # events of 726 bytes in a fetch of one MiB
WARM_UP = 20_000


class Installation:
    """Everything a single worker has."""

    def __init__(self, shards: int) -> None:
        self.routers = [Router(n, PARTITIONS, shards, _no_adapter) for n in range(PARTITIONS)]
        self.shards = {
            (spec.name, n): Shard(spec, n, shards, CoreSettings())
            for spec in SPECS
            for n in range(shards)
        }
        self.waiting: dict[tuple[str, int], deque[bytes]] = {one: deque() for one in self.shards}
        self.fed = dict.fromkeys(self.shards, 0)
        self.seconds: Counter[str] = Counter()
        self.records: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.findings = 0

    def route(self, partition: int, values: list[bytes]) -> None:
        """One fetch."""
        begun, router = time.process_time(), self.routers[partition]
        offsets = range(router.next, router.next + len(values))
        outcome = router.route_plain(offsets, values, [0] * len(values))
        told = [(shard, value) for shard, value, _ in outcome.routed]
        told += [(shard, words(PARTITIONS, [word])) for shard, word in router.behind()]
        self.seconds["route"] += time.process_time() - begun
        for shard, value in told:
            self._put(FIRST, shard, value)

    def _put(self, lane: str, shard: int, value: bytes) -> None:
        self.waiting[lane, shard].append(value)
        self.records[lane] += 1
        self.bytes[lane] += len(value)

    def judge(self, enough: int) -> None:
        """Every shard that has enough to do; first come those that feed the others."""
        for (lane, number), shard in self.shards.items():
            waiting = self.waiting[lane, number]
            begun = time.process_time()
            while waiting:
                value = waiting.popleft()
                shard.feed(shard.next, value, 0)
                self.fed[lane, number] += len(value)
            fed = time.process_time()
            self.seconds[f"{lane}: take"] += fed - begun
            if self.fed[lane, number] < enough:
                continue
            self.fed[lane, number] = 0
            found = list(shard.judge())
            behind = [
                (name, place, words(shard.shards, [word])) for name, place, word in shard.behind()
            ]
            self.seconds[f"{lane}: judge"] += time.process_time() - fed
            for judged in found:
                self.findings += len(judged.findings)
                for name, place, value, _ in judged.forwarded:
                    self._put(name, place, value)
            for name, place, value in behind:
                self._put(name, place, value)


def _no_adapter(*_: Any) -> Any:
    raise AssertionError("canonical events need no adapter")


def run(there: Installation, lines: list[bytes], turns: int) -> None:
    """Everything, spread over partitions by key; `turns` fetches of each between two judgings."""
    parts: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
    for line in lines:
        begin = line.find(b'"api_key.id":"') + 14
        parts[hash(line[begin : begin + 21]) % PARTITIONS].append(line)
    for at in range(0, max(map(len, parts)), FETCH):
        for number, part in enumerate(parts):
            if values := part[at : at + FETCH]:
                there.route(number, values)
        if at // FETCH % turns == turns - 1:
            there.judge(ENOUGH_BYTES // 8)
    there.judge(0)
    there.judge(0)


def main() -> None:
    """Prints CPU time by stage."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--profile", type=Path)
    options = parser.parse_args()
    with options.file.open("rb") as file:
        total = options.events + WARM_UP
        lines = [line.rstrip() for _, line in zip(range(total), file, strict=False)]
    there = Installation(options.shards)
    run(there, lines[:WARM_UP], options.turns)
    there.seconds.clear(), there.records.clear(), there.bytes.clear()
    with cProfile.Profile() if options.profile else nullcontext() as profile:
        run(there, lines[WARM_UP:], options.turns)
    if profile is not None:
        profile.dump_stats(options.profile)
    count, all_s = len(lines) - WARM_UP, sum(there.seconds.values())
    for stage, seconds in there.seconds.items():
        share = 100 * seconds / all_s
        print(f"{stage:20} {1e6 * seconds / count:6.2f} us an event  {share:4.1f} %")
    print(f"{'all':20} {1e6 * all_s / count:6.2f} us: {count / all_s:,.0f} events/s a core")
    print(f"{'one pipeline':20} {1e6 * alone(lines) / count:6.2f} us over the same events")
    for lane in BY_NAME:
        records, size = there.records[lane], there.bytes[lane] / count
        print(f"{lane:20} {records} records, {size:.1f} bytes for each event")
    print(f"{there.findings} findings")


def alone(lines: list[bytes]) -> float:
    """CPU seconds of the core alone, in blocks of a thousand."""
    pipeline = Pipeline()
    pipeline.process(b"\n".join(lines[:WARM_UP]))
    begun = time.process_time()
    for at in range(WARM_UP, len(lines), 1000):
        pipeline.process(b"\n".join(lines[at : at + 1000]))
    return time.process_time() - begun


if __name__ == "__main__":
    main()
