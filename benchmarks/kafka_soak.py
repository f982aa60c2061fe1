"""Workers under a steady load for a long time, with one that leaves and comes back: what grows?

    python benchmarks/make_events.py events.ndjson --span 600
    python benchmarks/kafka_soak.py events.ndjson [--rate 20000] [--minutes 30] [--workers 2]

The file is sent again and again, ten minutes later each time and under new ids. Every two minutes
a worker is ended, by SIGKILL or SIGTERM in turn, and started again five seconds later: that is two
rebalances. Every half minute a line says what was sent, what waits (events and lane records), and
the memory of each worker. At the end: the median lag and the most memory of the second and of the
last quarter. Exit code 1 if either grew by half, or if the rest takes more than a minute.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

sys.path[0] = str(Path(__file__).parent.parent)  # instead of this folder, which holds a kafka.py

from benchmarks.kafka_cluster import load, made, produce, rss_mib  # noqa: E402

TICK_S = 0.1
SAMPLE_S = 30.0
LEAVES_EVERY_S = 120.0
AWAY_S = 5.0
SPAN = timedelta(minutes=10)
SLACK = 2_000  # records; a lag below is none


def main() -> int:
    """Prints a line for each sample, and a verdict."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--rate", type=int, default=20_000, help="events a second")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    from tests.kafka_broker import running

    with running() as broker, tempfile.TemporaryDirectory() as folder:
        there = made(broker, Path(folder), "soak", snapshot_every_s=15)
        try:
            return soak(broker, there, options)
        finally:
            there.end()


def chunks(file: Path, size: int, count: int) -> Iterator[list[bytes]]:
    """Lines of the file, again and again."""
    turn, chunk = 0, []
    while True:
        with file.open("rb") as lines:
            for line in lines:
                chunk.append(later(line.rstrip(), turn))
                if len(chunk) == size:
                    yield chunk
                    chunk, count = [], count - 1
                    if not count:
                        return
        turn += 1


def later(line: bytes, turn: int) -> bytes:
    """The same event so many times ten minutes later, under another id."""
    if not turn:
        return line
    at = line.find(b'"timestamp":"') + 13
    then = datetime.fromisoformat(line[at : at + 19].decode()) + turn * SPAN
    name = line.find(b'"event.id":"') + 12
    moved = line[:at] + then.isoformat().encode() + line[at + 19 :]
    return moved[:name] + b"%08x" % turn + moved[name + 8 :]


def soak(broker: Any, there: Any, options: Any) -> int:
    """Sends, disturbs, and watches."""
    from streams.kafka.lag import measure

    workers = [there.worker() for _ in range(options.workers)]
    for worker in workers:
        worker.ready()
    sent = [0]
    size, seconds = int(options.rate * TICK_S), 60 * options.minutes

    def note(number: int, _: float) -> None:
        sent[0] = number * size

    feed = chunks(options.file, size, int(seconds / TICK_S))
    producing = threading.Thread(
        target=lambda: asyncio.run(
            produce(broker.bootstrap, there.names.events, feed, TICK_S, note)
        )
    )
    begun = left = time.monotonic()
    producing.start()
    samples: list[tuple[int, int]] = []
    gone = 0
    while producing.is_alive():
        time.sleep(SAMPLE_S)
        if time.monotonic() - left >= LEAVES_EVERY_S and len(workers) > 1:
            left, worker = time.monotonic(), workers[gone % len(workers)]
            worker.end(signal.SIGTERM if gone % 2 else signal.SIGKILL)
            time.sleep(AWAY_S)
            worker.start()
            gone += 1
            continue
        lag = measure(there.kafka).total
        memory = [rss_mib(worker.pid) for worker in workers if worker.code is None]
        samples.append((lag, sum(memory)))
        print(
            f"{time.monotonic() - begun:6.0f} s  {sent[0]:9d} sent  {lag:7d} wait  {memory} MiB"
            f"  {gone} left and back  {load()}",
            flush=True,
        )
    end = time.monotonic()
    while measure(there.kafka).total and time.monotonic() - end < 60:
        time.sleep(0.5)
    caught_s = time.monotonic() - end
    quarter = max(1, len(samples) // 4)
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    (lag_then, mib_then), (lag_now, mib_now) = (
        (round(median(lag for lag, _ in some)), max(mib for _, mib in some))
        for some in (early, late)
    )
    flat = lag_now <= 1.5 * lag_then + SLACK and mib_now <= 1.5 * mib_then and caught_s < 60
    print(
        f"{sent[0] / (end - begun):,.0f} events/s for {(end - begun) / 60:.0f} min, {gone} times a"
        f" worker left: lag {lag_then} in the second quarter, {lag_now} in the last; memory"
        f" {mib_then} and {mib_now} MiB; the rest was judged in {caught_s:.0f} s;"
        f" {'flat' if flat else 'IT GREW'}; {load()}"
    )
    return int(not flat)


if __name__ == "__main__":
    sys.exit(main())
