"""The Compose files: safe containers, secrets as files, names that our processes really have."""

import json
import re
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch
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


def test_the_broker_is_stopped_after_the_processes_that_still_write_to_it() -> None:
    assert set() == {name for name, each in OURS.items() if "broker" not in each["depends_on"]}


def test_secrets_are_files_that_are_not_in_the_repository() -> None:
    made = (COMPOSE / "make-secrets").read_text()

    for name, secret in FILE["secrets"].items():
        assert f"./secrets/{name}" == secret["file"]
        assert f"make {name} " in made
    assert "compose/secrets/" in (COMPOSE.parent / ".gitignore").read_text().splitlines()
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            assert "PASSWORD" not in key or key.endswith("__FILE"), (key, value)


def test_only_the_broker_may_run_what_it_unpacks_zstd_and_snappy_are_libraries() -> None:
    runs = {name for name, each in SERVICES.items() if ",exec" in "".join(each["tmpfs"])}

    assert {"broker"} == runs


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


def _copied() -> list[str]:
    """What the Dockerfile takes from the folder above, as paths there."""
    lines = [line.split() for line in (COMPOSE / "Dockerfile").read_text().splitlines()]
    return [
        source
        for words in lines
        if words[:1] == ["COPY"] and not words[1].startswith("--")
        for source in words[1:-1]
    ]


def _hidden(path: str) -> bool:
    """Whether .dockerignore keeps a path away: the last pattern that fits it decides."""
    hidden = False
    for line in (COMPOSE / "Dockerfile.dockerignore").read_text().split():
        pattern = line.removeprefix("!").removeprefix("**/")
        above = ["/".join(path.split("/")[: n + 1]) for n in range(path.count("/") + 1)]
        if any(fnmatch(each, pattern) for each in above):
            hidden = not line.startswith("!")
    return hidden


def test_the_image_is_built_of_all_that_the_wheel_holds_and_of_what_is_not_hidden() -> None:
    project = tomllib.loads((COMPOSE.parent / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *wheel["force-include"], project["project"]["readme"]}

    assert set() == needed - set(_copied())
    for path in _copied():
        assert (COMPOSE.parent / path).exists() and not _hidden(path), path
    assert _hidden("compose/secrets") and _hidden("tripmeter-data") and _hidden(".git")


def test_every_file_that_is_mounted_is_there_and_every_path_of_a_command_is_mounted() -> None:
    for name, service in SERVICES.items():
        mounts = [each.split(":") for each in service.get("volumes", ())]
        targets = {mount[1]: mount for mount in mounts}
        for source, *_ in mounts:
            there = source in FILE["volumes"] or (COMPOSE / source).exists()
            assert there, (name, source)
        for word in service.get("command", ()):
            for path in re.findall(r"=(/[\w./-]+)", word):
                assert path in targets, (name, path)
                assert ("ro" in targets[path]) == path.startswith("/etc/"), (name, path)


def test_a_process_is_given_the_secrets_that_its_configuration_names_and_no_other() -> None:
    from streams.configuration import load

    settings = load(COMPOSE / "tripmeter.toml")
    kafka = settings.kafka
    for_all = {Path(str(f)).name for f in (kafka.password_file, kafka.pepper_file)}
    for_all.add(Path(str(kafka.invalid_key_file)).name)
    tokens = {Path(str(token.secret_file)).name for token in settings.tokens.values()}

    for name, service in OURS.items():
        assert for_all | (tokens if name == "ingest" else set()) == set(service["secrets"]), name
    assert {"broker-properties"} == set(SERVICES["broker"]["secrets"])
    for service in SERVICES.values():
        for path in re.findall(r"/run/secrets/([\w-]+)", json.dumps(service)):
            assert path in service["secrets"]


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


def expressions() -> list[str]:
    """What alerts and dashboards ask Prometheus."""
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
    asked = {name for text in expressions() for name in re.findall(r"tripmeter_\w+", text)}

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


@pytest.mark.peer
def test_a_first_finding_is_counted_once_though_nothing_was_counted_before(tmp_path: Path) -> None:
    panels = json.loads((COMPOSE / "grafana/dashboards/findings.json").read_text())["panels"]
    [critical] = [one for one in panels if one["title"] == "Critical, 24 h"]
    series = 'tripmeter_findings_total{job="%s", detector="canary-key", severity="critical"}'
    told = [
        {"series": series % job, "values": "_x9 1 1x20 3 3x1500"} for job in ("worker", "deliver")
    ]
    asked = [
        {
            "expr": f"round({critical['targets'][0]['expr']})",
            "eval_time": when,
            "exp_samples": [{"labels": "{}", "value": value}],
        }
        for when, value in (("5m", 0), ("20m", 1), ("60m", 3), ("25h", 0))
    ]
    test = {"interval": "1m", "input_series": told, "promql_expr_test": asked}
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"tests": [test]}))

    _run("promtool", "test", "rules", "test.yml", folder=tmp_path)
