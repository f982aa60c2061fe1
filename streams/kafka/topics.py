"""Every topic by name, with what it needs; nothing here talks to a broker.

| topic                  | holds                                        | partitions         |
|------------------------|----------------------------------------------|--------------------|
| `tripmeter.events`     | canonical events of any producer, any key    | any number         |
| `tripmeter.lane.NAME`  | what one lane needs of them; routers write   | one for each shard |
| `tripmeter.findings`   | findings as JSON, keyed by their entity      | any number         |
| `tripmeter.rollups`    | closed windows as JSON                       | any number         |
| `tripmeter.health`     | heartbeats of sources and workers            | 1                  |
| `tripmeter.control`    | what operators decided, for ever             | 1                  |
| `tripmeter.events.invalid` | rejected originals, encrypted, and why   | any number         |
| `tripmeter.state`      | snapshots of shards in chunks, compacted     | one for each shard |
| `tripmeter.installation` | shards, hash, pepper's fingerprint         | 1                  |

Record times are the broker's (`LogAppendTime`): a producer with a wrong clock can neither make
retention drop its events early nor keep them for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.finding import LANES
from streams.kafka.settings import MIB, KafkaSettings

# Headers of records; a record without them is one canonical event or NDJSON of many.
HEADER_FORMAT = "tripmeter-format"  # a known format, `canonical` when absent
HEADER_SOURCE = "tripmeter-source"  # the ingest token, or a producer's own name
HEADER_PLACED = "tripmeter-placed"  # `HASH/SHARDS`: our ingest chose the partition by this hash

SHARD_HASH = "xxh3-64"  # of the key that a lane remembers; see `records.shard_of`
MAX_RECORD_BYTES = 8 * MIB
HOUR_MS = 3_600_000
INTERNAL_PARTITIONS = 4  # of findings, rollups and rejected originals, when we create them


@dataclass(frozen=True, slots=True)
class Names:
    """The names of all topics and consumer groups of one installation."""

    prefix: str = "tripmeter"

    @property
    def events(self) -> str:
        """Canonical events, from anybody."""
        return f"{self.prefix}.events"

    @property
    def invalid(self) -> str:
        """Rejected originals, encrypted."""
        return f"{self.prefix}.events.invalid"

    @property
    def findings(self) -> str:
        """Findings as JSON."""
        return f"{self.prefix}.findings"

    @property
    def rollups(self) -> str:
        """Closed windows as JSON."""
        return f"{self.prefix}.rollups"

    @property
    def health(self) -> str:
        """Heartbeats as JSON."""
        return f"{self.prefix}.health"

    @property
    def control(self) -> str:
        """Control records as JSON."""
        return f"{self.prefix}.control"

    @property
    def state(self) -> str:
        """Snapshots of shards, in chunks."""
        return f"{self.prefix}.state"

    @property
    def installation(self) -> str:
        """What all processes must agree on."""
        return f"{self.prefix}.installation"

    def lane(self, name: str) -> str:
        """What one lane judges."""
        return f"{self.prefix}.lane.{name}"

    @property
    def lanes(self) -> tuple[str, ...]:
        """Every lane's topic."""
        return tuple(map(self.lane, LANES))

    @property
    def worker_group(self) -> str:
        """Consumer group (and Faust id) of the workers; its committed offsets are the lag."""
        return f"{self.prefix}.worker"

    @property
    def deliver_group(self) -> str:
        """Consumer group of `deliver`; one member at a time holds all partitions."""
        return f"{self.prefix}.deliver"


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What one topic needs.

    Attributes:
        partitions: how many are created.
        exact: whether another number of partitions is wrong.
        config: the broker's options that are set, and compared by `--check`.
    """

    name: str
    partitions: int
    exact: bool
    replication: int
    config: Mapping[str, str] = field(default_factory=dict)


def specs(kafka: KafkaSettings) -> tuple[TopicSpec, ...]:
    """Every topic an installation has, in the order they are created."""
    names = Names(kafka.prefix)
    events = _ms(kafka.events_keep_hours)
    findings = _ms(kafka.findings_keep_days * 24)
    events_bytes = kafka.events_keep_bytes

    def spec(
        name: str,
        partitions: int,
        *,
        exact: bool = False,
        compression: str = "lz4",
        keep_ms: int = -1,
        keep_bytes: int = -1,
        policy: str = "delete",
        **more: str,
    ) -> TopicSpec:
        config = {
            "cleanup.policy": policy,
            "compression.type": compression,
            "max.message.bytes": str(MAX_RECORD_BYTES),
            "message.timestamp.type": "LogAppendTime",
            "min.insync.replicas": str(kafka.min_insync),
            "retention.ms": str(keep_ms),
            "retention.bytes": str(keep_bytes),
            **{key.replace("_", "."): value for key, value in more.items()},
        }
        return TopicSpec(name, partitions, exact, kafka.replication, config)

    return (
        spec(names.installation, 1, exact=True),
        spec(
            names.events,
            kafka.events_partitions,
            compression="producer",  # whatever its sender chose; nothing is packed again
            keep_ms=events,
            keep_bytes=events_bytes,
        ),
        *(
            spec(
                lane,
                kafka.shards,
                exact=True,
                compression="producer",  # workers pack what they write
                keep_ms=events,
                keep_bytes=events_bytes,
            )
            for lane in names.lanes
        ),
        spec(names.findings, INTERNAL_PARTITIONS, keep_ms=findings),
        spec(names.rollups, INTERNAL_PARTITIONS, keep_ms=_ms(30 * 24), keep_bytes=4 * 1024 * MIB),
        spec(names.health, 1, keep_ms=_ms(7 * 24), keep_bytes=1024 * MIB),
        spec(names.control, 1, exact=True),
        spec(names.invalid, INTERNAL_PARTITIONS, keep_ms=_ms(14 * 24), keep_bytes=256 * MIB),
        spec(
            names.state,
            kafka.shards,
            exact=True,
            policy="compact",
            compression="producer",
            segment_bytes=str(64 * MIB),  # only closed segments are compacted
            min_cleanable_dirty_ratio="0.3",
            delete_retention_ms=str(_ms(24)),  # a slow restore must still see what was removed
        ),
    )


def _ms(hours: float) -> int:
    return int(hours * HOUR_MS)
