"""How long a shard with many keys takes to snapshot and to restore, and how many bytes it is.

    python benchmarks/kafka_state.py [--keys 1000000] [--changed 20000]

A shard of the first lane meets so many keys, as a router would send them. Then a forked child makes
a snapshot; some keys come again, and the next snapshot shows what is written for them; at last the
shard is restored from the chunks. No broker: writing and reading them is Kafka's affair.

Judging stands still for the fork, and for whatever else keeps the event loop from its turn until
the records are made: the longest such moment is told, by the clock and by this thread's CPU time,
in which others on the machine do not count.
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path

sys.path.pop(0)  # this folder holds a kafka.py
sys.path.insert(0, str(Path(__file__).parent.parent))

from schemas.testing import event
from streams.kafka.chunks import Ledger, Recovery
from streams.kafka.keeper import Taken, Wanted, take
from streams.kafka.lanes import BY_NAME, FIRST
from streams.kafka.router import Raw, Router
from streams.kafka.shard import Shard
from streams.output import CoreSettings

BATCH = 5000
START_S = 1_790_812_800


def _calls(begin: int, end: int, at_s: int) -> list[bytes]:
    """One call of each key; the template is cut once, for making events is not what is measured."""
    line = event("2026-10-01T00:00:00Z", id="ID", key="hmac:0123456789abcdef", model="m")
    head, middle, tail = _cut(line.to_json())
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s)).encode()
    tail = tail.replace(b"2026-10-01T00:00:00Z", stamp)
    middle = middle.replace(b"2026-10-01T00:00:00Z", stamp)
    return [
        head + b"%d-%d" % (at_s, n) + middle + b"%016x" % (n * 0x9E3779B97F4A7C15 % 2**64) + tail
        for n in range(begin, end)
    ]


def _cut(line: bytes) -> tuple[bytes, bytes, bytes]:
    head, _, rest = line.partition(b'"ID"')
    middle, _, tail = rest.partition(b"0123456789abcdef")
    return head + b'"', b'"' + middle, tail


class _Fed:
    """A shard and the router before it."""

    def __init__(self) -> None:
        self.router = Router(0, 1, 1, lambda *_: None)  # type: ignore[arg-type,return-value]
        self.shard = Shard(BY_NAME[FIRST], 0, 1, CoreSettings(max_keys=2_000_000))
        self.offset = 0

    def feed(self, lines: list[bytes]) -> None:
        first = self.router.next
        raws = [Raw(first + n, line, 0) for n, line in enumerate(lines)]
        for _, value, _ in self.router.route(raws).routed:
            self.shard.feed(self.offset, value, 0)
            self.offset += 1
        for _ in self.shard.judge():
            pass


class _Pulse:
    """The longest moment in which the event loop could not have judged anything."""

    def __init__(self) -> None:
        self.wall_s = self.cpu_s = 0.0

    async def beat(self) -> None:
        wall, cpu = time.monotonic(), time.thread_time()
        while True:
            await asyncio.sleep(0.001)
            now, used = time.monotonic(), time.thread_time()
            self.wall_s, self.cpu_s = max(self.wall_s, now - wall), max(self.cpu_s, used - cpu)
            wall, cpu = now, used


async def _snapshot(shard: Shard, ledger: Ledger, log: list[tuple[bytes, bytes | None]]) -> None:
    begun, pulse = time.monotonic(), _Pulse()
    beating = asyncio.create_task(pulse.beat())
    await asyncio.sleep(0.01)
    taken: Taken = await take([Wanted(shard.state, ledger.written)])
    wall = time.monotonic() - begun
    records = ledger.dirty(taken.states[0].chunks, shard.merge.seen, taken.states[0].size)
    log += records + ledger.done()
    await asyncio.sleep(0.01)
    beating.cancel()
    written = sum(len(value or b"") for _, value in records)
    print(
        f"snapshot  {taken.states[0].size / 1e6:.0f} MB, {len(records) - 1} chunks and"
        f" {written / 1e6:.1f} MB written, {wall:.1f} s beside judging, which stood still"
        f" {1000 * taken.paused_s:.0f} ms for the fork and at most {1000 * pulse.wall_s:.0f} ms"
        f" ({1000 * pulse.cpu_s:.0f} ms of CPU time) at once",
        flush=True,
    )


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--changed", type=int, default=20_000)
    options = parser.parse_args()
    fed, log = _Fed(), list[tuple[bytes, bytes | None]]()
    begun = time.monotonic()
    for at in range(0, options.keys, BATCH):
        fed.feed(_calls(at, min(at + BATCH, options.keys), START_S + at // 10_000))
    print(f"made      {options.keys} keys in {time.monotonic() - begun:.0f} s", flush=True)
    ledger = Ledger("credential/0")
    asyncio.run(_snapshot(fed.shard, ledger, log))
    fed.feed(_calls(0, options.changed, START_S + options.keys // 10_000 + 10))
    asyncio.run(_snapshot(fed.shard, ledger, log))
    begun = time.monotonic()
    recovery = Recovery()
    for key, value in log:
        recovery.feed(key, value)
    shard = Shard(BY_NAME[FIRST], 0, 1, CoreSettings(max_keys=2_000_000))
    shard.load(recovery.candidates()[0].data)
    print(f"restored  in {time.monotonic() - begun:.1f} s, to offset {shard.merge.seen}")


if __name__ == "__main__":
    main()
