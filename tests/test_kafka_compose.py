"""What the Compose files start, started by hand: the same commands over the same secrets."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property

import httpx
import pytest

from streams.configuration import load
from streams.kafka.installation import read
from tests.compose_host import STAY, Host, Prometheus, needed, soon
from tests.kafka_broker import until
from tests.kafka_process import Process
from tests.test_compose import DASHBOARDS, SERVICES, expressions
from tests.traffic import small_day

pytestmark = pytest.mark.kafka

DAY = small_day(hours=(9,))
BUSY_S = 300.0  # for what a machine does in ten seconds that has nothing else to do


@dataclass
class Installation:
    """All of it, running."""

    host: Host
    processes: dict[str, Process]

    def send(self, *lines: bytes) -> httpx.Response:
        """What a gateway sends."""
        token = (self.host.secrets / "ingest-token").read_text().strip()
        return httpx.post(
            self.processes["ingest"].found + "/ingest/canonical",
            content=b"\n".join(lines),
            headers={"authorization": f"Bearer {token}"},
            timeout=BUSY_S,
        )

    @cached_property
    def accepted(self) -> int:
        """How many events of a day with attacks were taken; what they lead to has been told."""
        answer = self.send(*DAY)
        assert 200 == answer.status_code, answer.text
        found = self.host.container("deliver") / "data" / "findings.ocsf.ndjson"
        until(lambda: found.exists() and len(found.read_text().splitlines()) > 3, BUSY_S)
        return int(answer.json()["accepted"])

    def metrics(self, name: str, **headers: str) -> httpx.Response:
        """What a process tells Prometheus."""
        found = self.processes[name].found
        return httpx.get(found + "/metrics", headers=headers, timeout=BUSY_S)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    host = Host(tmp_path_factory.mktemp("installation"))
    host.start_broker()
    try:
        with host.start("topics") as topics:
            assert 0 == topics.wait(), topics.log
        with ExitStack() as closing:
            started = {name: closing.enter_context(host.start(name)) for name in STAY}
            for process in started.values():
                process.begun()
            yield Installation(host, started)
    finally:
        host.broker.kill()


def test_the_topics_and_the_pepper_are_agreed(installation: Installation) -> None:
    settings = load(installation.host.container("ingest") / "tripmeter.toml")
    agreed = read(settings.kafka, settings.base)

    assert agreed is not None and agreed.pepper is not None


@pytest.mark.parametrize("name", STAY)
def test_a_container_becomes_healthy(installation: Installation, name: str) -> None:
    process = installation.processes[name]

    until(lambda: installation.host.healthy(name, process), BUSY_S)


def test_what_a_gateway_sends_is_judged_and_told(installation: Installation) -> None:
    assert len(DAY) == installation.accepted
    for told in ("tripmeter_deliver_active 1.0", "tripmeter_kafka_lag_records"):
        until(lambda told=told: told in installation.metrics("deliver").text, BUSY_S)


def test_prometheus_finds_every_process_and_every_metric_that_is_asked_for(
    installation: Installation,
) -> None:
    needed("prometheus")
    assert installation.accepted
    installation.send(b"no event")
    targets = {name: process.found for name, process in installation.processes.items()}
    asked = {name for text in expressions() for name in re.findall(r"tripmeter_\w+", text)}
    panels = [
        (file.stem, panel["title"], target["expr"])
        for file in DASHBOARDS
        for panel in json.loads(file.read_text())["panels"]
        for target in panel["targets"]
    ]
    with Prometheus(installation.host, targets).running() as prometheus:
        soon(lambda: len(prometheus.up()) == len(STAY) and not asked - prometheus.there(), BUSY_S)
        assert ["deliver", "ingest", "worker", "worker"] == prometheus.up()
        assert set() == asked - prometheus.there()
        soon(lambda: all(prometheus.values(text) for *_, text in panels), BUSY_S)
        assert [] == [panel for panel in panels if not prometheus.values(panel[2])]
        rules = prometheus.ask("rules")["groups"][0]["rules"]
        assert {"ok"} == {rule["health"] for rule in rules}
        firing = {one["labels"]["alertname"] for one in prometheus.ask("alerts")["alerts"]}
        assert set() == firing & {"TripmeterLaneGap", "TripmeterEventsLost"}


def test_nobody_without_the_token_reads_the_metrics_of_ingest(installation: Installation) -> None:
    token = (installation.host.secrets / "metrics-token").read_text().strip()

    assert 401 == installation.metrics("ingest").status_code
    assert 200 == installation.metrics("ingest", authorization=f"Bearer {token}").status_code


def test_they_end_in_order_and_no_secret_was_said(installation: Installation) -> None:
    started = installation.processes

    assert dict.fromkeys(STAY, 0) == {name: each.stop() for name, each in started.items()}
    everything = "".join(each.log for each in started.values()) + json.dumps(SERVICES)
    for secret in ("kafka-password", "broker-password", "ingest-token", "metrics-token"):
        assert (installation.host.secrets / secret).read_text().strip() not in everything
