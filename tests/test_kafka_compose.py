"""What the Compose files start, started by hand: the same commands over the same secrets."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from streams.configuration import load
from streams.kafka.installation import read
from tests.kafka_broker import Broker, until
from tests.kafka_process import Process
from tests.test_compose import COMPOSE, SERVICES
from tests.traffic import small_day

READY = r"(?:listening|monitoring|probes) on (http://\S+)"


class Host:
    """One folder in place of the containers: their files, and their addresses on loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "compose"
        shutil.copytree(COMPOSE, self.folder, ignore=shutil.ignore_patterns("secrets"))
        subprocess.run([str(self.folder / "make-secrets")], check=True, capture_output=True)
        self.secrets = self.folder / "secrets"
        self.broker = Broker(folder / "broker", text=self._properties())
        self.toml = self.folder / "tripmeter.toml"
        self.toml.write_text(self._here(self.toml.read_text()))

    def _properties(self) -> str:
        text = (self.secrets / "broker-properties").read_text()
        return (
            text.replace("//0.0.0.0:9092", "//127.0.0.1:@PORT@")
            .replace("//broker:9092", "//127.0.0.1:@PORT@")
            .replace("127.0.0.1:9093", "127.0.0.1:@CONTROLLER@")
            .replace("/var/lib/kafka/data", "@DATA@")
        )

    def _here(self, text: str) -> str:
        return (
            text.replace("broker:9092", self.broker.bootstrap)
            .replace("/run/secrets", str(self.secrets))
            .replace("0.0.0.0:8787", "127.0.0.1:0")
        )

    def start_broker(self) -> None:
        words = SERVICES["broker"]["command"][0].split()
        self.broker.format("--ignore-formatted", cluster=words[words.index("--cluster-id") + 1])
        self.broker.start()

    def start(self, name: str) -> Process:
        command = [
            self._here(word)
            .replace("/etc/tripmeter/tripmeter.toml", str(self.toml))
            .replace("/data", str(self.folder / "data" / name))
            for word in SERVICES[name]["command"]
        ]
        return Process(command, READY)

    def healthy(self, name: str, process: Process) -> bool:
        """The health check of the container, over the port the process has here."""
        test: list[Any] = SERVICES[name]["healthcheck"]["test"]
        program = test[-1].replace("http://127.0.0.1:8787", process.found)
        return 0 == subprocess.run(["python3", "-c", program], capture_output=True).returncode


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    host.start_broker()
    yield host
    host.broker.kill()


@pytest.mark.kafka
def test_the_containers_commands_work_together(host: Host) -> None:
    with host.start("topics") as topics:
        assert 0 == topics.wait()
    settings = load(host.toml)
    agreed = read(settings.kafka, settings.base)
    assert agreed is not None and agreed.pepper is not None

    with ExitStack() as closing:
        names = ("ingest", "deliver", "worker-1", "worker-2")
        started = {name: closing.enter_context(host.start(name)) for name in names}
        for name, process in started.items():
            process.begun()
            until(lambda name=name, process=process: host.healthy(name, process), 120)
        ingest, deliver = started["ingest"], started["deliver"]
        token = (host.secrets / "ingest-token").read_text().strip()
        lines = small_day(hours=(9,))
        answer = httpx.post(
            ingest.found + "/ingest/canonical",
            content=b"\n".join(lines),
            headers={"authorization": f"Bearer {token}"},
        )
        assert (200, len(lines)) == (answer.status_code, answer.json()["accepted"])
        for told in ("tripmeter_deliver_active 1.0", "tripmeter_kafka_lag_records"):
            until(lambda told=told: told in httpx.get(deliver.found + "/metrics").text, 90)
        found = host.folder / "data" / "deliver" / "findings.ocsf.ndjson"
        until(lambda: found.exists() and len(found.read_text().splitlines()) > 3, 120)
        assert dict.fromkeys(names, 0) == {name: each.stop() for name, each in started.items()}
    everything = "".join(each.log for each in started.values()) + json.dumps(SERVICES)
    for secret in ("kafka-password", "broker-password", "ingest-token"):
        assert (host.secrets / secret).read_text().strip() not in everything
