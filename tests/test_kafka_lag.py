"""The lag is what is not judged yet, over every topic that workers read; 0 is said last."""

import json
from pathlib import Path
from typing import Any

import pytest

from streams.cli import main
from streams.kafka import clients
from streams.kafka.lag import measure
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import Names
from tests.kafka_process import config, provision


def _send(kafka: KafkaSettings, topic: str, partition: int, count: int) -> None:
    producer = clients.producer(kafka, client="test")
    for number in range(count):
        producer.send(topic, str(number).encode(), partition=partition)
    producer.close()


def _commit(kafka: KafkaSettings, group: str, offsets: dict[tuple[str, int], int]) -> None:
    from kafka import TopicPartition

    admin = clients.admin(kafka)
    at: dict[Any, int] = {TopicPartition(*part): offset for part, offset in offsets.items()}
    from kafka.structs import OffsetAndMetadata

    admin.alter_group_offsets(
        group, {part: OffsetAndMetadata(offset, "", None) for part, offset in at.items()}
    )
    admin.close()


@pytest.mark.kafka
def test_what_no_worker_has_judged_counts_in_events_lanes_and_decisions(
    kafka: KafkaSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    provision(kafka)
    names = Names(kafka.prefix)
    lane = names.lane("credential")
    _send(kafka, names.events, 1, 7)
    _send(kafka, lane, 0, 3)
    _send(kafka, names.findings, 0, 2)
    _send(kafka, names.control, 0, 5)
    assert {names.events: 7, lane: 3, names.control: 5} == {
        topic: count for topic, count in measure(kafka).topics().items() if count
    }

    judged = {(names.events, 1): 6, (lane, 0): 3, (names.control, 0): 5}
    _commit(kafka, names.worker_group, judged)
    _commit(kafka, names.deliver_group, {(names.findings, 0): 1})
    assert 0 == main(["lag", "--config", str(config(tmp_path / "t.toml", kafka)), "--json"])
    told = json.loads(capsys.readouterr().out)

    assert (1, 1, 0) == (told["total"], told["deliver"], told["lost"])
    assert {"topic": names.events, "partition": 1, "committed": 6, "end": 7, "lag": 1} in (
        told["partitions"]
    )


@pytest.mark.kafka
def test_records_that_left_their_topic_unread_are_told_and_not_waited_for(
    kafka: KafkaSettings,
) -> None:
    from kafka import TopicPartition

    provision(kafka)
    events = Names(kafka.prefix).events
    _send(kafka, events, 0, 9)
    _commit(kafka, Names(kafka.prefix).worker_group, {(events, 0): 2})
    admin = clients.admin(kafka)
    admin.delete_records({TopicPartition(events, 0): 5})
    admin.close()

    lag = measure(kafka)

    assert (4, 3) == (lag.total, sum(part.lost for part in lag.workers))


@pytest.mark.kafka
def test_without_topics_it_says_what_to_run(
    kafka: KafkaSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 78 == main(["lag", "--config", str(config(tmp_path / "t.toml", kafka))])
    assert "--create` makes it" in capsys.readouterr().err
