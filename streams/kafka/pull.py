"""Rejected originals from their topic into a local quarantine, and corrected events onto theirs."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.configuration import BadConfig
from streams.kafka import clients, invalid
from streams.kafka.records import Headers, place, placed_by, values
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import HEADER_PLACED, HEADER_SOURCE, MAX_RECORD_BYTES, Names
from streams.quarantine import Quarantine, Refused
from streams.seal import QuarantineLocked, Seal

POSITIONS_FILE = "invalid-positions.json"
POLL_MS = 1000


@dataclass
class Pulled:
    """What came: originals kept, and those that another key sealed or that are none of ours."""

    kept: int = 0
    locked: int = 0
    unknown: int = 0


def pull(kafka: KafkaSettings, base: Path, data: Path) -> Pulled:
    """Brings what came since the last pull into this data directory.

    Raises:
        BadConfig: there is no topic, or a key file cannot be used.
        BrokerAway: no broker answered.
    """
    from kafka.errors import KafkaError

    seal = invalid.find_seal(kafka, base, data)
    consumer = clients.consumer(
        kafka,
        base,
        client="dlq",
        group_id=None,
        enable_auto_commit=False,
        max_partition_fetch_bytes=MAX_RECORD_BYTES,
    )
    told, at = Pulled(), [0.0]
    quarantine = Quarantine(data, wall=lambda: at[0])
    try:
        ends = _assign(consumer, Names(kafka.prefix).invalid, data)
        while any(consumer.position(part) < end for part, end in ends.items()):
            for records in consumer.poll(timeout_ms=POLL_MS).values():
                for record in records:
                    refused = _opened(record.value, seal, told, at)
                    if refused is not None:
                        quarantine.add(refused)
        _remember(data, {_name(part): consumer.position(part) for part in ends})
    except KafkaError as error:
        raise clients.away(kafka, error) from None
    finally:
        consumer.close()
        quarantine.close()
    return told


def sender(kafka: KafkaSettings, base: Path) -> tuple[Callable[[str, Sequence[bytes]], None], Any]:
    """A function that puts lines of a source onto the events topic, and what to close afterwards.

    Raises:
        BrokerAway: no broker answered; from the function too.
    """
    from kafka.errors import KafkaError

    topic = Names(kafka.prefix).events
    producer = clients.producer(
        kafka, base, client="dlq", compression_type="lz4", max_request_size=MAX_RECORD_BYTES
    )

    def append(source: str, lines: Sequence[bytes]) -> None:
        try:
            partitions = len(producer.partitions_for(topic))
            headers: Headers = [
                (HEADER_SOURCE, source.encode(errors="replace")),
                (HEADER_PLACED, placed_by(partitions)),
            ]
            sent = [
                producer.send(topic, value, partition=partition, headers=headers)
                for partition, placed in place(lines, partitions).items()
                for value in values(placed)
            ]
            for each in sent:
                each.get(timeout=kafka.request_timeout_s)
        except KafkaError as error:
            raise clients.away(kafka, error) from None

    return append, producer


def _assign(consumer: Any, topic: str, data: Path) -> dict[Any, int]:
    from kafka import TopicPartition

    numbers = consumer.partitions_for_topic(topic)
    if not numbers:
        raise BadConfig([f"kafka.bootstrap: there is no {topic}; see `tripmeter topics --check`"])
    parts = [TopicPartition(topic, number) for number in sorted(numbers)]
    consumer.assign(parts)
    known = _remembered(data)
    begins, ends = consumer.beginning_offsets(parts), consumer.end_offsets(parts)
    for part in parts:
        at = known.get(_name(part), 0)
        consumer.seek(part, at if begins[part] <= at <= ends[part] else begins[part])
    return dict(ends)


def _opened(value: bytes | None, seal: Seal, told: Pulled, at: list[float]) -> Refused | None:
    try:
        record = invalid.decode(value or b"")
        raw = invalid.original(record, seal)
    except QuarantineLocked:
        told.locked += 1
        return None
    except ValueError:
        told.unknown += 1
        return None
    told.kept += 1
    at[0] = record.at
    where = record.position
    place = f"{where.topic}[{where.partition}]@{where.offset}" if where.topic else record.place
    return Refused(record.source, place, record.format, record.field, record.reason, raw)


def _name(part: Any) -> str:
    return f"{part.topic}[{part.partition}]"


def _remembered(data: Path) -> dict[str, int]:
    try:
        return dict(json.loads((data / POSITIONS_FILE).read_text()))
    except (OSError, ValueError):
        return {}


def _remember(data: Path, positions: dict[str, int]) -> None:
    draft = data / f"{POSITIONS_FILE}.new"
    draft.write_text(json.dumps(positions))
    draft.replace(data / POSITIONS_FILE)
