"""The containers of the Compose file without an engine: the same commands over the same files.

Each service has a folder in place of its container's: the configuration, and of the secrets only
those it is given. Addresses are on loopback, with free ports.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.kafka_broker import Broker, free_port
from tests.kafka_process import Process
from tests.test_compose import COMPOSE, SERVICES

READY = r"(?:listening|monitoring|probes) on (http://\S+)"
STAY = ("ingest", "deliver", "worker-1", "worker-2")


class Host:
    """One folder in place of the containers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "compose"
        shutil.copytree(COMPOSE, self.folder, ignore=shutil.ignore_patterns("secrets"))
        subprocess.run([str(self.folder / "make-secrets")], check=True, capture_output=True)
        self.secrets = self.folder / "secrets"
        self.broker = Broker(folder / "broker", text=self._properties())

    def _properties(self) -> str:
        text = (self.secrets / "broker-properties").read_text()
        return (
            text.replace("//0.0.0.0:9092", "//127.0.0.1:@PORT@")
            .replace("//broker:9092", "//127.0.0.1:@PORT@")
            .replace("127.0.0.1:9093", "127.0.0.1:@CONTROLLER@")
            .replace("/var/lib/kafka/data", "@DATA@")
        )

    def container(self, name: str) -> Path:
        """The folder of one service: what it is given, and nothing else."""
        folder = self.folder / "run" / name
        if not folder.exists():
            (folder / "secrets").mkdir(parents=True)
            for secret in SERVICES[name]["secrets"]:
                shutil.copy(self.secrets / secret, folder / "secrets" / secret)
            toml = (self.folder / "tripmeter.toml").read_text()
            (folder / "tripmeter.toml").write_text(self.here(name, toml))
        return folder

    def here(self, name: str, text: str) -> str:
        """Words of a container, with paths and addresses of this host."""
        folder = self.folder / "run" / name
        return (
            text.replace("broker:9092", self.broker.bootstrap)
            .replace("/run/secrets", str(folder / "secrets"))
            .replace("/etc/tripmeter", str(folder))
            .replace("=/data", f"={folder / 'data'}")
            .replace("0.0.0.0:8787", "127.0.0.1:0")
        )

    def start_broker(self) -> None:
        """Formats and starts it as the command of its container does."""
        words = SERVICES["broker"]["command"][0].split()
        self.broker.format("--ignore-formatted", cluster=words[words.index("--cluster-id") + 1])
        self.broker.start()

    def start(self, name: str) -> Process:
        """One of our own processes."""
        folder = self.container(name)
        command = [self.here(name, word) for word in SERVICES[name]["command"]]
        return Process(command, READY, folder=folder)

    def healthy(self, name: str, process: Process) -> bool:
        """The health check of the container, over the port the process has here."""
        test: list[Any] = SERVICES[name]["healthcheck"]["test"]
        program = test[-1].replace("http://127.0.0.1:8787", process.found)
        return 0 == subprocess.run(["python3", "-c", program], capture_output=True).returncode


class Prometheus:
    """A real Prometheus with the container's command, configuration and token."""

    def __init__(self, host: Host, targets: dict[str, str]) -> None:
        folder = host.container("prometheus")
        self.url = f"http://127.0.0.1:{free_port()}"
        config = host.here("prometheus", (COMPOSE / "prometheus/prometheus.yml").read_text())
        for name, target in targets.items():
            config = config.replace(f"{name}:8787", target.removeprefix("http://"))
        (folder / "prometheus.yml").write_text(config.replace("15s", "1s"))
        shutil.copy(COMPOSE / "prometheus/alerts.yml", folder)
        self._folder = folder

    def _command(self) -> Sequence[str]:
        words = [
            word.replace("=/etc/prometheus", f"={self._folder}").replace(
                "=/prometheus", f"={self._folder / 'data'}"
            )
            for word in SERVICES["prometheus"]["command"]
        ]
        return ["prometheus", *words, f"--web.listen-address={self.url.removeprefix('http://')}"]

    @contextmanager
    def running(self) -> Iterator["Prometheus"]:
        """Starts it and ends it."""
        with (self._folder / "log").open("wb") as log:
            process = subprocess.Popen(self._command(), stdout=log, stderr=log)
        try:
            yield self
        finally:
            process.terminate()
            process.wait(30)

    def ask(self, path: str, **words: str) -> Any:
        """One answer's data; while it starts there is none."""
        try:
            answer = httpx.get(f"{self.url}/api/v1/{path}", params=words, timeout=60)
        except httpx.TransportError:
            return []
        if httpx.codes.SERVICE_UNAVAILABLE == answer.status_code:
            return []
        said = answer.json()
        assert "success" == said["status"], (words, said)
        return said["data"]

    def there(self) -> set[str]:
        """Names of all metrics it has."""
        return set(self.ask("label/__name__/values"))

    def up(self) -> list[str]:
        """Jobs of targets that answered it."""
        found = self.ask("query", query="up == 1")
        return sorted(one["metric"]["job"] for one in found["result"]) if found else []

    def values(self, expression: str) -> list[Any]:
        """What an expression gives now."""
        return list(self.ask("query", query=expression)["result"])


def needed(program: str) -> None:
    """Skips a test whose program is not here."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} was not found (Debian: docker-compose, prometheus)")


def soon(check: Any, wait_s: float) -> Any:
    """The last answer of a check: the first true one, or what it says when time is over."""
    end = time.monotonic() + wait_s
    while not (found := check()) and time.monotonic() < end:
        time.sleep(0.2)
    return found
