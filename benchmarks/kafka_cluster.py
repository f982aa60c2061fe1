"""What the Kafka benchmarks share: topics and workers, a producer with a pace, what it costs."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

PARTITIONS = 4
BATCH_BYTES = 1 << 17
SHARDS = 4  # of each lane: enough for four workers; sixteen cost some more (docs/scaling.md)


def made(
    broker: Any, folder: Path, name: str, snapshot_every_s: float = 10, shards: int = SHARDS
) -> Any:
    """Topics of their own, and a configuration for workers."""
    from streams.kafka.settings import KafkaSettings
    from tests.kafka_worker import Cluster

    (folder / name).mkdir()
    kafka = KafkaSettings(
        bootstrap=broker.bootstrap, prefix=name, shards=shards, events_partitions=PARTITIONS
    )
    return Cluster(kafka, folder / name, snapshot_every_s=snapshot_every_s)


def key_of(line: bytes) -> bytes:
    """The fingerprint of a line's API key."""
    begin = line.find(b'"api_key.id":"') + 14
    return line[begin : begin + 21]


async def produce(
    bootstrap: str,
    topic: str,
    chunks: Iterator[Sequence[bytes]],
    every_s: float = 0.0,
    sent: Callable[[int, float], None] = lambda number, at: None,
) -> None:
    """Puts chunks of lines on a topic, lz4, one event a record, each key's in one partition.

    Args:
        every_s: from the beginning of one chunk to that of the next; 0 is as fast as it goes.
        sent: told when each chunk is handed to the client, wall clock.
    """
    import xxhash
    from aiokafka import AIOKafkaProducer

    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        compression_type="lz4",
        acks="all",
        linger_ms=0,
        max_batch_size=BATCH_BYTES,
    )
    await producer.start()
    begun = time.time()
    for number, lines in enumerate(chunks):
        sent(number, time.time())
        batches: dict[int, Any] = {}
        for line in lines:
            key = key_of(line)
            place = xxhash.xxh3_64_intdigest(key) % PARTITIONS
            batch = batches.setdefault(place, producer.create_batch())
            if batch.append(key=key, value=line, timestamp=None) is None:
                await producer.send_batch(batch, topic, partition=place)
                batch = batches[place] = producer.create_batch()
                batch.append(key=key, value=line, timestamp=None)
        for place, batch in batches.items():
            await producer.send_batch(batch, topic, partition=place)
        if every_s:
            await asyncio.sleep(max(0.0, begun + (number + 1) * every_s - time.time()))
    await producer.flush()
    await producer.stop()


def cpu_s(pid: int) -> float:
    """CPU time a process has used."""
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def rss_mib(pid: int) -> int:
    """Memory a process holds."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) // 1024


def load() -> str:
    """How busy the machine is, beside every figure."""
    return "load " + " ".join(f"{one:.1f}" for one in os.getloadavg())
