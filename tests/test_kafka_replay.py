"""A time range of a topic is judged as a file would be."""

import json
import time
from pathlib import Path

import pytest

from streams.cli import main
from streams.kafka import clients
from streams.kafka.records import place
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import HEADER_FORMAT, Names
from tests.kafka_process import provision
from tests.traffic import small_day


def _put(kafka: KafkaSettings, lines: list[bytes], per_record: int = 20) -> None:
    """Puts lines on their partitions, many to a record; the partition numbered 3 stays empty."""
    producer = clients.producer(kafka, client="test")
    for partition, placed in place(lines, 3).items():
        for at in range(0, len(placed), per_record):
            value = b"\n".join(placed[at : at + per_record])
            producer.send(Names(kafka.prefix).events, value, partition=partition)
    producer.close()


def _found(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[int, str]]:
    rows = map(json.loads, capsys.readouterr().out.splitlines())
    return {row["id"]: (row["revision"], row["summary"]) for row in rows}


@pytest.mark.kafka
def test_a_topic_is_judged_as_the_file_it_was_filled_from(
    kafka: KafkaSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    provision(kafka)
    lines = small_day(hours=(9,))
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"\n".join(lines) + b"\n")
    _put(kafka, lines)
    options = ["--json", "--close", "--quarantine", str(tmp_path / "data")]

    assert 0 == main(["replay", str(file), *options])
    of_the_file = _found(capsys)
    topic = ["--from-topic", Names(kafka.prefix).events, "--bootstrap", kafka.bootstrap]
    assert 0 == main(["replay", *topic, *options])

    assert of_the_file == _found(capsys)
    assert len(of_the_file) > 5


@pytest.mark.kafka
def test_a_range_leaves_out_what_came_before_and_after(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    provision(kafka)
    lines = small_day(hours=(9,))
    _put(kafka, lines[:300])
    time.sleep(0.05)
    since = time.time()
    _put(kafka, lines[300:700])
    time.sleep(0.05)
    until = time.time()
    _put(kafka, lines[700:900])

    told = tmp_path / "told"
    topic = ["--from-topic", Names(kafka.prefix).events, "--bootstrap", kafka.bootstrap]
    when = [f"--since={_iso(since)}", f"--until={_iso(until)}"]
    data = ["--summary", str(told), "--quarantine", str(tmp_path / "data")]
    assert 0 == main(["replay", *topic, *when, *data])

    assert 400 == json.loads(told.read_text())["events"]


@pytest.mark.kafka
def test_records_that_cannot_be_read_are_quarantined_with_their_position(
    kafka: KafkaSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    provision(kafka)
    events = Names(kafka.prefix).events
    producer = clients.producer(kafka, client="test")
    producer.send(events, b"\x00no event", partition=2)
    producer.send(events, b"{}", partition=2, headers=[(HEADER_FORMAT, b"unheard-of")])
    producer.close()

    topic = ["--from-topic", events, "--bootstrap", kafka.bootstrap]
    assert 0 == main(["replay", *topic, "--quarantine", str(tmp_path / "data")])

    told = capsys.readouterr().err
    assert f"{events}[2]@0, record 1" in told
    assert f"{events}[2]@1: : no such format" in told


@pytest.mark.kafka
def test_a_topic_that_is_not_there_is_named(
    kafka: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 2 == main(["replay", "--from-topic", "none", "--bootstrap", kafka.bootstrap])
    assert "none: no such topic" in capsys.readouterr().err


def test_replay_wants_files_or_a_topic_and_not_both(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert 2 == main(["replay"])
    assert 2 == main(["replay", "x.ndjson", "--from-topic", "events"])
    assert "name files, or a topic with --from-topic" in capsys.readouterr().err


def _iso(at: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).isoformat()
