"""The Compose files: safe containers, secrets as files, names that our processes really have."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.cli import COMMANDS
from streams.kafka.lag_watch import LagWatch
from streams.metrics import Metrics

COMPOSE = Path(__file__).resolve().parent.parent / "compose"
FILE: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
SERVICES: dict[str, Any] = FILE["services"]
DASHBOARDS = sorted((COMPOSE / "grafana" / "dashboards").glob("*.json"))
OURS = {name: each for name, each in SERVICES.items() if each.get("image") == "tripmeter"}


def test_there_is_all_that_an_installation_needs() -> None:
    assert {
        "broker", "topics", "ingest", "worker-1", "worker-2", "deliver", "prometheus", "grafana",
    } == set(SERVICES)  # fmt: skip


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_is_no_root_writes_nowhere_else_and_has_a_limit(name: str) -> None:
    service = SERVICES[name]

    assert not service["user"].startswith("0")
    assert service["read_only"]
    assert ["ALL"] == service["cap_drop"]
    assert ["no-new-privileges:true"] == service["security_opt"]
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["healthcheck"]


def test_secrets_are_files_that_are_not_in_the_repository() -> None:
    made = (COMPOSE / "make-secrets").read_text()

    for name, secret in FILE["secrets"].items():
        assert f"./secrets/{name}" == secret["file"]
        assert f"make {name} " in made
    assert "compose/secrets/" in (COMPOSE.parent / ".gitignore").read_text().splitlines()
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            assert "PASSWORD" not in key or key.endswith("__FILE"), (key, value)


def test_only_this_machine_reaches_what_is_published_and_the_broker_is_not() -> None:
    published = {name: each["ports"] for name, each in SERVICES.items() if "ports" in each}

    assert {"ingest", "prometheus", "grafana"} == set(published)
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert ["inside"] == SERVICES["broker"]["networks"]
    assert FILE["networks"]["inside"]["internal"]


def test_every_command_of_ours_is_one_of_the_command_line() -> None:
    assert set() == {each["command"][0] for each in OURS.values()} - set(COMMANDS)


def test_the_configuration_can_be_used() -> None:
    from streams.configuration import load

    settings = load(COMPOSE / "tripmeter.toml")

    assert ("sasl", "PLAIN") == (settings.kafka.security, settings.kafka.mechanism)


def test_prometheus_has_a_token_that_reads_and_does_not_write() -> None:
    from streams.configuration import load

    scraped = yaml.safe_load((COMPOSE / "prometheus" / "prometheus.yml").read_text())
    [file] = [
        job["authorization"]["credentials_file"]
        for job in scraped["scrape_configs"]
        if job["job_name"] == "ingest"
    ]
    token = load(COMPOSE / "tripmeter.toml").tokens["prometheus"]
    assert (file, (), True) == (token.secret_file, token.tenants, token.metrics)
    secret = Path(file).name
    assert all(secret in SERVICES[name]["secrets"] for name in ("prometheus", "ingest"))


def _known_metrics() -> set[str]:
    watch = LagWatch.__new__(LagWatch)
    from streams.kafka.lag import Lag

    watch._lag, watch._at = Lag((), ()), 0.0
    metrics = Metrics()
    metrics.watch(lambda: {"gauges": watch.gauges()})
    metrics.latency.labels("/").observe(1)
    text = metrics.text().decode()
    made = set(re.findall(r"^# TYPE (\S+)", text, re.M)) | set(re.findall(r"^(\w+)", text, re.M))
    code = "".join(
        (COMPOSE.parent / "streams" / "kafka" / name).read_text()
        for name in ("ingest.py", "deliver.py", "working.py")
    )
    named = re.findall(r'"(\w+)": ', code) + [f"judged_{name}" for name in ("events", "late")]
    return made | {f"tripmeter_{name}{end}" for name in named for end in ("", "_total")}


def _expressions() -> list[str]:
    rules = yaml.safe_load((COMPOSE / "prometheus" / "alerts.yml").read_text())
    alerts = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    panels = [
        target["expr"]
        for file in DASHBOARDS
        for panel in json.loads(file.read_text())["panels"]
        for target in panel["targets"]
    ]
    return alerts + panels


def test_alerts_and_dashboards_ask_only_for_metrics_there_are() -> None:
    asked = {name for text in _expressions() for name in re.findall(r"tripmeter_\w+", text)}

    assert set() == asked - _known_metrics()
    assert len(asked) > 10


def test_every_alert_says_what_happened_and_what_to_do() -> None:
    rules = yaml.safe_load((COMPOSE / "prometheus" / "alerts.yml").read_text())

    for group in rules["groups"]:
        for rule in group["rules"]:
            assert {"summary", "action"} == set(rule["annotations"]), rule["alert"]
            assert rule["labels"]["severity"] in ("warning", "critical")


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_asks_the_source_that_is_provisioned(file: Path) -> None:
    sources = yaml.safe_load(
        (COMPOSE / "grafana/provisioning/datasources/prometheus.yaml").read_text()
    )
    board = json.loads(file.read_text())
    ids = [panel["id"] for panel in board["panels"]]

    assert len(ids) == len(set(ids))
    assert {sources["datasources"][0]["uid"]} == {p["datasource"]["uid"] for p in board["panels"]}
    assert all(panel["title"] and panel["description"] for panel in board["panels"])


def test_prometheus_asks_every_process_of_ours_that_stays() -> None:
    config = yaml.safe_load((COMPOSE / "prometheus" / "prometheus.yml").read_text())
    asked = {
        target.partition(":")[0]
        for job in config["scrape_configs"]
        for each in job["static_configs"]
        for target in each["targets"]
    }

    assert set(OURS) - {"topics"} == asked


def _run(program: str, *words: str, folder: Path = COMPOSE) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} was not found (Debian: docker-compose, prometheus)")
    done = subprocess.run([program, *words], cwd=folder, capture_output=True, text=True)
    assert 0 == done.returncode, done.stdout + done.stderr


@pytest.mark.peer
def test_docker_compose_accepts_the_file() -> None:
    _run("docker-compose", "-f", "compose.yaml", "config", "--quiet")


@pytest.mark.peer
def test_prometheus_accepts_its_configuration_and_the_rules_do_what_they_say() -> None:
    # Its secrets are files of the container.
    _run("promtool", "check", "config", "--syntax-only", "prometheus/prometheus.yml")
    _run("promtool", "check", "rules", "prometheus/alerts.yml")
    _run("promtool", "test", "rules", "alerts_test.yml", folder=COMPOSE / "prometheus")
