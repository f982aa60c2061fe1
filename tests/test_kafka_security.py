"""SASL, TLS and rights: all clients connect with the same settings, and do their own work only."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from streams.cli import main
from streams.configuration import BadConfig, load
from streams.kafka import clients
from streams.kafka.grants import ROLES, grants
from streams.kafka.lag import measure
from streams.kafka.settings import KafkaSettings, MissingSecret
from streams.kafka.topics import Names
from tests.kafka_broker import Broker, until
from tests.kafka_process import IngestProcess, Process, config
from tests.kafka_tls import certificates
from tests.traffic import small_day

SCRAM = {"mechanism": "SCRAM-SHA-512", "security": "sasl_tls", "ca_file": "ca.pem"}
JAAS = "org.apache.kafka.common.security.scram.ScramLoginModule required"


def test_a_password_comes_from_a_file_or_the_environment_and_is_never_shown(
    tmp_path: Path,
) -> None:
    (tmp_path / "password").write_text("MARKER\nmore\n")
    of_a_file = KafkaSettings(security="sasl", username="u", password_file="password")
    of_a_variable = KafkaSettings(security="sasl", username="u", password_env="KAFKA_PASSWORD")

    assert "MARKER" == of_a_file.password(tmp_path)
    assert "MARKER" == of_a_variable.password(tmp_path, {"KAFKA_PASSWORD": "MARKER"})
    assert "MARKER" not in repr(of_a_file)
    with pytest.raises(MissingSecret, match="KAFKA_PASSWORD"):
        of_a_variable.password(tmp_path, {})
    with pytest.raises(BadConfig, match=r"kafka\.password_file: no password in"):
        clients.common(of_a_file, tmp_path / "elsewhere")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"security": "sasl"}, "needs a username"),
        ({"security": "sasl_tls", "username": "u"}, "needs password_file or password_env"),
        ({"key_file": "key.pem"}, "belong together"),
        ({"bootstrap": "broker"}, "HOST:PORT"),
        ({"replication": 1, "min_insync": 2}, "cannot be more than replication"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_the_reason(
    wrong: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        KafkaSettings.model_validate(wrong)


def test_every_library_is_told_the_same(tmp_path: Path) -> None:
    from aiokafka import AIOKafkaProducer
    from faust.types.auth import AuthProtocol, SASLMechanism

    (tmp_path / "password").write_text("MARKER")
    certificates(tmp_path)
    kafka = KafkaSettings.model_validate(
        {**SCRAM, "username": "u", "password_file": "password", "bootstrap": "a:1,b:2"}
    )

    told = clients.common(kafka, tmp_path)
    faust = clients.faust(kafka, tmp_path, scheme="slab")

    assert ("SASL_SSL", "SCRAM-SHA-512", "u", "MARKER") == (
        told["security_protocol"],
        told["sasl_mechanism"],
        told["sasl_plain_username"],
        told["sasl_plain_password"],
    )
    assert told["ssl_context"].check_hostname
    assert ssl.CERT_REQUIRED == told["ssl_context"].verify_mode
    assert ["slab://a:1", "slab://b:2"] == faust["broker"]
    credentials = faust["broker_credentials"]
    assert (AuthProtocol.SASL_SSL, SASLMechanism.SCRAM_SHA_512) == (
        credentials.protocol,
        credentials.mechanism,
    )
    assert set(told) <= set(AIOKafkaProducer.__init__.__code__.co_varnames)


def test_check_names_every_secret_of_kafka_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "t.toml"
    secrets = 'password_file = "none"\npepper_file = "none"\ninvalid_key_file = "none"'
    file.write_text(f'[kafka]\nsecurity = "sasl"\nusername = "u"\n{secrets}\n')

    assert 78 == main(["check", str(file)])
    told = capsys.readouterr().err
    assert [f"{file}:{number}" for number in (4, 5, 6)] == [
        line.partition(": ")[0] for line in told.splitlines()
    ]
    file.write_text('[kafka]\nbootstrap = "a:1"\n')
    assert 0 == main(["check", str(file)])
    assert "a:1 (plaintext)" in capsys.readouterr().out


def test_a_missing_authority_names_the_setting(tmp_path: Path) -> None:
    kafka = KafkaSettings(security="tls", ca_file="none.pem")

    with pytest.raises(BadConfig, match=r"kafka\.ca_file: none\.pem: No such file"):
        clients.tls(kafka, tmp_path)


def test_nobody_but_workers_reads_lanes_and_nobody_may_remove_anything() -> None:
    names = Names()
    of = {role: grants(role, names) for role in ROLES}

    readers = {role for role, rules in of.items() for r in rules
               if r.name in names.lanes and r.operation == "READ"}  # fmt: skip
    assert {"worker"} == readers
    assert {"READ", "WRITE", "DESCRIBE"} == {r.operation for rules in of.values() for r in rules}
    assert {names.events} == {rule.name for rule in of["sender"]}


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Broker]:
    """A broker that wants TLS and SCRAM, and checks rights."""
    _, pem = certificates(tmp_path)
    login = f'{JAAS} username="admin" password="admin-password";'
    properties = {
        "listeners": "SASL_SSL://127.0.0.1:@PORT@,CONTROLLER://127.0.0.1:@CONTROLLER@",
        "advertised.listeners": "SASL_SSL://127.0.0.1:@PORT@",
        "inter.broker.listener.name": "SASL_SSL",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": login,
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(pem),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(tmp_path / "ca.pem"),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:admin;User:ANONYMOUS",
    }
    broker = Broker(tmp_path / "broker", properties)
    users = ("admin", "gateway", "judge", "courier", "stranger")
    broker.format(
        *(
            word
            for user in users
            for word in ("--add-scram", f"SCRAM-SHA-512=[name={user},password={user}-password]")
        )
    )
    yield broker.start()
    broker.kill()


@pytest.mark.kafka
def test_with_the_rights_of_their_role_processes_work_and_a_stranger_is_told_no(
    strict: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def settings(user: str, password: str = "") -> Path:
        (tmp_path / user).write_text(password or f"{user}-password")
        kafka = KafkaSettings.model_validate(
            {**SCRAM, "bootstrap": strict.bootstrap, "username": user, "password_file": user,
             "shards": 2, "request_timeout_s": 5}
        )  # fmt: skip
        return config(tmp_path / f"{user}.toml", kafka)

    roles = ("ingest=gateway", "worker=judge", "deliver=courier")
    grant = [word for role in roles for word in ("--grant", role)]
    data = ["--data", str(tmp_path / "data")]
    assert 0 == main(["topics", "--create", *grant, *data, "--config", str(settings("admin"))])

    with IngestProcess(tmp_path / "data", settings("gateway")) as ingest:
        ingest.begun()
        answer = ingest.post(b"\n".join([*small_day()[:100], b'{"no": "event"}']))
        assert (200, 100) == (answer.status_code, answer.json()["accepted"])
    command = ["worker", "--data", str(tmp_path / "w"), "--config", str(settings("judge"))]
    file = settings("courier")
    with Process(command, r"probes on (\S+)") as worker:
        worker.begun()
        until(lambda: 0 == measure(load(file).kafka, tmp_path).total, 120)
        assert 0 == worker.stop()
    command = ["deliver", "--data", str(tmp_path / "out"), "--config", str(file)]
    with Process(command, "reading") as deliver:
        deliver.begun()
        assert 0 == deliver.stop()
    assert "Kafka:" not in deliver.log

    capsys.readouterr()
    assert 0 == main(["lag", "--config", str(file), "--json"])
    assert '"total": 0' in capsys.readouterr().out
    assert 78 == main(["lag", "--config", str(settings("stranger"))])
    assert 69 == main(["lag", "--config", str(settings("courier", "MARKER"))])
    assert "MARKER" not in capsys.readouterr().err
