"""The doctor says what is wrong, once, with what to do; and nothing where nothing is."""

import json
from pathlib import Path

import pytest

from streams.cli import main
from streams.kafka.doctor import balance, judged_clock, judged_lag, versions
from streams.kafka.lag import Lag, PartitionLag
from streams.kafka.settings import KafkaSettings
from tests.kafka_process import config, provision


def _lag(*waits: int, lost: int = 0, findings: int = 0) -> Lag:
    parts = [PartitionLag("events", n, 0, wait, 0, wait) for n, wait in enumerate(waits)]
    if lost:
        parts.append(PartitionLag("events", 99, 0, lost, lost, 0))
    return Lag(tuple(parts), (PartitionLag("findings", 0, 0, findings, 0, findings),))


def test_the_libraries_of_this_environment_are_those_that_were_tested() -> None:
    assert {"fine"} == {check.state for check in versions()}


def test_records_without_workers_are_wrong_and_an_idle_installation_is_not() -> None:
    states = {
        (waiting, workers): judged_lag(_lag(waiting), workers, 1)[0].state
        for waiting in (0, 5, 10**6)
        for workers in (0, 2)
    }

    assert {
        (0, 0): "look", (5, 0): "wrong", (10**6, 0): "wrong",
        (0, 2): "fine", (5, 2): "fine", (10**6, 2): "look",
    } == states  # fmt: skip


def test_findings_that_nobody_delivers_are_wrong() -> None:
    told = {check.name: check.state for check in judged_lag(_lag(0, findings=3), 1, 0)}

    assert "wrong" == told["deliver"]


def test_events_that_were_dropped_unread_are_wrong() -> None:
    assert ["wrong"] == [c.state for c in judged_lag(_lag(0, lost=4), 1, 1) if c.name == "lost"]


def test_one_partition_far_behind_its_siblings_is_named_and_an_even_backlog_is_not() -> None:
    assert "look" == balance(_lag(50_000, 10, 10, 10, 10)).state
    assert "fine" == balance(_lag(50_000, 50_000, 50_000, 50_000, 50_000)).state
    assert "fine" == balance(_lag(50, 0, 0, 0, 0, 0)).state


def test_a_clock_is_judged_beyond_what_the_round_trip_hides() -> None:
    assert ["fine", "look", "wrong"] == [judged_clock(s, 0.1).state for s in (0.9, 5, -61)]
    assert "fine" == judged_clock(3, took_s=6).state


@pytest.mark.kafka
def test_a_new_installation_lacks_only_workers_and_a_missing_topic_is_wrong(
    kafka: KafkaSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--config", str(config(tmp_path / "t.toml", kafka)), "--data", str(tmp_path)]
    assert 1 == main(["doctor", *options, "--json"])
    before = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"topics", "pepper", "lag"} == {row["name"] for row in before if row["state"] == "wrong"}

    provision(kafka)
    assert 0 == main(["doctor", *options, "--json"])
    after = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"lag", "deliver"} == {row["name"] for row in after if row["state"] != "fine"}
    assert "1 reachable, Kafka 4.3" in {row["what"] for row in after}


def test_without_a_broker_the_rest_is_still_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "t.toml"
    file.write_text("[kafka]\nrequest_timeout_s = 0.2\n")

    assert 1 == main(["doctor", "--config", str(file), "--bootstrap", "127.0.0.1:9", "--json"])
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert {"broker"} == {row["name"] for row in told if row["state"] == "wrong"}
    assert {"python", "aiokafka"} < {row["name"] for row in told}
