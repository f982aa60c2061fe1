"""A time range of a topic as recordings, one for each partition, for `tripmeter replay`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from schemas.adapters import FORMATS, Context, adapt
from schemas.adapters.canonical import is_clean
from streams.kafka import clients
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import HEADER_FORMAT
from streams.quarantine import Refused
from streams.replay import BLOCK_LINES, Recording

CANONICAL = "canonical"
POLL_MS = 500
BLOCK_BYTES = 2**20


class NoTopic(OSError):
    """There is no such topic; the text says which there are not."""


@dataclass(slots=True)
class TopicRecording(Recording):
    """One partition from one position to another; `line` counts lines, not records."""

    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    base: Path = Path()
    topic: str = ""
    partition: int = 0
    first: int = 0
    end: int = 0

    def blocks(self) -> Iterator[bytes]:
        """Canonical NDJSON in blocks, in the order of the partition.

        Raises:
            BrokerAway: no broker answered.
        """
        waiting: list[bytes] = []
        size = lines = 0
        for record in self._records():
            value = record.value or b""
            self.read_bytes += len(value)
            name = self._format(record)
            plain = name == CANONICAL and is_clean(value)
            block = value.strip(b"\n") if plain else self._read(value, name, record.offset)
            if block:
                waiting.append(block)
                size += len(block)
                lines += block.count(b"\n") + 1
            if lines >= BLOCK_LINES or size >= BLOCK_BYTES:
                yield b"\n".join(waiting)
                self.line += lines
                waiting, size, lines = [], 0, 0
        if waiting:
            yield b"\n".join(waiting)
            self.line += lines

    def _format(self, record: Any) -> str:
        if self.format != "auto":
            return self.format
        found = next((value for key, value in record.headers if key == HEADER_FORMAT), b"")
        return found.decode(errors="replace") or CANONICAL

    def _read(self, value: bytes, name: str, offset: int) -> bytes:
        place = f"{self.topic}[{self.partition}]@{offset}"
        if name not in FORMATS:
            self._refuse(place, name, "", "no such format", value)
            return b""
        result = adapt(value, name, self.context())
        self.ignored += result.ignored
        for one in result.rejections:
            self._refuse(f"{place}, record {one.index + 1}", name, one.field, one.reason, one.raw)
            self.rejected += one.count - 1
        return b"\n".join(result.events)

    def _refuse(self, place: str, name: str, field: str, reason: str, raw: bytes) -> None:
        self.rejected += 1
        self.quarantine(Refused(self.topic, place, name, field, reason, raw))

    def _records(self) -> Iterator[Any]:
        from kafka import TopicPartition
        from kafka.errors import KafkaError

        part = TopicPartition(self.topic, self.partition)
        consumer = clients.consumer(
            self.kafka, self.base, client="replay", group_id=None, enable_auto_commit=False
        )
        try:
            consumer.assign([part])
            consumer.seek(part, self.first)
            while consumer.position(part) < self.end:
                for record in consumer.poll(timeout_ms=POLL_MS).get(part, []):
                    if record.offset >= self.end:
                        return
                    yield record
        except KafkaError as error:
            raise clients.away(self.kafka, error) from None
        finally:
            consumer.close()


def recordings(
    kafka: KafkaSettings,
    base: Path,
    topic: str,
    context: Callable[[], Context],
    quarantine: Callable[[Refused], None],
    *,
    format: str = "auto",
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Recording]:
    """The partitions of a topic, from what was there at `since` to what was before `until`.

    Args:
        since, until: when the broker got the records; None is the first one and the last one there
            is now.
    Raises:
        NoTopic: there is none of that name.
        BrokerAway: no broker answered.
    """
    from kafka import TopicPartition
    from kafka.errors import KafkaError

    consumer = clients.consumer(
        kafka, base, client="replay", group_id=None, enable_auto_commit=False
    )
    try:
        numbers = consumer.partitions_for_topic(topic)
        if not numbers:
            raise NoTopic(f"{topic}: no such topic at {kafka.bootstrap}")
        parts = [TopicPartition(topic, number) for number in sorted(numbers)]
        firsts = _positions(consumer, parts, since, consumer.beginning_offsets(parts))
        ends = _positions(consumer, parts, until, consumer.end_offsets(parts))
    except KafkaError as error:
        raise clients.away(kafka, error) from None
    finally:
        consumer.close()
    return [
        TopicRecording(
            f"{topic}[{part.partition}]",
            context,
            format,
            quarantine,
            kafka=kafka,
            base=base,
            topic=topic,
            partition=part.partition,
            first=firsts[part],
            end=ends[part],
        )
        for part in parts
        if firsts[part] < ends[part]
    ]


def _positions(
    consumer: Any, parts: Sequence[Any], at: datetime | None, otherwise: dict[Any, int]
) -> dict[Any, int]:
    """The first position at or after an instant; a partition with nothing after it ends there."""
    if at is None:
        return otherwise
    found = consumer.offsets_for_times(dict.fromkeys(parts, int(at.timestamp() * 1000)))
    ends = consumer.end_offsets(parts)
    return {part: found[part].offset if found.get(part) else ends[part] for part in parts}
