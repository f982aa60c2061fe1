"""Rejected originals travel sealed: the topic tells what was wrong, never what was in it."""

from pathlib import Path

import pytest

from streams.kafka import invalid
from streams.kafka.settings import KafkaSettings
from streams.quarantine import KEY_FILE, Refused
from streams.seal import QuarantineLocked, Seal

REFUSED = Refused("gateway", "events[3]", "canonical", "event.id", "missing\x1b[2J", b"MARKER")


def test_an_original_comes_back_with_the_key_and_is_not_in_the_clear() -> None:
    seal = Seal(b"k" * 32)
    value = invalid.encode(REFUSED, seal, 12.5, invalid.Position("events", 2, 77))
    record = invalid.decode(value)

    assert b"MARKER" == invalid.original(record, seal)
    assert b"MARKER" not in value
    assert "missing\\x1b[2J" == record.reason
    assert {"topic": "events", "partition": 2, "offset": 77} == invalid.shown(record)["position"]
    assert "sealed" not in invalid.shown(record)


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
