"""Rejected originals travel sealed: the topic tells what was wrong, never what was in it."""

import json
from pathlib import Path

import pytest

from streams.cli import main
from streams.kafka import invalid
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import Names
from streams.quarantine import KEY_FILE, Refused
from streams.seal import QuarantineLocked, Seal
from tests.kafka_process import IngestProcess, config, provision, read_all
from tests.traffic import small_day

REFUSED = Refused("gateway", "events[3]", "canonical", "event.id", "missing\x1b[2J", b"MARKER")


def test_an_original_comes_back_with_the_key_and_is_not_in_the_clear() -> None:
    seal = Seal(b"k" * 32)
    value = invalid.encode(REFUSED, seal, 12.5, invalid.Position("events", 2, 77))
    record = invalid.decode(value)

    assert b"MARKER" == invalid.original(record, seal)
    assert b"MARKER" not in value
    assert "missing\\x1b[2J" == record.reason
    assert invalid.Position("events", 2, 77) == record.position


def test_another_key_is_named_and_opens_nothing() -> None:
    record = invalid.decode(invalid.encode(REFUSED, Seal(b"k" * 32), 0))

    with pytest.raises(QuarantineLocked, match=record.key):
        invalid.original(record, Seal(b"x" * 32))


def test_a_shared_key_file_must_be_there_and_a_local_one_is_made(tmp_path: Path) -> None:
    from streams.configuration import BadConfig

    made = invalid.find_seal(KafkaSettings(), tmp_path, tmp_path / "data")

    assert made.name == Seal.read(tmp_path / "data" / KEY_FILE).name
    with pytest.raises(BadConfig, match="invalid_key_file"):
        invalid.find_seal(KafkaSettings(invalid_key_file="none"), tmp_path, tmp_path)


@pytest.mark.kafka
def test_what_ingest_refused_is_pulled_once_and_accepted_after_a_correction(
    kafka: KafkaSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    provision(kafka)
    secret = "a-secret-of-enough-characters"
    (tmp_path / "secret").write_text(secret + "\n")

    def written(tenants: str) -> list[str]:
        token = f'[tokens.gateway]\nsecret_file = "secret"\ntenants = ["{tenants}"]'
        return ["--config", str(config(tmp_path / "t.toml", kafka, token))]

    data = tmp_path / "data"
    with IngestProcess(data, Path(written("nobody")[1])) as ingest:
        ingest.begun()
        (data / "ingest-token").write_text(secret)
        assert 403 == ingest.post(small_day()[0]).status_code
    place = ["--data", str(data), "--json"]

    assert 0 == main(["dlq", "pull", *place, *written("nobody")])
    assert 0 == main(["dlq", "pull", *place, *written("nobody")])
    told = [json.loads(line)["kept"] for line in capsys.readouterr().out.splitlines()]
    assert [1, 0] == told
    server = ["--bootstrap", kafka.bootstrap]
    assert 0 == main(["dlq", "retry", *place, *server, *written("*")])
    assert {"tried": 1, "events": 1, "left": 0} == json.loads(capsys.readouterr().out)
    (record,) = read_all(kafka, Names(kafka.prefix).events)
    assert json.loads(small_day()[0])["event.id"] == json.loads(record.value)["event.id"]
