"""Creates the topics, and says what differs from what they need and how to mend it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import TopicSpec, specs

TOPIC_EXISTS = 36  # error code of CreateTopics


class CannotCreate(Exception):
    """A topic could not be created; the text has the broker's reason."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing about a topic that is not as it should be."""

    topic: str
    what: str
    remedy: str

    def line(self) -> str:
        """As `--check` prints it."""
        return f"{self.topic}: {self.what}; {self.remedy}"


def create(admin: Any, wanted: Iterable[TopicSpec]) -> list[str]:
    """Creates what is missing; gives the names of what was created.

    Raises:
        CannotCreate: the broker refused one; others may have been created.
    """
    there = set(admin.list_topics())
    missing = {
        spec.name: {
            "num_partitions": spec.partitions,
            "replication_factor": spec.replication,
            "configs": dict(spec.config),
        }
        for spec in wanted
        if spec.name not in there
    }
    if not missing:
        return []
    answer = admin.create_topics(missing, raise_errors=False)
    made, refused = [], []
    for topic in answer["topics"]:
        if topic["error_code"] == 0:
            made.append(topic["name"])
        elif topic["error_code"] != TOPIC_EXISTS:  # somebody else was faster
            refused.append(f"{topic['name']}: {topic['error_message'] or topic['error_code']}")
    if refused:
        raise CannotCreate("; ".join(refused))
    admin.wait_for_topics(list(missing))
    return made


def alter(admin: Any, differences: Sequence[Difference], wanted: Iterable[TopicSpec]) -> list[str]:
    """Sets the options of topics that differ; gives their names. Partitions are never changed."""
    from kafka.admin import ConfigResource

    touched = {one.topic for one in differences}
    changed = [spec for spec in wanted if spec.name in touched]
    if changed:
        admin.alter_configs([ConfigResource("TOPIC", s.name, dict(s.config)) for s in changed])
    return [spec.name for spec in changed]


def check(admin: Any, kafka: KafkaSettings) -> list[Difference]:
    """What differs from what is needed; empty when everything fits."""
    wanted = specs(kafka)
    there = set(admin.list_topics())
    known = [spec for spec in wanted if spec.name in there]
    found = [
        Difference(spec.name, "is missing", "`tripmeter topics --create` makes it")
        for spec in wanted
        if spec.name not in there
    ]
    if not known:
        return found
    described = {topic["name"]: topic for topic in admin.describe_topics([s.name for s in known])}
    options = _options(admin, known)
    for spec in known:
        found += _layout(spec, described[spec.name]["partitions"])
        found += _config(spec, options[spec.name])
    return found


def _options(admin: Any, known: Sequence[TopicSpec]) -> dict[str, dict[str, str]]:
    from kafka.admin import ConfigResource

    resources = [ConfigResource("TOPIC", spec.name) for spec in known]
    described = admin.describe_configs(resources, config_filter="all")["topic"]
    return {
        name: {key: str(option["value"]) for key, option in options.items()}
        for name, options in described.items()
    }


def _layout(spec: TopicSpec, partitions: Sequence[Any]) -> Iterable[Difference]:
    count = len(partitions)
    if spec.exact and count != spec.partitions:
        yield Difference(
            spec.name,
            f"has {count} partitions, {spec.partitions} are needed",
            "shards are fixed at the first start: set kafka.shards to what was created,"
            " or choose another kafka.prefix",
        )
    copies = min((len(partition["replica_nodes"]) for partition in partitions), default=0)
    if copies < spec.replication:
        yield Difference(
            spec.name,
            f"has {copies} copies of a partition, {spec.replication} are wanted",
            "move it with kafka-reassign-partitions, or lower kafka.replication",
        )
    for partition in partitions:
        if partition["leader_id"] < 0:
            number = partition["partition_index"]
            yield Difference(
                spec.name, f"partition {number} has no leader", "start the broker that holds it"
            )


def _config(spec: TopicSpec, options: dict[str, str]) -> Iterable[Difference]:
    for key, value in spec.config.items():
        has = options.get(key)
        if has is None or _same(has, value):
            continue
        yield Difference(
            spec.name,
            f"{key} is {has}, {value} is needed",
            "`tripmeter topics --create --alter` sets it",
        )


def _same(one: str, other: str) -> bool:
    try:
        return float(one) == float(other)
    except ValueError:
        return one == other
