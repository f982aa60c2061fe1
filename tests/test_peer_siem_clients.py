"""The official clients of services that nobody can run send what our sinks send."""

import re
import subprocess
from datetime import timedelta
from typing import Any

import pytest

from alerts.base import Delivery
from alerts.incident import Action, Incident, Policy
from alerts.incident_steps import act, receive
from alerts.pagerduty import PagerDutySink
from alerts.posting import Poster
from alerts.secops import SecOpsSink
from alerts.sentinel import SentinelSink
from tests.alerts_fakes import NOON, Answer, Request, deliveries, receiving, rich
from tests.peers.environment import PROGRAMS, python_of

pytestmark = pytest.mark.peer

PARENT = "projects/p/locations/us/instances/i"
KEY = "R0" * 16
Pair = tuple[Request, Request]


def answer(request: Request) -> Answer:
    if "dataCollectionRules" in request.path:
        return Answer(204, b"")
    return Answer(
        202 if "enqueue" in request.path else 200, {"status": "success", "dedup_key": "key"}
    )


@pytest.fixture(scope="module")
def pairs() -> dict[str, list[Pair]]:
    """For each service, the requests of its client beside ours."""
    with receiving() as server:
        server.usual = answer
        command = [str(python_of("clients")), str(PROGRAMS / "siem_clients.py"), server.url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        theirs = list(server.requests)
        server.requests.clear()
        _send_ours(server.url)
        ours = list(server.requests)
    names = ["sentinel", "pagerduty", "pagerduty", "pagerduty", "secops"]
    found: dict[str, list[Pair]] = {}
    for name, *pair in zip(names, theirs, ours, strict=True):
        found.setdefault(name, []).append((pair[0], pair[1]))
    return found


def _send_ours(url: str) -> None:
    SentinelSink("s", url, "dcr-01", "Custom-T", lambda: "TOKEN", poster=Poster()).send(
        deliveries(rich())
    )
    opened = receive(None, rich(), NOON, Policy())
    pager = PagerDutySink("p", url, lambda: KEY, poster=Poster())
    for incident in (opened, _done("ack", opened), _done("resolve", opened)):
        pager.send([Delivery("k", rich(), incident, "incident")])
    address = f"{url}/v1alpha/{PARENT}/logTypes/OCSF/logs:import"
    SecOpsSink(
        "g",
        address,
        lambda: "TOKEN",
        poster=Poster(),
        forwarder=f"{PARENT}/forwarders/f",
        namespace="n",
    ).send(deliveries(rich()))


def _done(verb: Any, incident: Incident) -> Incident:
    action = Action(verb=verb, by="ana", at=NOON + timedelta(hours=1))
    return act(incident, action, Policy())


def shape(value: Any) -> Any:
    """Names and types of a body; names in one spelling, as Google takes two."""
    match value:
        case dict():
            return {_camel(name): shape(each) for name, each in value.items()}
        case list():
            return [shape(value[0])] if value else []
    return type(value).__name__


def _camel(name: str) -> str:
    return re.sub("_([a-z])", lambda found: found[1].upper(), name)


def headers(request: Request, *names: str) -> list[str | None]:
    lower = {name.lower(): value for name, value in request.headers.items()}
    return [lower.get(name) for name in names]


def test_sentinel_gets_an_array_of_rows_at_the_same_address(pairs: dict[str, list[Pair]]) -> None:
    ((theirs, ours),) = pairs["sentinel"]
    names = ("authorization", "content-type", "content-encoding")
    assert (theirs.path, headers(theirs, *names)) == (ours.path, headers(ours, *names))
    assert [["TimeGenerated"], True] == [
        list(theirs.json[0]),
        "TimeGenerated" in ours.json[0] and isinstance(ours.json, list),
    ]


def test_pagerduty_gets_the_same_three_actions(pairs: dict[str, list[Pair]]) -> None:
    both = pairs["pagerduty"]
    assert [theirs.path for theirs, _ in both] == [ours.path for _, ours in both]
    assert [theirs.json["event_action"] for theirs, _ in both] == [
        ours.json["event_action"] for _, ours in both
    ]
    assert [set(theirs.json) for theirs, _ in both] == [
        set(ours.json) - {"client"} for _, ours in both
    ]
    assert {KEY} == {request.json["routing_key"] for pair in both for request in pair}
    theirs, ours = both[0]
    assert set(theirs.json["payload"]) == set(ours.json["payload"])


def test_secops_gets_logs_of_the_same_shape(pairs: dict[str, list[Pair]]) -> None:
    ((theirs, ours),) = pairs["secops"]
    assert (theirs.path, headers(theirs, "authorization")) == (
        ours.path,
        headers(ours, "authorization"),
    )
    expected, sent = shape(theirs.json), shape(ours.json)
    labels = [body["inlineSource"]["logs"][0].pop("labels") for body in (expected, sent)]
    assert expected == sent
    assert {"value": "str"} == labels[0]["key"] == labels[1]["key"]
