"""Findings into a Kafka topic."""

import json
from pathlib import Path
from typing import Any

import pytest

from alerts.base import Partly, RetryLater
from alerts.destinations import BadDestinations, Destinations
from alerts.kafka_topic import KafkaTopicSink, to_message
from tests.alerts_fakes import deliveries, finding, rich
from tests.ocsf_schema import problems

kafka = pytest.importorskip("kafka")
TABLE = {"type": "kafka_topic", "bootstrap": "127.0.0.1:9092", "topic": "soc.findings"}


class Future:
    def __init__(self, error: Exception | None) -> None:
        self._error = error

    def get(self, timeout: float) -> None:
        if self._error is not None:
            raise self._error


class Producer:
    """Takes what it is told to; as kafka-python's."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = list(errors)
        self.sent: list[dict[str, Any]] = []
        self.flushed = self.closed = False

    def send(self, topic: str, **message: Any) -> Future:
        self.sent.append({"topic": topic, **message})
        return Future(self.errors.pop(0) if self.errors else None)

    def flush(self, timeout: float) -> None:
        self.flushed = True

    def close(self, timeout: float) -> None:
        self.closed = True

    def partitions_for(self, topic: str) -> set[int]:
        return {0, 1}


def sink(*producers: Producer) -> KafkaTopicSink:
    made = iter(producers)
    return KafkaTopicSink("k", "soc.findings", lambda: next(made))


def test_the_key_is_the_findings_id_and_the_header_the_records() -> None:
    message = to_message(deliveries(rich(2))[0])
    assert (b"f-1", [("tripmeter-key", b"f-1#2")], []) == (
        message["key"],
        message["headers"],
        problems(json.loads(message["value"])),
    )


def test_a_batch_counts_when_every_message_is_acknowledged() -> None:
    producer = Producer()
    sink(producer).send(deliveries(finding("a"), finding("b")))
    assert (["soc.findings"] * 2, True) == (
        [each["topic"] for each in producer.sent],
        producer.flushed,
    )


def test_what_was_not_acknowledged_comes_again_through_a_new_producer() -> None:
    first = Producer(None, kafka.errors.KafkaTimeoutError("late"))
    second = Producer()
    target = sink(first, second)
    with pytest.raises(Partly) as caught:
        target.send(deliveries(finding("a"), finding("b")))
    target.send(deliveries(finding("b")))
    assert isinstance(caught.value.later, RetryLater)
    assert ({"a#1"}, False, True, 1) == (
        caught.value.taken,
        caught.value.later.operator,
        first.closed,
        len(second.sent),
    )


def test_a_message_that_is_too_large_is_named() -> None:
    producer = Producer(None, kafka.errors.MessageSizeTooLargeError("1 MB"))
    with pytest.raises(Partly) as caught:
        sink(producer).send(deliveries(finding("a"), finding("b")))
    assert ({"a#1"}, ["b#1"], None) == (
        caught.value.taken,
        list(caught.value.rejected),
        caught.value.later,
    )


def test_a_topic_that_is_not_ours_needs_an_operator() -> None:
    with pytest.raises(RetryLater, match="TopicAuthorizationFailed") as caught:
        sink(Producer(kafka.errors.TopicAuthorizationFailedError("no"))).send(deliveries(finding()))
    assert caught.value.operator


def test_a_look_at_the_topic_writes_nothing() -> None:
    producer = Producer()
    assert sink(producer).probe().startswith("the topic has 2 partitions")
    assert [] == producer.sent


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"security": "sasl"}, "needs username and a token"),
        ({"token_env": "X"}, "needs username and a token"),
        ({"ca_file": "x"}, "need tls or sasl_tls"),
        ({"security": "tls", "key_file": "x"}, "belong together"),
        ({"topic": "a b"}, "topic: is not a usable name"),
    ],
)
def test_mistakes_are_named(change: dict[str, str], reason: str) -> None:
    with pytest.raises(BadDestinations, match=reason):
        Destinations({"k": {**TABLE, **change}})


@pytest.mark.kafka
def test_on_a_real_broker_every_finding_is_there_once_and_in_order(tmp_path: Path) -> None:
    from kafka import KafkaAdminClient, KafkaConsumer
    from kafka.admin import NewTopic

    from tests.kafka_broker import running

    with running() as broker:
        admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
        admin.create_topics([NewTopic("soc.findings", 2, 1)])
        admin.close()
        table = {**TABLE, "bootstrap": broker.bootstrap}
        missing = {**table, "topic": "nobody-made-it", "timeout_s": 2}
        destinations = Destinations({"k": table, "missing": missing}, tmp_path)
        target, wrong = destinations.open(tmp_path / "unused.db")
        many = deliveries(*(finding(f"f{number}", 1) for number in range(1000)))
        for start in range(0, 1000, 500):
            target.send(many[start : start + 500])
        target.close()
        with pytest.raises(RetryLater):
            wrong.send(many[:1])
        wrong.close()
        consumer = KafkaConsumer(
            "soc.findings",
            bootstrap_servers=broker.bootstrap,
            auto_offset_reset="earliest",
            consumer_timeout_ms=3000,
        )
        got = [dict(message.headers)["tripmeter-key"].decode() for message in consumer]
        consumer.close()
    assert sorted(each.key for each in many) == sorted(got)
