"""Who is told of what, and why."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from alerts.destinations import BadDestinations, Destinations
from alerts.incident import Incident, Policy
from alerts.incident_steps import receive
from schemas.finding import Entity, Finding, Severity
from streams.cli import main
from streams.configuration import BadConfig, load
from streams.wiring import EXTRAS
from tests.alerts_fakes import NOON, Answer, finding, receiving

FILE = {"type": "file", "path": "f"}
TABLE = {
    "archive": FILE,
    "siem": {**FILE, "min_severity": "medium"},
    "acme-soc": FILE,
    "pager": {"type": "pagerduty", "token_env": "PD", "min_severity": "low"},
}


def incident(each: Finding) -> Incident:
    return receive(None, each, NOON + timedelta(hours=1), Policy())


def told(routes: list[dict[str, Any]], each: Finding) -> tuple[str, ...]:
    destinations = Destinations(TABLE, routes=routes)
    return (*destinations.of_finding(each), *destinations.of_incident(incident(each)))


def why(routes: list[dict[str, Any]], each: Finding) -> dict[str, str]:
    return {
        decision.destination: decision.why
        for decision in Destinations(TABLE, routes=routes).decide(each)
    }


def test_without_routes_everybody_gets_what_they_want() -> None:
    assert ("archive", "siem", "acme-soc", "pager") == told([], finding())
    assert ("archive", "acme-soc") == told([], finding(severity=Severity.INFO))


def test_a_destination_that_a_route_names_gets_only_what_matches() -> None:
    routes = [{"to": "acme-soc", "tenant": "acme"}]
    assert ("archive", "siem", "acme-soc", "pager") == told(routes, finding(tenant="acme"))
    assert ("archive", "siem", "pager") == told(routes, finding(tenant="globex"))


@pytest.mark.parametrize(
    ("condition", "yes", "no"),
    [
        ({"min_severity": "high"}, {"severity": "high"}, {"severity": "medium"}),
        ({"severity": ["low", "high"]}, {"severity": "low"}, {"severity": "critical"}),
        ({"family": "cross-tenant"}, {"family": "cross-tenant"}, {"family": "retry-storm"}),
        ({"tenant": "acme-*"}, {"tenant": "acme-eu"}, {"tenant": "acme"}),
        ({"tenant": ["a", "b"]}, {"tenant": "b"}, {"tenant": None}),
        ({"detector": "key-*"}, {"detector": "key-probe"}, {"detector": "new-origin"}),
        (
            {"lane": "session"},
            {"entity": Entity(lane="session", id="s")},
            {"entity": Entity(lane="origin", id="s")},
        ),
        (
            {"tenant": "acme", "min_severity": "high"},
            {"tenant": "acme", "severity": "high"},
            {"tenant": "acme", "severity": "low"},
        ),
    ],
)
def test_a_route_matches_when_all_its_conditions_hold(
    condition: dict[str, Any], yes: dict[str, Any], no: dict[str, Any]
) -> None:
    routes = [{"to": ["acme-soc", "pager"], **condition}]
    as_finding = [finding(**{k: Severity(v) if k == "severity" else v for k, v in each.items()})
                  for each in (yes, no)]  # fmt: skip
    assert {"acme-soc", "pager"} <= set(told(routes, as_finding[0]))
    assert not {"acme-soc", "pager"} & set(told(routes, as_finding[1]))


def test_a_pattern_in_a_finding_is_a_name_and_no_pattern() -> None:
    routes = [{"to": "acme-soc", "tenant": "acme"}]
    assert "acme-soc" not in told(routes, finding(tenant="*"))


def test_several_routes_may_send_to_one_destination() -> None:
    routes = [{"to": "acme-soc", "tenant": "acme"}, {"to": "acme-soc", "min_severity": "critical"}]
    assert "acme-soc" in told(routes, finding(tenant="globex", severity=Severity.CRITICAL))


def test_a_route_that_stops_hides_those_below() -> None:
    routes = [{"to": "acme-soc", "tenant": "acme", "stop": True}, {"to": "siem"}]
    assert ("archive", "acme-soc", "pager") == told(routes, finding(tenant="acme"))
    assert ("archive", "siem", "pager") == told(routes, finding(tenant="globex"))


def test_a_route_never_overrules_what_a_destination_says_for_itself() -> None:
    assert "siem" not in told([{"to": "siem"}], finding(severity=Severity.LOW))


def test_every_decision_has_its_reason() -> None:
    routes = [
        {"to": "siem", "name": "everything bad"},
        {"to": "acme-soc", "tenant": "acme", "name": "the customer's own"},
    ]
    assert {
        "archive": "no route names it, so it gets everything",
        "siem": "severity low is below its min_severity medium",
        "acme-soc": "no route that matches names it",
        "pager": "takes incidents, not findings",
    } == why(routes, finding(tenant="globex", severity=Severity.LOW))
    assert "route 2 (the customer's own)" == why(routes, finding(tenant="acme"))["acme-soc"]
    readings = Destinations(TABLE, routes=routes).read(finding(tenant="globex"))
    assert [None, "tenant globex is not acme"] == [each.differs for each in readings]


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ([], False),
        ([{"to": ["a"]}], False),
        ([{"to": ["a", "b"], "tenant": "x"}], True),
        ([{"to": ["a", "b"], "tenant": "x"}, {"to": "a"}], False),
    ],
)
def test_it_is_known_when_some_findings_are_told_to_nobody(
    routes: list[dict[str, Any]], expected: bool
) -> None:
    assert expected == Destinations({"a": FILE, "b": FILE}, routes=routes).leftovers


@pytest.mark.parametrize(
    ("route", "message"),
    [
        ({"to": "nobody"}, "routes.0.to: there is no destination 'nobody'; configured: archive"),
        ({}, "routes.0.to: is missing; add it"),
        ({"to": []}, "routes.0.to: Value should have at least 1 item"),
        ({"to": "archive", "tenants": "x"}, "routes.0.tenants: unknown setting; known here: name"),
        ({"to": "archive", "severity": "bad"}, "routes.0.severity.0: Input should be"),
        ({"to": "archive", "family": "x"}, "routes.0.family.0: Input should be"),
    ],
)
def test_a_mistake_in_a_route_is_named(route: dict[str, Any], message: str) -> None:
    with pytest.raises(BadDestinations) as caught:
        Destinations({"archive": FILE}, routes=[route])
    assert str(caught.value).startswith(message)


CONFIG = """
[destinations.siem]
type = "file"
path = "siem.ndjson"

