"""An incident is one Slack message, which always says what is true now."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts.base import Delivery
from alerts.incident import Action, Incident, Policy
from alerts.incident_steps import act, receive
from alerts.slack_incident import GREY, headline, said, to_message
from alerts.slack_message import COLORS
from schemas.finding import Finding
from tests.alerts_fakes import HOSTILE, Receiver, finding, hostile, receiving, rich
from tests.test_alerts_slack import Channel, methods, posted

NOW = datetime(2026, 11, 20, 12, 10, tzinfo=UTC)


def opened(each: Finding | None = None) -> Incident:
    return receive(None, each or rich(), NOW, Policy())


def after(incident: Incident, verb: Any, **more: Any) -> Incident:
    action = Action(verb=verb, by="ana", at=NOW + timedelta(minutes=5), **more)
    return act(incident, action, Policy())


@pytest.fixture
def slack() -> Iterator[Receiver]:
    with receiving() as receiver:
        receiver.usual = posted()
        yield receiver


def delivery(incident: Incident) -> Delivery:
    return Delivery(f"{incident.id}@{incident.revision}", rich(), incident, "incident")


def test_an_incident_is_posted_once_and_then_edited(slack: Receiver) -> None:
    channel, new = Channel(slack), opened()
    taken = after(new, "ack")
    channel.sink.send([delivery(new), delivery(taken), delivery(taken), delivery(new)])

    first, second = (request.json for request in slack.requests)
    assert ["chat.postMessage", "chat.update"] == methods(slack)
    assert {"uid": new.id, "revision": new.revision} == first["metadata"]["event_payload"]
    assert "ana has taken it until 2026-11-21 12:15 UTC" in json.dumps(second)


def test_what_is_over_says_how_it_ended_and_is_grey() -> None:
    resolved, wrong = after(opened(), "resolve"), after(opened(), "false_positive", reason="tests")

    assert headline(resolved).startswith("RESOLVED: ") and headline(wrong).startswith("FALSE ALARM")
    assert {GREY} == {
        to_message(each, rich())["attachments"][0]["color"] for each in (resolved, wrong)
    }
    assert ("Resolved by ana.", "Called a false alarm by ana (tests).") == (
        said(resolved),
        said(wrong),
    )


def test_what_is_open_has_the_colour_of_its_severity_and_says_that_nobody_has_it() -> None:
    new = opened()
    message = to_message(new, rich())

    assert COLORS[new.severity] == message["attachments"][0]["color"]
    assert "Nobody has taken it yet." == message["attachments"][0]["blocks"][1]["text"]["text"]


def test_more_findings_are_counted_and_the_past_is_named() -> None:
    one = opened(finding("a"))
    two = receive(one, finding("b"), NOW, Policy())
    again = receive(after(two, "resolve"), finding("c"), NOW + timedelta(days=9), Policy())

    assert "2 findings so far." in said(two)
    assert (again.previous is None) or f"It happened before, as {again.previous}." in said(again)


@pytest.mark.parametrize("verb", ["ack", "snooze", "resolve", "false_positive"])
def test_nothing_an_attacker_or_a_person_writes_is_a_mention_a_link_or_markup(verb: str) -> None:
    incident = after(opened(hostile()), verb, reason=HOSTILE)
    message = to_message(incident, hostile())
    state = message["attachments"][0]["blocks"][1]["text"]

    for text in (message["text"], message["attachments"][0]["fallback"], state["text"]):
        assert [] == re.findall(r"[<>]|&(?!(?:amp|lt|gt);)|://|`", text)
    assert "plain_text" == state["type"]
    assert len(state["text"]) <= 600
