"""`tripmeter deliver`: one reads, the others stand by; no finding is passed over."""

import json
import signal
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import httpx
import pytest

from schemas.finding import Finding
from streams.kafka import clients
from streams.kafka.arrivals import sort
from streams.kafka.deliver import Reader
from streams.kafka.lag import measure
from streams.kafka.records import finding_key, shard_of
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import INTERNAL_PARTITIONS, Names
from streams.own_findings import tenant_mismatch
from streams.quarantine import Quarantine
from tests.kafka_broker import until
from tests.kafka_process import Process, config, provision

NOW = datetime(2026, 10, 1, tzinfo=UTC)


def _findings(count: int, start: int = 0) -> list[Finding]:
    return [tenant_mismatch("gateway", f"t{n}", NOW) for n in range(start, start + count)]


def _publish(kafka: KafkaSettings, findings: Sequence[Finding], *more: bytes) -> None:
    producer = clients.producer(kafka, client="test")
    topic = Names(kafka.prefix).findings
    for finding in findings:
        key = finding_key(finding)
        partition = shard_of(key.decode(), INTERNAL_PARTITIONS)
        producer.send(topic, finding.to_json(), key=key, partition=partition)
    for value in more:
        producer.send(topic, value)
    producer.close()


def _told(data: Path) -> set[str]:
    """Ids of findings in the file that is written by default."""
    file = data / "findings.ocsf.ndjson"
    lines = file.read_text().splitlines() if file.exists() else []
    return {json.loads(line)["finding_info"]["uid"] for line in lines}


class DeliverProcess(Process):
    """`tripmeter deliver` with a data directory of its own."""

    def __init__(self, data: Path, file: Path) -> None:
        self.data = data
        command = ["deliver", "--data", str(data), "--config", str(file)]
        super().__init__(command, r"monitoring on (http://\S+)")


class Part(NamedTuple):
    topic: str
    partition: int


def _member(name: str, holds: bool) -> Any:
    data = b"holder" if holds else b""
    metadata = SimpleNamespace(topics=["a", "b"], user_data=data)
    return SimpleNamespace(member_id=name, group_instance_id=None, metadata=metadata)


def test_all_partitions_go_to_the_one_that_holds_them_already_else_to_the_first() -> None:
    from streams.kafka.lease import OneReader

    cluster = SimpleNamespace(partitions_for_topic=lambda topic: {1, 0})

    def given(*members: Any) -> dict[str, bool]:
        assigned = OneReader().assign(cluster, members)
        return {name: bool(each.partitions()) for name, each in assigned.items()}

    assert {"a": True, "b": False} == given(_member("b", False), _member("a", False))
    assert {"a": False, "b": True} == given(_member("a", False), _member("b", True))


def test_a_record_that_is_no_finding_is_refused_and_the_next_one_read() -> None:
    names = Names()
    part = Part(names.findings, 2)
    values = [b"\x00", None, _findings(1)[0].to_json()]
    records = [SimpleNamespace(value=value, offset=7 + n) for n, value in enumerate(values)]

    found = sort(names, {part: records}, {names.findings: "id"})

    assert (1, 2) == (len(found.findings), len(found.refused))
    assert "tripmeter.findings[2]@7" == found.refused[0].place
    assert {"tripmeter.findings[2]@id": 10} == found.positions


class OneBatch:
    """A consumer that gives the same records until somebody moves on; then it ends the test."""

    def __init__(self, part: Part, values: Sequence[bytes]) -> None:
        self.part, self.values, self.at = part, values, 0

    def subscribe(self, topics: Any, listener: Any) -> None:
        listener.on_partitions_assigned([self.part])

    def poll(self, timeout_ms: int) -> dict[Part, list[Any]]:
        records = [SimpleNamespace(value=v, offset=n) for n, v in enumerate(self.values)][self.at :]
        self.at = len(self.values)
        return {self.part: records} if records else {}

    def assignment(self) -> set[Part]:
        return {self.part}

    def seek(self, part: Part, offset: int) -> None:
        self.at = offset

    def committed(self, part: Part) -> None:
        return None

    def close(self) -> None:
        pass


def test_records_that_were_read_when_something_broke_are_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    part = Part(Names().findings, 0)
    broken = iter([clients.BrokerAway("away"), None])
    stored: list[str] = []

    def ids(*_: object) -> dict[str, str]:
        if (error := next(broken)) is not None:
            raise error
        return {part.topic: "id"}

    def record(findings: Any, rollups: Any, beats: Any, positions: Any) -> None:
        stored.extend(finding.id for finding in findings)
        reader.stop()

    consumer = OneBatch(part, [finding.to_json() for finding in _findings(3)])
    monkeypatch.setattr(clients, "consumer", lambda *_, **__: consumer)
    monkeypatch.setattr("streams.kafka.deliver.topic_ids", ids)
    monkeypatch.setattr("streams.kafka.deliver.RETRY_S", 0.0)
    reader = Reader(
        KafkaSettings(),
        Path(),
        record=record,
        position=lambda source: None,
        nothing_waits=lambda: False,
        refuse=lambda refused: None,
    )
    reader.run()

    assert [finding.id for finding in _findings(3)] == stored


