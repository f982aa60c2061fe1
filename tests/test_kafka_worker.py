"""Real workers on a real broker find what a replay finds."""

import signal
import time
from pathlib import Path
from random import Random

import pytest

from schemas.testing import event
from streams.kafka import clients
from streams.kafka.settings import KafkaSettings
from tests.kafka_worker import cluster, expected, same, until
from tests.traffic import small_day

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return small_day(hours=(9,), clients=4)


def test_one_worker_says_what_a_replay_says_word_for_word(
    kafka: KafkaSettings, tmp_path: Path, lines: list[bytes]
) -> None:
    kafka = kafka.model_copy(update={"events_partitions": 1})
    with cluster(kafka, tmp_path) as there:
        there.produce(lines, 0)
        worker = there.worker()
        there.caught_up()

        assert expected(lines) == there.said()
        assert (200, "ready\n") == worker.probe("/readyz")
        assert (200, "ok\n") == worker.probe("/healthz")
        status, figures = worker.probe("/metrics")
        assert 200 == status
        assert f"tripmeter_judged_events_total {float(len(lines))}" in figures
        assert 0 == worker.end()


def test_two_workers_share_four_partitions_of_which_one_is_idle_and_one_empty(
    kafka: KafkaSettings, tmp_path: Path, lines: list[bytes]
) -> None:
    rng = Random(0)
    halves: list[list[bytes]] = [[], []]
    for line in lines[1:]:
        rng.choice(halves).append(line)
    with cluster(kafka, tmp_path) as there:
        first, second = there.worker(), there.worker()
        first.ready()
        second.ready()
        there.produce(lines[:1], 2)
        for number, half in enumerate(halves):
            there.produce(half[:800], number)
        for number, half in enumerate(halves):
            there.produce(half[800:], number, batch=50)
        there.caught_up()

        assert same(expected(lines), there.said())
        assert all("0 partitions of events and 0 shards" not in one.log() for one in there.workers)


def test_workers_that_are_killed_and_stopped_lose_nothing_and_tell_nothing_new(
    kafka: KafkaSettings, tmp_path: Path, lines: list[bytes]
) -> None:
    kafka = kafka.model_copy(update={"events_partitions": 2})
    rng = Random(1)
    halves: list[list[bytes]] = [[], []]
    for line in lines:
        rng.choice(halves).append(line)
    with cluster(kafka, tmp_path, snapshot_every_s=1) as there:
        first, second = there.worker(), there.worker()
        first.ready()
        second.ready()
        for turn in range(4):
            for number, half in enumerate(halves):
                part = len(half) // 4 + 1
                there.produce(half[turn * part : (turn + 1) * part], number)
            time.sleep(rng.uniform(0.3, 1.5))
            if turn == 1:
                second.send(signal.SIGSTOP)  # for longer than its session: a zombie
            else:
                first.kill()
                first.start()
            if turn == 2:
                second.send(signal.SIGCONT)
        there.caught_up()

        assert same(expected(lines), there.said())


def test_a_router_that_is_away_is_waited_for(
    kafka: KafkaSettings, tmp_path: Path, lines: list[bytes]
) -> None:
    kafka = kafka.model_copy(update={"events_partitions": 2})
    rng = Random(2)
    halves: list[list[bytes]] = [[], []]
    for line in lines:
        rng.choice(halves).append(line)
    with cluster(kafka, tmp_path) as there:
        first, second = there.worker(), there.worker()
        first.ready()
        second.ready()
        there.produce(halves[0][:1], 0)
        there.produce(halves[1][:1], 1)
        there.caught_up()
        second.send(signal.SIGSTOP)  # for less than its session: nobody takes its place
        for number, half in enumerate(halves):
            there.produce(half[1:], number)  # hours of event time
        time.sleep(6)
        second.send(signal.SIGCONT)
        there.caught_up()

        assert same(expected(lines), there.said())


def test_poison_is_set_aside_with_its_place_and_stops_nothing(
    kafka: KafkaSettings, tmp_path: Path, lines: list[bytes]
) -> None:
    kafka = kafka.model_copy(update={"events_partitions": 1})
    bomb = b"[" * 2_000_000
    secret = b'{"event.id": "x", "prompt": "hunter2"}'
    with cluster(kafka, tmp_path) as there:
        there.produce([lines[0], b"\xff\xfe", bomb, secret, b"", b"null", *lines[1:]], 0)
        producer = clients.producer(kafka, client="test")
        for lane in there.names.lanes:
            producer.send(lane, b"not of a router", partition=0)
            producer.send(lane, b"", partition=1)
        producer.close()
        there.worker()
        there.caught_up()

        assert same(expected(lines), there.said())
        invalid = there.values(there.names.invalid)
        assert 4 == len(invalid)
        assert not any(b"hunter2" in value for value in invalid)


def test_records_that_left_the_topic_are_counted_and_announced(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    kafka = kafka.model_copy(update={"events_partitions": 1})
    calls = [event(f"2026-10-01T00:00:{n:02d}Z", id=f"e{n}").to_json() for n in range(20)]
    with cluster(kafka, tmp_path) as there:
        there.produce(calls[:5], 0)
        worker = there.worker()
        there.caught_up()
        assert 0 == worker.end()
        there.produce(calls[5:15], 0)
        admin = clients.admin(kafka)
        from kafka import TopicPartition

        admin.delete_records({TopicPartition(there.names.events, 0): 12})
        admin.close()
        there.produce(calls[15:], 0)
        worker.start()
        there.caught_up()

        gone = until(
            lambda: [one for one in there.findings() if one.detector == "topic-gap"], "no finding"
        )
        assert [7] == [one.evidence["lost"] for one in gone]
        assert "tripmeter_lost_records_total 7.0" in worker.probe("/metrics")[1]
