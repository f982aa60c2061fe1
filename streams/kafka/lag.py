"""How far the workers are behind, from the offsets they committed.

A worker commits a position only when what lies before it was judged and what was found is on its
topic; a router, when all copies of the lane records are. Committed positions are read *before* the
ends of the topics: a record that is on its way from `events` to a lane is then counted in one of
the two, and 0 is never said too early.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.configuration import BadConfig
from streams.kafka import clients
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import Names


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """One partition of a topic that a group reads.

    Attributes:
        committed: position the group has reached; None when it never committed one.
        lost: records that were dropped by age or size before the group read them.
        lag: records that it has yet to read.
    """

    topic: str
    partition: int
    committed: int | None
    end: int
    lost: int
    lag: int


@dataclass(frozen=True, slots=True)
class Lag:
    """What is left to do for workers, and for `deliver` (findings that wait on their topic)."""

    workers: tuple[PartitionLag, ...]
    deliver: tuple[PartitionLag, ...]

    @property
    def total(self) -> int:
        """Records that workers have yet to judge, over every topic they read."""
        return sum(part.lag for part in self.workers)

    def topics(self) -> dict[str, int]:
        """Topic -> records that wait."""
        sums: dict[str, int] = {}
        for part in self.workers:
            sums[part.topic] = sums.get(part.topic, 0) + part.lag
        return sums

    def shown(self) -> dict[str, Any]:
        """As `tripmeter lag --json` prints it."""
        return {
            "total": self.total,
            "topics": self.topics(),
            "deliver": sum(part.lag for part in self.deliver),
            "lost": sum(part.lost for part in self.workers),
            "partitions": [
                {
                    "topic": part.topic,
                    "partition": part.partition,
                    "committed": part.committed,
                    "end": part.end,
                    "lag": part.lag,
                }
                for part in self.workers
            ],
        }


def measure(kafka: KafkaSettings, base: Path = Path()) -> Lag:
    """Asks the brokers.

    Raises:
        BadConfig: there are no topics.
        BrokerAway: no broker answered.
    """
    admin = clients.admin(kafka, base)
    try:
        return clients.patiently(kafka, lambda: measure_with(admin, kafka))
    finally:
        admin.close()


def measure_with(admin: Any, kafka: KafkaSettings) -> Lag:
    """As `measure`, over a connection that is there; raises the library's errors."""
    from kafka import TopicPartition
    from kafka.admin import OffsetSpec

    names = Names(kafka.prefix)
    worker, deliver = names.worker_group, names.deliver_group
    wanted = [names.events, *names.lanes, names.control, names.findings]
    there = set(admin.list_topics())
    if names.events not in there:
        raise BadConfig([f"kafka.bootstrap: there is no {names.events}; `tripmeter topics"
                         f" --bootstrap {kafka.bootstrap} --create` makes it"])  # fmt: skip
    parts = [
        TopicPartition(topic["name"], partition["partition_index"])
        for topic in admin.describe_topics([name for name in wanted if name in there])
        for partition in topic["partitions"]
    ]
    read = {group: _committed(admin, group) for group in (worker, deliver)}
    begins = admin.list_partition_offsets(dict.fromkeys(parts, OffsetSpec.EARLIEST))
    ends = admin.list_partition_offsets(dict.fromkeys(parts, OffsetSpec.LATEST))
    of_workers = [p for p in parts if p.topic != names.findings]
    of_deliver = [p for p in parts if p.topic == names.findings]
    return Lag(
        tuple(_behind(of_workers, read[worker], begins, ends)),
        tuple(_behind(of_deliver, read[deliver], begins, ends)),
    )


def _committed(admin: Any, group: str) -> Mapping[Any, int]:
    found = admin.list_group_offsets(group).get(group, {})
    return {part: at.offset for part, at in found.items() if at.offset >= 0}


def _behind(
    parts: Iterable[Any],
    committed: Mapping[Any, int],
    begins: Mapping[Any, Any],
    ends: Mapping[Any, Any],
) -> Iterable[PartitionLag]:
    for part in sorted(parts):
        begin, end, at = begins[part].offset, ends[part].offset, committed.get(part)
        lost = max(0, begin - at) if at is not None else 0
        lag = max(0, end - max(begin, at or 0))
        yield PartitionLag(part.topic, part.partition, at, end, lost, lag)
