"""`tripmeter ingest`: 2xx means that Kafka has it; without a broker nothing is promised or lost."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.identity import Pepper
from streams.cli import main
from streams.kafka import installation, invalid
from streams.kafka.records import MAX_VALUE_BYTES, place, shard_of, values
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import HEADER_PLACED, HEADER_SOURCE, Names
from streams.quarantine import KEY_FILE
from streams.seal import Seal
from tests.kafka_broker import Broker, until
from tests.kafka_process import IngestProcess, config, provision, read_all
from tests.traffic import small_day


def _ids(lines: list[bytes]) -> list[str]:
    return [json.loads(line)["event.id"] for line in lines]


def _key(line: bytes) -> str:
    return str(json.loads(line)["api_key.id"])


def test_lines_of_one_key_go_to_one_partition_in_their_order() -> None:
    lines = small_day()[:2000]

    placed = place(lines, 4)

    assert len(lines) == sum(map(len, placed.values()))
    for key in {_key(line) for line in lines}:
        mine = [line for line in lines if _key(line) == key]
        assert mine == [line for line in placed[shard_of(key, 4)] if _key(line) == key]


def test_a_record_holds_many_lines_up_to_its_limit_and_a_longer_line_alone() -> None:
    lines = [b"x" * 300, b"y" * 300, b"z" * 900, b"w"]

    assert [b"\n".join(lines[:2]), lines[2], lines[3]] == list(values(lines, 700))
    assert MAX_VALUE_BYTES > 0


@pytest.fixture
def ingest(kafka: KafkaSettings, tmp_path: Path) -> Iterator[IngestProcess]:
    provision(kafka)
    with IngestProcess(tmp_path / "data", config(tmp_path / "t.toml", kafka)) as process:
        process.begun()
        yield process


@pytest.mark.kafka
def test_what_was_accepted_is_on_the_topic_and_what_was_refused_is_sealed(
    kafka: KafkaSettings, ingest: IngestProcess
) -> None:
    lines = small_day()[:3000]
    names = Names(kafka.prefix)

    answer = ingest.post(b"\n".join([*lines, b'{"MARKER": 1}']))

    assert (200, 3000, 1) == (
        answer.status_code, answer.json()["accepted"], answer.json()["rejected"]
    )  # fmt: skip
    records = read_all(kafka, names.events)
    found = [line for record in records for line in record.value.split(b"\n")]
    assert sorted(_ids(lines)) == sorted(_ids(found))
    assert {(HEADER_SOURCE, b"default"), (HEADER_PLACED, b"xxh3-64/4")} == {
        header for record in records for header in record.headers
    }
    assert all(
        record.partition == shard_of(_key(line), 4)
        for record in records
        for line in record.value.split(b"\n")
    )
    (refused,) = read_all(kafka, names.invalid)
    told = invalid.decode(refused.value)
    assert ("default", "canonical") == (told.source, told.format)
    assert b"MARKER" not in refused.value
    assert b'{"MARKER": 1}' == invalid.original(told, Seal.read(ingest.data / KEY_FILE))
    assert 200 == ingest.get("/readyz").status_code
    assert "tripmeter_kafka_away_seconds 0.0" in ingest.get("/metrics").text
    assert 0 == ingest.stop()


@pytest.mark.kafka
def test_a_broker_that_is_away_is_answered_with_503_and_nothing_accepted_is_lost(
    broker: Broker, kafka: KafkaSettings, tmp_path: Path
) -> None:
    lines = small_day()
    kafka = kafka.model_copy(update={"request_timeout_s": 2.0})
    provision(kafka)
    with IngestProcess(tmp_path / "data", config(tmp_path / "t.toml", kafka)) as ingest:
        ingest.begun()
        assert 200 == ingest.post(b"\n".join(lines[:500])).status_code
        with broker.frozen():
            answer = ingest.post(b"\n".join(lines[500:600]))
            assert (503, "5") == (answer.status_code, answer.headers["retry-after"])
            ingest.until_ready(503)
        ingest.until_ready()
        assert 200 == ingest.post(b"\n".join(lines[500:600])).status_code
        assert 0 == ingest.stop()
    records = read_all(kafka, Names(kafka.prefix).events)
    found = [line for record in records for line in record.value.split(b"\n")]
    assert set(_ids(lines[:600])) == set(_ids(found))


@pytest.mark.kafka
def test_events_of_a_forbidden_tenant_become_a_finding_on_the_topic(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    provision(kafka)
    (tmp_path / "secret").write_text("a-secret-of-enough-characters\n")
    token = '[tokens.default]\nsecret_file = "secret"\ntenants = ["nobody"]'
    with IngestProcess(tmp_path / "data", config(tmp_path / "t.toml", kafka, token)) as ingest:
        ingest.begun()
        (tmp_path / "data" / "ingest-token").write_text("a-secret-of-enough-characters\n")
        assert 403 == ingest.post(small_day()[0]).status_code
    (found,) = read_all(kafka, Names(kafka.prefix).findings)

    assert "tenant-mismatch" == json.loads(found.value)["detector"]
    assert b"service:token:default" == found.key


@pytest.mark.kafka
def test_the_first_ingest_makes_the_pepper_and_a_stranger_ends_with_78(
    kafka: KafkaSettings, ingest: IngestProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = Pepper.load(ingest.data / "pepper").fingerprint
    options = ["--config", str(tmp_path / "t.toml"), "--listen", "127.0.0.1:0"]

    agreed = installation.read(kafka, tmp_path)
    assert agreed is not None and ours == agreed.pepper
    assert 78 == main(["ingest", *options, "--data", str(tmp_path / "empty")])
    assert "copy its `pepper` file here" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    Pepper.load(tmp_path / "other" / "pepper")
    assert 78 == main(["ingest", *options, "--data", str(tmp_path / "other")])
    until(lambda: ours in capsys.readouterr().err, 1)
