"""The configuration of destinations."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from alerts.base import RetryLater
from alerts.destination_settings import TYPES
from alerts.destinations import BadDestinations, Destinations
from alerts.file import FileSink
from alerts.incident import Policy
from alerts.incident_steps import receive
from alerts.secret import Secret
from alerts.slack import SlackSink
from alerts.splunk_hec import SplunkHecSink
from schemas.finding import Severity
from tests.alerts_fakes import deliveries, finding, new_database

FILE = {"type": "file", "path": "findings.ndjson"}
SPLUNK = {"type": "splunk_hec", "url": "https://splunk.example.com:8088", "token_env": "HEC_TOKEN"}
SLACK = {"type": "slack", "channel": "C0123456789", "token_file": "slack-token"}


def faults(settings: dict[str, Any]) -> list[str]:
    with pytest.raises(BadDestinations) as caught:
        Destinations(settings)
    return [f"{'.'.join(map(str, f.loc))}: {f.reason}; {f.remedy}" for f in caught.value.faults]


def test_every_type_becomes_its_sink(tmp_path: Path) -> None:
    database, _ = new_database(tmp_path)
    made = Destinations({"f": FILE, "siem": SPLUNK, "soc": SLACK}, tmp_path).open(database)
    assert [("f", FileSink), ("siem", SplunkHecSink), ("soc", SlackSink)] == [
        (each.name, type(each)) for each in made
    ]


def test_relative_paths_start_from_the_configuration(tmp_path: Path) -> None:
    database, _ = new_database(tmp_path)
    (sink,) = Destinations({"f": FILE}, tmp_path).open(database)
    sink.send(deliveries(finding()))
    assert (tmp_path / "findings.ndjson").is_file()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"x": {"type": "pigeon"}},
            f"destinations.x.type: is missing or unknown; one of: {', '.join(TYPES)}",
        ),
        ({"x": {}}, f"destinations.x.type: is missing or unknown; one of: {', '.join(TYPES)}"),
        ({"x": {"type": "file"}}, "destinations.x.path: is missing; add it"),
        (
            {"x": {**FILE, "pth": 1}},
            "destinations.x.pth: unknown setting; correct its name or remove it",
        ),
        (
            {"X y": FILE},
            "destinations.X y: is not a usable name; use lower-case letters, digits, - and _",
        ),
        (
            {"x": {**SPLUNK, "url": "splunk:8088"}},
            "destinations.x.url: write it as https://host:port; correct the value",
        ),
        (
            {"x": {**SPLUNK, "url": "http://splunk.example.com"}},
            "destinations.x: url would send the token unencrypted; use https://;"
            " correct the value",
        ),
        (
            {"x": {**SPLUNK, "url": "https://me:secret@h"}},
            "destinations.x.url: leave out user, password, ? and #; the token has its own"
            " setting; correct the value",
        ),
        (
            {"x": {**SPLUNK, "token_file": "t"}},
            "destinations.x: set token_file or token_env (one of them); correct the value",
        ),
        (
            {"x": {**SLACK, "api_url": "http://evil.example/"}},
            "destinations.x: api_url would send the token unencrypted; use https://;"
            " correct the value",
        ),
        (
            {"x": {**FILE, "min_severity": "bad"}},
            "destinations.x.min_severity: Input should be 'informational', 'low', 'medium',"
            " 'high' or 'critical'; correct the value",
        ),
        ({"x": 3}, "destinations.x: Input should be a valid dictionary or object to extract"
            " fields from; correct the value"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place_and_remedy(
    settings: dict[str, Any], message: str
) -> None:
    assert [message] == faults(settings)


def test_a_token_written_into_the_configuration_is_refused_and_not_repeated() -> None:
    found = faults({"x": {**SLACK, "token": "xoxb-secret"}})
    assert ["destinations.x.token: unknown setting; correct its name or remove it"] == found


def test_plain_http_is_fine_on_this_machine_and_where_it_is_allowed() -> None:
    local = {**SPLUNK, "url": "http://127.0.0.1:8088"}
    allowed = {**SPLUNK, "url": "http://splunk.lan:8088", "allow_http": True}
    assert ("a", "b") == Destinations({"a": local, "b": allowed}).names


def test_missing_secrets_are_named_with_their_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HEC_TOKEN", raising=False)
    found = Destinations({"f": FILE, "siem": SPLUNK, "soc": SLACK}, tmp_path).missing_secrets()
    assert [
        (
            ("destinations", "siem", "token_env"),
            "the variable HEC_TOKEN is not set",
            "put the token there",
        ),
        (
            ("destinations", "soc", "token_file"),
            f"the file {tmp_path / 'slack-token'} No such file or directory",
            "put the token there",
        ),
    ] == [tuple(fault) for fault in found]


def test_present_secrets_are_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEC_TOKEN", "t")
    (tmp_path / "slack-token").write_text("xoxb-1\nsecond line\n")
    assert [] == Destinations({"siem": SPLUNK, "soc": SLACK}, tmp_path).missing_secrets()
    assert "xoxb-1" == Secret("token_file", file=tmp_path / "slack-token").read()


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"a\x00b", "tök".encode()])
def test_a_secret_that_is_no_token_is_held_for_an_operator(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(RetryLater, match="token_file: the file") as caught:
        Secret("token_file", file=tmp_path / "t").read()
    assert caught.value.operator


def test_findings_go_to_machines_that_want_them_and_incidents_to_people() -> None:
    destinations = Destinations(
        {"f": FILE, "siem": {**SPLUNK, "min_severity": "high"}, "soc": SLACK}
    )
    loud, low = finding(severity=Severity.CRITICAL), finding(severity=Severity.LOW)
    trial = finding(mode="monitor")
    assert [("f", "siem"), ("f",), ("f", "siem")] == [
        destinations.of_finding(each) for each in (loud, low, trial)
    ]
    incident = receive(None, loud, datetime.now(UTC), Policy())
    assert ("soc",) == destinations.of_incident(incident)


def test_reading_the_configuration_needs_no_client_library() -> None:
    program = (
        "import sys, alerts.destinations, alerts.deliverer;"
        "print(*sorted({'httpx', 'slack_sdk'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, env=os.environ
    )
    assert b"\n" == done.stdout
