"""How long it takes from a producer's send to the finding on its topic, at a steady rate.

    python benchmarks/make_events.py events.ndjson --span 600
    python benchmarks/kafka_latency.py events.ndjson [--rate 20000] [--seconds 60] [--shards 4]

A real broker on this machine, four partitions, one event a record. Five times a second, a key that
was never seen is refused on three models: the third call trips `key-probe`. Time runs from before
the client is given the chunk that holds it until a consumer has the finding. What was sent in the
first fifteen seconds is not counted: workers load and compile then. The lag, in events, is printed
at half time and at the end: where it grows, the rate is not held and the figures mean nothing.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).parent.parent)  # instead of this folder, which holds a kafka.py

from benchmarks.kafka_cluster import SHARDS, cpu_s, load, made, produce  # noqa: E402
from schemas.testing import event  # noqa: E402

TICK_S = 0.05
PROBE_TICKS = 4
WARM_UP_S = 15.0
MODELS = ("gpt-4o", "claude-opus-4-1", "gemini-2.5-pro")
WAIT_S = 30.0


def main() -> int:
    """Prints the distribution; 1 when findings are missing."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--rate", type=int, default=20_000, help="events a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--shards", type=int, default=SHARDS, help="of each lane")
    options = parser.parse_args()
    from tests.kafka_broker import running

    with options.file.open("rb") as file:
        count = int(options.rate * (WARM_UP_S + options.seconds))
        lines = [line.rstrip() for _, line in zip(range(count), file, strict=False)]
    with running() as broker, tempfile.TemporaryDirectory() as folder:
        return measure(broker, Path(folder), lines, options.rate, options.workers, options.shards)


def probed(lines: list[bytes], rate: int) -> Iterator[list[bytes]]:
    """Chunks of a tick; now and then one ends with three refusals of a new key."""
    size = int(rate * TICK_S)
    for number, at in enumerate(range(0, len(lines), size)):
        chunk = lines[at : at + size]
        if number % PROBE_TICKS == 0:
            then = json.loads(chunk[-1])["timestamp"]
            chunk = [*chunk, *(_refused(number, model, then) for model in MODELS)]
        yield chunk


def key(number: int) -> str:
    """The key that probes in a tick."""
    return f"hmac:{(number + 1) * 0x9E3779B97F4A7C15 % 2**64:016x}"


def _refused(number: int, model: str, then: str) -> bytes:
    return event(
        then, id=f"probe-{number}-{model}", key=key(number), tenant="probed", model=model,
        http_status=403, error_type="permission",
    ).to_json()  # fmt: skip


def measure(
    broker: Any, folder: Path, lines: list[bytes], rate: int, count: int, shards: int
) -> int:
    """Sends, listens, and compares."""
    from streams.kafka.lag import measure as lag

    there = made(broker, folder, "latency", shards=shards)
    sent: dict[str, float] = {}
    arrived: dict[str, float] = {}
    stop = threading.Event()

    def note(number: int, at: float) -> None:
        if number % PROBE_TICKS == 0:
            sent[key(number)] = at

    try:
        workers = [there.worker() for _ in range(count)]
        for worker in workers:
            worker.ready()
        listening = threading.Thread(target=listen, args=(broker, there, stop, arrived))
        listening.start()
        time.sleep(2)
        cpu, begun = sum(cpu_s(worker.pid) for worker in workers), time.time()
        chunks = probed(lines, rate)
        producing = threading.Thread(
            target=lambda: asyncio.run(
                produce(broker.bootstrap, there.names.events, chunks, TICK_S, note)
            )
        )
        producing.start()
        time.sleep((WARM_UP_S + len(lines) / rate) / 2)
        half = lag(there.kafka).total
        producing.join()
        took, end = time.time() - begun, lag(there.kafka).total
        cpu = sum(cpu_s(worker.pid) for worker in workers) - cpu
        deadline = time.time() + WAIT_S
        while not arrived.keys() >= sent.keys() and time.time() < deadline:
            time.sleep(0.2)
        stop.set()
        listening.join()
    finally:
        there.end()
    counted = [one for one, at in sent.items() if at - begun >= WARM_UP_S]
    waits = sorted(arrived[one] - sent[one] for one in counted if one in arrived)
    missing = len(counted) - len(waits)
    p50, p90, p99 = (waits[min(len(waits) - 1, int(len(waits) * q))] for q in (0.5, 0.9, 0.99))
    print(
        f"{len(lines) / took:,.0f} events/s, {count} worker(s), {len(waits)} findings,"
        f" {missing} missing: p50 {p50:.2f} s, p90 {p90:.2f} s, p99 {p99:.2f} s,"
        f" max {waits[-1]:.2f} s; lag {half} at half time, {end} at the end;"
        f" {1e6 * cpu / len(lines):.1f} us CPU an event; {load()}"
    )
    return int(missing > 0)


def listen(broker: Any, there: Any, stop: threading.Event, arrived: dict[str, float]) -> None:
    """Notes when the first finding about each key comes."""
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, fetch_max_wait_ms=10)
    parts = consumer.partitions_for_topic(there.names.findings)
    consumer.assign([TopicPartition(there.names.findings, part) for part in parts])
    while not stop.is_set():
        for records in consumer.poll(timeout_ms=50).values():
            for record in records:
                finding = json.loads(record.value)
                if finding["detector"] == "key-probe":
                    arrived.setdefault(finding["entity"]["id"], time.time())
    consumer.close()


if __name__ == "__main__":
    sys.exit(main())
