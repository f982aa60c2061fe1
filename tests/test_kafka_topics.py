"""Topics are made as they are needed, what differs is told, and all processes agree on secrets."""

import json
from pathlib import Path

import pytest

from schemas.finding import LANES
from schemas.identity import Pepper
from streams.cli import main
from streams.configuration import BadConfig
from streams.kafka import clients, installation
from streams.kafka.provision import check, create
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import Names, specs
from tests.kafka_broker import until


def _config(folder: Path, kafka: KafkaSettings, **more: object) -> list[str]:
    values = {"bootstrap": kafka.bootstrap, "prefix": kafka.prefix, "shards": kafka.shards, **more}
    file = folder / "tripmeter.toml"
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    file.write_text("\n".join(["[kafka]", *lines]) + "\n")
    return ["--config", str(file)]


def test_every_lane_has_a_topic_with_one_partition_for_each_shard() -> None:
    wanted = {spec.name: spec for spec in specs(KafkaSettings(shards=7))}

    assert {f"tripmeter.lane.{lane}": (7, True) for lane in LANES} == {
        name: (wanted[name].partitions, wanted[name].exact) for name in Names().lanes
    }


def test_retention_compression_and_copies_are_set_for_every_topic() -> None:
    needed = {"cleanup.policy", "compression.type", "min.insync.replicas", "retention.ms"}

    assert {} == {spec.name: needed - set(spec.config) for spec in specs(KafkaSettings()) if
                  needed - set(spec.config)}  # fmt: skip


def test_what_decides_findings_and_what_operators_said_is_kept_for_ever() -> None:
    kept = {spec.name: spec.config for spec in specs(KafkaSettings())}

    assert "compact" == kept["tripmeter.state"]["cleanup.policy"]
    assert "-1" == kept["tripmeter.control"]["retention.ms"]
    assert "-1" == kept["tripmeter.installation"]["retention.ms"]


@pytest.mark.kafka
def test_created_topics_are_as_needed_and_creating_them_again_changes_nothing(
    kafka: KafkaSettings,
) -> None:
    admin = clients.admin(kafka)
    try:
        assert {spec.name for spec in specs(kafka)} == set(create(admin, specs(kafka)))
        assert [] == create(admin, specs(kafka))
        assert [] == check(admin, kafka)
    finally:
        admin.close()


@pytest.mark.kafka
def test_the_command_creates_checks_and_repairs(
    kafka: KafkaSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = _config(tmp_path, kafka)
    data = ["--data", str(tmp_path / "data")]

    assert 78 == main(["topics", *options, "--check"])
    assert "is missing; `tripmeter topics --create` makes it" in capsys.readouterr().out
    assert 0 == main(["topics", *options, *data, "--create"])
    assert 0 == main(["topics", *options, *data])
    assert "all topics are as needed\n" in capsys.readouterr().out

    longer = _config(tmp_path, kafka, events_keep_hours=1)
    assert 78 == main(["topics", *longer, "--check"])
    told = capsys.readouterr().out
    assert f"{kafka.prefix}.events: retention.ms is 604800000, 3600000 is needed;" in told
    assert 0 == main(["topics", *longer, "--create", "--alter"])


@pytest.mark.kafka
def test_a_topic_with_another_number_of_partitions_is_told_with_the_remedy(
    kafka: KafkaSettings,
) -> None:
    admin = clients.admin(kafka)
    lane = Names(kafka.prefix).lane("session")
    try:
        create(admin, specs(kafka))
        admin.create_partitions({lane: 3})
        until(lambda: check(admin, kafka))  # the broker tells of new partitions a little later
        found = check(admin, kafka)
    finally:
        admin.close()

    assert [(lane, "has 3 partitions, 2 are needed")] == [(one.topic, one.what) for one in found]
    assert "kafka.prefix" in found[0].remedy


@pytest.mark.kafka
def test_another_pepper_ends_the_command_with_78_and_a_missing_one_does_not(
    kafka: KafkaSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = _config(tmp_path, kafka)
    ours, other = tmp_path / "ours", tmp_path / "other"
    assert 0 == main(["topics", *options, "--create", "--data", str(ours)])
    other.mkdir(mode=0o700)
    stranger = Pepper.load(other / "pepper")

    assert 78 == main(["topics", *options, "--check", "--data", str(other)])
    told = capsys.readouterr().err
    assert stranger.fingerprint in told and Pepper.load(ours / "pepper").fingerprint in told
    assert stranger.secret.hex() not in told
    assert 0 == main(["topics", *options, "--check", "--data", str(tmp_path / "none")])


@pytest.mark.kafka
def test_the_first_pepper_that_comes_is_the_installations(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    admin = clients.admin(kafka)
    create(admin, specs(kafka))
    admin.close()
    first, second = Pepper(b"1" * 32), Pepper(b"2" * 32)

    assert None is installation.establish(kafka, tmp_path, None).pepper
    assert first.fingerprint == installation.agree(kafka, tmp_path, first).pepper
    assert first.fingerprint == installation.agree(kafka, tmp_path, None).pepper
    with pytest.raises(BadConfig, match=second.fingerprint):
        installation.agree(kafka, tmp_path, second)


@pytest.mark.kafka
def test_shards_are_those_of_the_first_start(kafka: KafkaSettings, tmp_path: Path) -> None:
    admin = clients.admin(kafka)
    create(admin, specs(kafka))
    admin.close()
    installation.establish(kafka, tmp_path, None)
    silent = KafkaSettings(bootstrap=kafka.bootstrap, prefix=kafka.prefix)

    agreed = installation.agree(silent, tmp_path, None)

    assert 2 == agreed.settle(silent).shards
    with pytest.raises(BadConfig, match=r"set kafka\.shards = 2"):
        installation.agree(kafka.model_copy(update={"shards": 5}), tmp_path, None)


@pytest.mark.kafka
def test_processes_that_start_before_the_topics_are_told_what_to_run(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    with pytest.raises(BadConfig, match=r"tripmeter topics --bootstrap .* --create"):
        installation.agree(kafka, tmp_path, None)


def test_no_broker_is_an_answer_of_its_own_that_names_the_address(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tripmeter.toml"
    file.write_text("[kafka]\nrequest_timeout_s = 0.2\n")

    assert 69 == main(["topics", "--bootstrap", "127.0.0.1:9", "--config", str(file)])
    assert "no answer from Kafka at 127.0.0.1:9" in capsys.readouterr().err
