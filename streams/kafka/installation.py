"""What all processes of an installation must agree on: shards, hash, and the pepper.

The first to say something about each is right for ever: the topic `tripmeter.installation` keeps
records in the order they came, and nothing leaves it. Of the pepper only its fingerprint is there.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.identity import Pepper, UnsafePepper
from streams.configuration import BadConfig
from streams.kafka import clients
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import SHARD_HASH, Names

READ_S = 10.0
PEPPER_FILE = "pepper"
MAX_RECORDS = 10_000  # of the topic that are read; a handful is usual


@dataclass(frozen=True, slots=True)
class Installation:
    """What was agreed; `pepper` is a fingerprint, or None while nobody has shown one."""

    shards: int
    hash: str
    pepper: str | None

    def settle(self, kafka: KafkaSettings) -> KafkaSettings:
        """The settings with the shards that were agreed, where the configuration is silent."""
        return kafka.model_copy(update={"shards": self.shards})


def agree(kafka: KafkaSettings, base: Path, pepper: Pepper | None) -> Installation:
    """Compares this process with the installation, and adds the pepper if it is the first.

    Every process calls it before it does anything else.

    Args:
        base: folder that relative paths start from.
        pepper: of this process, if it has one.
    Raises:
        BadConfig: topics are missing, or shards or the pepper are others; the process must end.
        BrokerAway: no broker answered.
    """
    found = read(kafka, base)
    if found is None:
        raise BadConfig(
            [
                f"kafka.bootstrap: no topics of {kafka.prefix!r} at {kafka.bootstrap};"
                f" run: tripmeter topics --bootstrap {kafka.bootstrap} --create"
            ]
        )
    if pepper is not None and found.pepper is None:
        _write(kafka, base, {"pepper": pepper.fingerprint})
        found = read(kafka, base) or found
    problems = _disagreements(kafka, found, pepper)
    if problems:
        raise BadConfig(problems)
    return found


def establish(kafka: KafkaSettings, base: Path, pepper: Pepper | None) -> Installation:
    """Writes down what is not yet agreed, then agrees (`topics --create`).

    Raises:
        BadConfig, BrokerAway: as `agree`.
    """
    if read(kafka, base) is None:
        _write(kafka, base, {"version": 1, "shards": kafka.shards, "hash": SHARD_HASH})
    return agree(kafka, base, pepper)


def read(kafka: KafkaSettings, base: Path) -> Installation | None:
    """What was agreed; None when nothing was.

    Raises:
        BrokerAway: no broker answered.
    """
    agreed: dict[str, Any] = {}
    for record in _records(kafka, base):
        for key, value in record.items():
            agreed.setdefault(key, value)
    if "shards" not in agreed:
        return None
    return Installation(int(agreed["shards"]), str(agreed["hash"]), agreed.get("pepper"))


def find_pepper(kafka: KafkaSettings, base: Path, data: Path) -> Pepper | None:
    """The pepper of this process: `pepper_file`, or `pepper` in the data folder; None without.

    Raises:
        BadConfig: `pepper_file` is not there, or the file cannot be trusted.
    """
    if kafka.pepper_file:
        return _mounted(base / kafka.pepper_file)
    path = data / PEPPER_FILE
    return _load(path) if path.exists() else None


def make_pepper(kafka: KafkaSettings, base: Path, data: Path) -> Pepper:
    """As `find_pepper`, but makes one in the data folder if there is none."""
    found = find_pepper(kafka, base, data)
    if found is not None:
        return found
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    return _load(data / PEPPER_FILE)


def _mounted(path: Path) -> Pepper:
    """A pepper that a secret store put there: readable as it mounts it, and never made by us."""
    try:
        if path.stat().st_mode & 0o022:
            raise BadConfig([f"kafka.pepper_file: others may write {path}; run: chmod go-w {path}"])
        return Pepper(path.read_bytes())
    except UnsafePepper as error:
        raise BadConfig([f"kafka.pepper_file: {path}: {error}"]) from None
    except OSError as error:
        raise BadConfig([f"kafka.pepper_file: {path}: {error.strerror}; put it there"]) from None


def _load(path: Path) -> Pepper:
    try:
        return Pepper.load(path)
    except UnsafePepper as error:
        raise BadConfig([f"kafka.pepper_file: {error}"]) from None
    except OSError as error:
        raise BadConfig([f"kafka.pepper_file: {path}: {error.strerror}; make it readable"]) \
            from None  # fmt: skip


def _disagreements(kafka: KafkaSettings, found: Installation, pepper: Pepper | None) -> list[str]:
    problems = []
    if found.shards != kafka.shards and "shards" in kafka.model_fields_set:
        problems.append(
            f"kafka.shards: {kafka.shards}, but the topics were created with {found.shards};"
            f" set kafka.shards = {found.shards}"
        )
    if found.hash != SHARD_HASH:
        problems.append(
            f"kafka.prefix: the topics were created for the hash {found.hash!r}, this version"
            f" uses {SHARD_HASH!r}; use the version that made them, or another kafka.prefix"
        )
    if pepper is not None and found.pepper not in (None, pepper.fingerprint):
        problems.append(
            f"kafka.pepper_file: this process has {pepper.fingerprint}, the installation"
            f" {found.pepper}; give every process the same pepper file, or the fingerprints of"
            " one key differ from process to process"
        )
    return problems


def _records(kafka: KafkaSettings, base: Path) -> list[dict[str, Any]]:
    from kafka import TopicPartition
    from kafka.errors import KafkaError

    topic = Names(kafka.prefix).installation
    consumer = clients.consumer(
        kafka, base, client="installation", enable_auto_commit=False, group_id=None
    )
    try:
        if not consumer.partitions_for_topic(topic):
            return []
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        end = consumer.end_offsets([partition])[partition]
        consumer.seek_to_beginning(partition)
        values: list[bytes] = []
        while consumer.position(partition) < end and len(values) < MAX_RECORDS:
            batch = consumer.poll(timeout_ms=int(READ_S * 1000)).get(partition, [])
            if not batch:
                raise clients.away(kafka, TimeoutError())
            values += [record.value for record in batch]
    except KafkaError as error:
        raise clients.away(kafka, error) from None
    finally:
        consumer.close()
    return [record for record in map(_parsed, values) if isinstance(record, dict)]


def _parsed(value: bytes | None) -> Any:
    try:
        return json.loads(value or b"")
    except ValueError:  # not ours
        return None


def _write(kafka: KafkaSettings, base: Path, record: dict[str, Any]) -> None:
    from kafka.errors import KafkaError

    producer = clients.producer(kafka, base, client="installation")
    try:
        producer.send(Names(kafka.prefix).installation, json.dumps(record).encode()).get(
            timeout=kafka.request_timeout_s
        )
    except KafkaError as error:
        raise clients.away(kafka, error) from None
    finally:
        producer.close()