[destinations.pager]
type = "pagerduty"
token_env = "PD"

[[routes]]
to = ["siem"]
family = ["llmjacking"]

[[routes]]
name = "wake somebody"
to = "pager"
min_severity = "critical"
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PD", "R0" * 16)
    path = tmp_path / "tripmeter.toml"
    path.write_text(CONFIG)
    return path


def test_the_configuration_names_the_line_of_the_wrong_route(config: Path) -> None:
    config.write_text(CONFIG.replace('to = "pager"', 'to = "pagr"'))
    with pytest.raises(BadConfig, match=r"tripmeter\.toml:16: routes\.1\.to: there is no"):
        load(config, EXTRAS)


def test_the_default_file_may_be_named_by_a_route(config: Path) -> None:
    config.write_text(CONFIG.replace('to = ["siem"]', 'to = ["siem", "findings-file"]'))
    assert 2 == len(load(config, EXTRAS).routes)


def test_explain_says_who_would_be_told_and_why(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "found.ndjson"
    bad = finding("a", severity=Severity.CRITICAL)
    path.write_bytes(bad.to_json() + b"\n" + finding("b", family="retry-storm").to_json() + b"\n")
    command = ["route", "explain", str(path), "--config", str(config), "--json"]
    assert 0 == main([*command, "--data", str(tmp_path / "none")])
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert [("findings-file", True), ("siem", True), ("pager", True)] == [
        (each["destination"], each["told"])
        for each in sorted(first["destinations"], key=lambda each: str(each["why"]))
    ]
    assert {
        "pager": "no route that matches names it",
        "siem": "no route that matches names it",
    } == {each["destination"]: each["why"] for each in second["destinations"] if not each["told"]}


def test_explain_reads_for_people_too(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "found.ndjson"
    path.write_bytes(finding("a", tenant="ac\x1bme").to_json())
    assert 0 == main(["route", "explain", str(path), "--config", str(config)])
    printed = capsys.readouterr().out
    assert "route 2 (wake somebody): severity high is below critical" in printed
    assert "pager\tno\tno route that matches names it" in printed
    assert "\x1b" not in printed


@pytest.mark.parametrize("content", [None, b"{}", b"\xff", b'{"id": 3}'])
def test_what_is_no_finding_is_said_to_be_none(
    config: Path, tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x"
    if content is not None:
        path.write_bytes(content)
    data = ["--data", str(tmp_path / "none"), "--config", str(config)]
    assert 2 == main(["route", "explain", str(path), *data])
    assert "tripmeter: " in capsys.readouterr().err


def test_check_connects_to_every_destination_and_names_what_does_not_work(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with receiving() as pagerduty:
        pagerduty.usual = Answer(503, b"")
        config.write_text(CONFIG.replace('"PD"', f'"PD"\nurl = "{pagerduty.url}"'))
        assert 0 == main(["check", str(config)])
        quiet = len(pagerduty.requests)
        assert 1 == main(["check", str(config), "--connect"])
    printed = capsys.readouterr().out
    assert (0, True, True) == (
        quiet,
        "siem.ndjson can be written" in printed,
        "pager: HTTP 503" in printed,
    )


def test_check_says_that_some_findings_are_told_to_nobody(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text('store.findings_file = ""\n' + CONFIG)
    assert 0 == main(["check", str(config)])
    assert "what no route matches is told to nobody" in capsys.readouterr().out