@pytest.fixture
def topics(kafka: KafkaSettings) -> KafkaSettings:
    provision(kafka)
    return kafka


@pytest.mark.kafka
def test_the_position_waits_for_the_store_and_the_group_for_the_destinations(
    topics: KafkaSettings,
) -> None:
    _publish(topics, _findings(5))
    stored: list[str] = []
    tries = iter([OSError("full"), OSError("full")])
    delivered = threading.Event()

    def record(findings: Any, rollups: Any, beats: Any, positions: Any) -> None:
        if (error := next(tries, None)) is not None:
            raise error
        stored.extend(finding.id for finding in findings)

    reader = Reader(
        topics,
        Path(),
        record=record,
        position=lambda source: None,
        nothing_waits=delivered.is_set,
        refuse=lambda refused: None,
    )
    thread = threading.Thread(target=reader.run)
    thread.start()
    try:
        until(lambda: 5 == len(stored))
        assert 5 == sum(part.lag for part in measure(topics).deliver)
        delivered.set()
        until(lambda: 0 == sum(part.lag for part in measure(topics).deliver))
    finally:
        reader.stop()
        thread.join()
    assert sorted(stored) == sorted(finding.id for finding in _findings(5))


@pytest.mark.kafka
def test_a_topic_that_was_made_anew_is_read_from_its_beginning(topics: KafkaSettings) -> None:
    positions: dict[str, int] = {}
    stored: list[str] = []

    def record(findings: Any, rollups: Any, beats: Any, new: Any) -> None:
        stored.extend(finding.id for finding in findings)
        positions.update(new)

    def read(count: int) -> None:
        reader = Reader(
            topics,
            Path(),
            record=record,
            position=positions.get,
            nothing_waits=lambda: False,
            refuse=lambda refused: None,
        )
        thread = threading.Thread(target=reader.run)
        thread.start()
        try:
            until(lambda: count == len(stored))
        finally:
            reader.stop()
            thread.join()

    _publish(topics, _findings(5))
    read(5)
    _publish(topics, _findings(2, start=5))
    read(7)  # from where the store is, though the group never moved on
    name = Names(topics.prefix).findings
    admin = clients.admin(topics)
    admin.delete_topics([name])
    until(lambda: name not in admin.list_topics())
    admin.close()
    provision(topics)
    _publish(topics, _findings(9, start=20))
    read(16)

    assert [one.id for one in _findings(9, start=20)] == stored[7:]


@pytest.mark.kafka
def test_what_is_published_is_told_once_over_a_restart_and_rubbish_is_kept_aside(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    file = config(tmp_path / "t.toml", topics)
    first, second = _findings(6), _findings(4, start=6)
    with DeliverProcess(tmp_path / "data", file) as process:
        _publish(topics, first, b"rubbish")
        until(lambda: {one.id for one in first} == _told(tmp_path / "data"), 90)
        assert 0 == process.stop()
    with DeliverProcess(tmp_path / "data", file) as process:
        _publish(topics, second)
        until(lambda: 10 == len(_told(tmp_path / "data")), 90)
        assert 0 == process.stop()

    lines = (tmp_path / "data" / "findings.ocsf.ndjson").read_text().splitlines()
    assert 10 == len({json.loads(line)["finding_info"]["uid"] for line in lines})
    quarantine = Quarantine(tmp_path / "data")
    assert [7] == [entry.size for entry in quarantine.entries()]
    quarantine.close()


@pytest.mark.kafka
def test_a_standby_takes_over_from_one_that_froze_and_one_reads_when_it_is_back(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    file = config(tmp_path / "t.toml", topics)
    a, b = tmp_path / "a", tmp_path / "b"
    with DeliverProcess(a, file) as one, DeliverProcess(b, file) as two:
        one.begun()
        two.begun()

        def reading() -> list[DeliverProcess]:
            pages = {each: httpx.get(each.found + "/metrics").text for each in (one, two)}
            return [each for each, page in pages.items() if "deliver_active 1.0" in page]

        until(lambda: "standing by" in one.log + two.log and 1 == len(reading()), 90)
        (active,) = reading()
        standby = two if active is one else one
        _publish(topics, _findings(5))
        until(lambda: 5 == len(_told(active.data)), 90)
        assert set() == _told(standby.data)

        active.signal(signal.SIGSTOP)
        _publish(topics, _findings(5, start=5))
        until(lambda: {f.id for f in _findings(5, start=5)} <= _told(standby.data), 90)
        active.signal(signal.SIGCONT)
        until(lambda: active.log.count("standing by") + standby.log.count("standing by") > 1, 90)
        _publish(topics, _findings(5, start=10))
        until(lambda: {f.id for f in _findings(15)} == _told(a) | _told(b), 90)
        until(lambda: 1 == len(reading()), 90)
