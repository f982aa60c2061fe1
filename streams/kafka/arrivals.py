"""What came over the topics that `deliver` reads, by what it is, and where partitions stand."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from schemas.finding import Finding
from schemas.records import Heartbeat, Rollup
from streams.kafka import clients
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import Names
from streams.quarantine import Refused


@dataclass
class Sorted:
    """Records of one poll by what they are."""

    findings: list[Finding] = field(default_factory=list)
    rollups: list[Rollup] = field(default_factory=list)
    heartbeats: list[Heartbeat] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)


def sort(
    names: Names, batches: Mapping[Any, Sequence[Any]], ids: Mapping[str, str] | None = None
) -> Sorted:
    """Reads records; one that is not what its topic holds is refused, and passed over.

    Args:
        ids: of the topics, see `source`.
    """
    ids = ids or {}
    found = Sorted()
    kinds: dict[str, tuple[type[BaseModel], list[Any]]] = {
        names.findings: (Finding, found.findings),
        names.rollups: (Rollup, found.rollups),
        names.health: (Heartbeat, found.heartbeats),
    }
    for part, records in batches.items():
        kind, into = kinds[part.topic]
        for record in records:
            try:
                into.append(kind.model_validate_json(record.value or b""))
            except ValidationError as error:
                if kind is Heartbeat:
                    continue  # the health topic holds other signs of life, too
                place = f"{part.topic}[{part.partition}]@{record.offset}"
                reason = f"no {kind.__name__.lower()}: {error.errors()[0]['msg']}"
                raw = record.value or b""
                found.refused.append(Refused(part.topic, place, "json", "", reason, raw))
        found.positions[source(part, ids)] = records[-1].offset + 1
    return found


def source(part: Any, ids: Mapping[str, str]) -> str:
    """The name of a partition among the positions of the store.

    The topic's id is part of it: positions of a topic that was removed mean nothing in the one that
    was made anew.
    """
    return f"{part.topic}[{part.partition}]@{ids.get(part.topic, '')}"


def topic_ids(kafka: KafkaSettings, base: Path, topics: Collection[str]) -> dict[str, str]:
    """Topic -> the id it has since it was made.

    Raises:
        BrokerAway: no broker answered.
    """
    admin = clients.admin(kafka, base)
    try:
        described = clients.patiently(kafka, lambda: admin.describe_topics(sorted(topics)))
    finally:
        admin.close()
    return {topic["name"]: str(topic["topic_id"]) for topic in described}
