"""Incidents to PagerDuty (a fake: nobody can run the real one)."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from alerts.base import Delivery, Rejected, RetryLater
from alerts.destinations import Destinations
from alerts.incident import Action, Incident, Policy
from alerts.incident_steps import act, inhibit, receive
from alerts.pagerduty import PagerDutySink, to_event
from alerts.posting import Poster
from schemas.finding import Severity
from tests.alerts_fakes import (
    NOON,
    Answer,
    Receiver,
    finding,
    golden,
    hostile,
    receiving,
    rich,
)

KEY = "R0" * 16
POLICY, LATER = Policy(), NOON + timedelta(hours=1)
CLIENT = httpx.Client()


@pytest.fixture
def pagerduty() -> Iterator[Receiver]:
    with receiving() as receiver:
        receiver.usual = Answer(202, {"status": "success", "dedup_key": "x"})
        yield receiver


def sink(pagerduty: Receiver) -> PagerDutySink:
    poster = Poster(client=CLIENT, timeout_s=5)
    return PagerDutySink("pager", pagerduty.url, lambda: KEY, poster=poster)


def opened() -> Incident:
    return receive(None, rich(), NOON, POLICY)


def done(verb: Any, incident: Incident | None = None) -> Incident:
    return act(incident or opened(), Action(verb=verb, by="ana", at=LATER), POLICY)


def delivery(incident: Incident) -> Delivery:
    return Delivery(f"{incident.id}@{incident.revision}", rich(), incident, "incident")


def action(incident: Incident) -> tuple[str, bool]:
    event = to_event(delivery(incident), KEY)
    return event["event_action"], event["dedup_key"] == opened().id


def test_an_incident_is_triggered_acknowledged_and_resolved_under_one_key(
    pagerduty: Receiver,
) -> None:
    for incident in (opened(), done("ack"), done("resolve")):
        sink(pagerduty).send([delivery(incident)])
    assert [("trigger", opened().id), ("acknowledge", opened().id), ("resolve", opened().id)] == [
        (request.json["event_action"], request.json["dedup_key"]) for request in pagerduty.requests
    ]
    assert {("/v2/enqueue", KEY)} == {
        (request.path, request.json["routing_key"]) for request in pagerduty.requests
    }


@pytest.mark.parametrize(
    ("verb", "expected"),
    [
        ("snooze", "acknowledge"),
        ("false_positive", "resolve"),
        ("expected", "resolve"),
        ("note", "trigger"),
    ],
)
def test_what_people_decide_elsewhere_is_told(verb: Any, expected: str) -> None:
    incident = act(opened(), Action(verb=verb, by="ana", at=LATER, reason="r"), POLICY)
    assert (expected, True) == action(incident)


def test_what_a_stronger_incident_covers_is_no_second_page() -> None:
    assert ("resolve", True) == action(inhibit(opened(), "stronger", LATER))


def test_a_reopened_incident_pages_again_under_its_key() -> None:
    assert ("trigger", True) == action(done("reopen", done("resolve")))


def test_the_event_is_what_the_golden_file_says() -> None:
    event = to_event(delivery(opened()), KEY)
    assert golden("pagerduty.json", event) == event


@pytest.mark.parametrize(
    ("severity", "expected"),
    [("informational", "info"), ("low", "info"), ("medium", "warning"), ("high", "error")],
)
def test_severities_are_in_its_words(severity: str, expected: str) -> None:
    incident = receive(None, finding(severity=Severity(severity)), NOON, POLICY)
    assert expected == to_event(delivery(incident), KEY)["payload"]["severity"]


def test_the_largest_and_nastiest_incident_stays_below_its_limits() -> None:
    import json

    nasty = receive(None, hostile(), NOON, POLICY)
    event = to_event(Delivery("k", hostile(), nasty, "incident"), KEY)
    assert (True, True, True) == (
        len(event["payload"]["summary"]) <= 1024,
        len(event["dedup_key"]) <= 255,
        len(json.dumps(event)) <= 512_000,
    )
    assert not {"\u202e", "\x1b", "\n"} & set(event["payload"]["summary"])


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_service_is_tried_again(pagerduty: Receiver, status: int) -> None:
    pagerduty.answers = [Answer(status, b"", {"Retry-After": "9"})]
    with pytest.raises(RetryLater) as caught:
        sink(pagerduty).send([delivery(opened())])
    assert (9.0, False) == (caught.value.after_s, caught.value.operator)


def test_an_event_it_refuses_is_rejected(pagerduty: Receiver) -> None:
    pagerduty.answers = [Answer(400, {"errors": ["'severity' is invalid"]})]
    with pytest.raises(Rejected, match="severity"):
        sink(pagerduty).send([delivery(opened())])


def test_a_wrong_key_is_for_an_operator_and_no_dead_letter(pagerduty: Receiver) -> None:
    pagerduty.answers = [Answer(400, {"errors": ["'routing_key' is invalid"]})]
    with pytest.raises(RetryLater, match="integration key") as caught:
        sink(pagerduty).send([delivery(opened())])
    assert caught.value.operator


def test_it_is_told_of_severe_incidents_only_and_of_no_findings() -> None:
    table = {"type": "pagerduty", "token_env": "PD"}
    destinations = Destinations({"pager": table})
    low = receive(None, finding(severity=Severity.LOW), NOON, POLICY)
    assert [(), ("pager",), ()] == [
        destinations.of_finding(rich()),
        destinations.of_incident(opened()),
        destinations.of_incident(low),
    ]


def test_a_look_at_the_service_triggers_nothing(pagerduty: Receiver) -> None:
    pagerduty.answers = [Answer(400, {"errors": ["'event_action' is missing or blank"]})]
    assert sink(pagerduty).probe().startswith("answers")
    assert {"routing_key": KEY} == pagerduty.requests[0].json
