"""Buttons in Slack: the same deeds as on the command line, for those who may."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from pydantic import ValidationError
from slack_sdk.models.views import View
from slack_sdk.signature import SignatureVerifier

from alerts.destination_base import Place
from alerts.feed.audit import Audit
from alerts.incident import Incident, Policy
from alerts.incident_steps import receive
from alerts.silences import Preview
from alerts.slack_answers import Answers
from alerts.slack_http import MAX_BODY, Http, make_app
from alerts.slack_listen import listeners
from alerts.slack_message import Look
from alerts.slack_modals import form, runbook
from alerts.slack_people import People
from alerts.slack_press import read
from alerts.slack_settings import SlackSettings
from alerts.slack_socket import Socket
from alerts.store import AlertStore
from schemas.finding import Severity
from streams.delivery import Delivery
from streams.settings import Settings
from tests.alerts_fakes import HOSTILE, finding, golden, hostile, rich
from tests.fake_slack import FakeSlack, fake_slack
from tests.fake_slack_kit import Bench, key, many, text_of
from tests.test_slack_message import opened

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"


@pytest.fixture(scope="module")
def workspace() -> Iterator[FakeSlack]:
    with fake_slack() as slack:
        yield slack


@dataclass
class Office:
    """A channel with buttons, and who may press them."""

    bench: Bench
    allowed: tuple[str, ...] = ("U1",)
    woken: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bench.sink.people = People(self.bench.calls, self.allowed, self.bench.clock)
        self.answers = Answers(
            [self.bench.sink], self.bench.desk, lambda: self.woken.append(1), lambda: self.bench.now
        )

    @property
    def incident(self) -> Incident:
        return self.bench.incidents()[0]

    def press(self, action: str, user: str = "U1", **more: Any) -> Any:
        return self.answers.handle(pressed(action, self.incident.id, user, **more))

    def submit(self, user: str = "U1", **form: str) -> Any:
        """Fills in the form that was opened last."""
        return self.answers.handle(submitted(self.views()[-1], user, **form))

    def views(self) -> list[dict[str, Any]]:
        return [c.arguments["view"] for c in self.bench.slack.calls if c.method == "views.open"]

    def whispers(self) -> list[tuple[str, str]]:
        calls = [c for c in self.bench.slack.calls if c.method == "chat.postEphemeral"]
        return [(c.arguments["user"], c.arguments["text"]) for c in calls]

    def audit(self) -> list[tuple[str, str]]:
        entries = Audit(self.bench.store.engine).entries()
        return [(entry["who"], entry["what"]) for entry in entries]


def pressed(
    action: str, incident: str, user: str = "U1", channel: str = "C01", team: str = "T1"
) -> dict[str, Any]:
    return {
        "type": "block_actions",
        "user": {"id": user, "username": "sam", "team_id": team},
        "team": {"id": "T1"},
        "channel": {"id": channel},
        "trigger_id": "1.2",
        "actions": [{"type": "button", "action_id": action, "value": incident}],
    }


def submitted(view: dict[str, Any], user: str = "U1", **form: str) -> dict[str, Any]:
    values = {
        name: {name: {"selected_option": {"value": value}} if name == "lasts" else {"value": value}}
        for name, value in form.items()
    }
    return {
        "type": "view_submission",
        "user": {"id": user, "username": "sam"},
        "team": {"id": "T1"},
        "view": {**view, "state": {"values": values}},
    }


@pytest.fixture
def office(workspace: FakeSlack, tmp_path: Path) -> Office:
    workspace.forget()
    bench = Bench(workspace, tmp_path, look=Look(buttons=True), thread=False)
    bench.found(rich())
    bench.told()
    return Office(bench)


def test_acknowledge_takes_it_and_the_message_says_who(office: Office) -> None:
    office.press("tm_ack")
    (message,) = office.bench.told()
    assert ("acked", "slack:U1 (sam)") == (office.incident.state, office.incident.owner)
    assert "sam has taken it" in text_of(message) and [1] == office.woken
    assert [("slack:U1 (sam)", "slack ack")] == office.audit()


def test_pressing_twice_is_pressing_once(office: Office) -> None:
    office.press("tm_ack")
    revision = office.incident.revision
    office.press("tm_ack")
    assert revision == office.incident.revision


def test_snooze_asks_for_how_long(office: Office) -> None:
    office.press("tm_snooze")
    assert "open" == office.incident.state
    office.submit(lasts="24 hours", reason="after lunch")
    end = office.bench.now + timedelta(hours=24)
    assert ("snoozed", end) == (office.incident.state, office.incident.until)


def test_expected_previews_what_it_would_have_hidden_and_tells_the_core(office: Office) -> None:
    office.press("tm_expected")
    text = text_of(office.views()[-1])
    assert "stolen-key-spend" in text and "It would have hidden 1 findings in the last 30" in text
    office.submit(lasts="7 days", reason="load test")
    (control,) = office.bench.heard
    assert ("expected", "slack:U1 (sam)", "load test") == (
        control.action, control.owner, control.reason,
    )  # fmt: skip
    assert office.bench.now + timedelta(days=7) == control.until
    assert "resolved" == office.incident.state


def test_expected_without_a_reason_says_so_in_the_form(office: Office) -> None:
    office.press("tm_expected")
    answer = office.submit(lasts="7 days", reason="  ")
    assert "errors" == answer["response_action"] and "reason" in answer["errors"]["reason"]
    assert ("open", []) == (office.incident.state, office.bench.heard)


def test_a_false_positive_is_closed_with_its_reason(office: Office) -> None:
    office.press("tm_false")
    assert None is office.submit(reason="our own test")
    assert ("false_positive", "our own test") == (
        office.incident.state, office.incident.history[-1].reason,
    )  # fmt: skip


def test_the_runbook_opens_for_everybody_in_the_channel(office: Office) -> None:
    office.press("tm_runbook", user="U9")
    assert "2. Revoke the key." in text_of(office.views()[-1])


def test_the_menu_of_a_digest_does_the_same(office: Office) -> None:
    office.bench.found(*many(20, Severity.LOW))
    office.bench.told()
    chosen = office.bench.query.incidents(entity=key(3).id)[0]
    payload = pressed("tm_menu", "")
    payload["actions"][0] = {
        "action_id": "tm_menu", "selected_option": {"value": f"tm_ack|{chosen.id}"},
    }  # fmt: skip
    office.answers.handle(payload)
    assert "acked" == office.bench.query.incidents(entity=key(3).id)[0].state


@pytest.mark.parametrize("action", ["tm_ack", "tm_snooze", "tm_expected", "tm_false"])
def test_whoever_may_not_is_told_alone_and_it_is_noted(office: Office, action: str) -> None:
    office.press(action, user="U666")
    assert ("open", []) == (office.incident.state, office.views())
    assert [("U666", "You may not decide here; ask those who run Tripmeter.")] == office.whispers()
    assert [("slack:U666 (sam)", "slack refused")] == office.audit()


def test_a_form_filled_in_by_somebody_else_is_refused(office: Office) -> None:
    office.press("tm_false")
    assert "errors" == office.submit(user="U666")["response_action"]
    assert "open" == office.incident.state


def test_a_press_for_an_incident_this_channel_was_not_told_of_does_nothing(office: Office) -> None:
    office.press("tm_ack", channel="C02")
    assert "open" == office.incident.state
    assert [("slack:U1 (sam)", "slack refused")] == office.audit()


def test_members_of_a_group_may_and_it_is_asked_for_once_a_minute(office: Office) -> None:
    office.bench.slack.groups = {"S77": ["U7"]}
    people = People(office.bench.calls, ["S77"], office.bench.clock)
    press = read(pressed("tm_ack", "i", "U7"))
    other = read(pressed("tm_ack", "i", "U8"))
    assert press is not None and other is not None
    assert [True, True, False] == [people.may(press), people.may(press), people.may(other)]
    assert 1 == office.bench.slack.methods().count("usergroups.users.list")


def test_a_group_that_cannot_be_looked_up_lets_nobody_in(office: Office) -> None:
    office.bench.slack.broken = {"usergroups.users.list": ["missing_scope"]}
    press = read(pressed("tm_ack", "i", "U7"))
    assert press is not None
    assert not People(office.bench.calls, ["S77"]).may(press)


def test_everybody_means_everybody_of_our_own_workspace(office: Office) -> None:
    people = People(office.bench.calls, ["*"])
    ours, theirs = (read(pressed("tm_ack", "i", team=team)) for team in ("T1", "T666"))
    assert ours is not None and theirs is not None
    assert [True, False] == [people.may(ours), people.may(theirs)]


def test_what_cannot_be_done_is_told_to_whoever_pressed(office: Office) -> None:
    office.bench.did("resolve")
    office.press("tm_ack")
    assert [("U1", "it is resolved; reopen it first")] == office.whispers()


def test_a_store_that_is_down_is_told_too(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(office.bench.desk, "act", down)
    office.press("tm_ack")
    assert [("U1", "It could not be stored; press again in a moment.")] == office.whispers()


@pytest.mark.parametrize(
    "payload",
    [
        None, [], "x", {}, {"type": "block_actions"},
        {"type": "view_submission", "user": {"id": 3}},
        {"type": "block_actions", "user": {"id": "U1"}, "actions": [7]},
        {"type": "block_actions", "user": {"id": "U1"}, "actions": [{"action_id": "tm_ack"}]},
        {"type": "block_actions", "user": {"id": "U1"},
         "actions": [{"action_id": "tm_ack", "value": "x" * 65}]},
        {"type": "view_submission", "user": {"id": "U1"},
         "view": {"callback_id": "tripmeter_form", "private_metadata": "[]"}},
        {"type": "view_submission", "user": {"id": "U1"},
         "view": {"callback_id": "tripmeter_form",
                  "private_metadata": '{"verb": "rm", "incident": "i", "channel": "C"}'}},
    ],
)  # fmt: skip
def test_a_payload_that_is_none_of_ours_is_nothing(payload: Any) -> None:
    assert None is read(payload)


def test_what_people_are_called_cannot_hide_or_reorder() -> None:
    payload = pressed("tm_ack", "i")
    payload["user"]["username"] = HOSTILE * 9
    press = read(payload)
    assert press is not None and press.by.isprintable() and len(press.by) <= 128


def forms() -> dict[str, Callable[[], dict[str, Any]]]:
    preview = Preview(
        30, 41, 6, 2, Severity.HIGH, {"resolved": 4, "open": 2},
        [{"id": "i", "title": HOSTILE, "severity": "high", "state": "open", "last": ""}] * 5,
    )  # fmt: skip
    worst = receive(None, hostile(), hostile().time, Policy())
    return {
        "snooze": lambda: form("snooze", opened(), "C01"),
        "expected": lambda: form("expected", opened(), "C01", [("stolen-key-spend", preview)]),
        "hostile": lambda: form("expected", worst, "C01", [(HOSTILE * 9, preview)] * 30),
        "false": lambda: form("false_positive", opened(), "C01"),
        "runbook": lambda: runbook(opened(), rich(), "https://feed.example.com/incidents/i"),
        "hostile runbook": lambda: runbook(worst, hostile(), None),
    }


@pytest.mark.parametrize(
    "name", ["snooze", "expected", "hostile", "false", "runbook", "hostile runbook"]
)
def test_every_form_is_within_the_limits_slack_checks(name: str) -> None:
    view = forms()[name]()
    View(**view).validate_json()
    assert len(json.dumps(view["blocks"])) < 50_000 and len(view["blocks"]) <= 100
    assert "<!channel>" not in json.dumps(view) and "https://evil" not in json.dumps(view)


def test_the_form_of_expected_is_what_the_golden_file_says() -> None:
    made = forms()["expected"]()
    assert golden("slack-modal.json", made) == made


# Socket Mode


def until(true: Callable[[], bool], seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.005)
    return true()


def test_presses_come_through_socket_mode_and_are_acknowledged(office: Office) -> None:
    slack = office.bench.slack
    socket = Socket(lambda: "xapp-1", office.answers.handle, api_url=slack.api)
    socket.start()
    try:
        assert until(lambda: slack.connected() == 1)
        envelope = {"envelope_id": "e1", "type": "interactive"}
        slack.push({**envelope, "payload": pressed("tm_ack", office.incident.id)})
        assert until(lambda: office.incident.state == "acked")
        assert until(lambda: [{"envelope_id": "e1"}] == slack.acks)
        office.press("tm_expected")
        slack.push({**envelope, "payload": submitted(office.views()[-1], reason="", lasts="1 day")})
        assert until(lambda: len(slack.acks) == 2)
    finally:
        socket.stop()
    assert "errors" == slack.acks[1]["payload"]["response_action"]


@pytest.mark.slow
def test_a_connection_that_slack_ends_is_opened_again(office: Office) -> None:
    slack = office.bench.slack
    socket = Socket(lambda: "xapp-1", office.answers.handle, api_url=slack.api)
    socket.start()
    try:
        assert until(lambda: slack.connected() == 1)
        slack.hang_up()
        assert until(lambda: slack.connected() == 1, 60)
        payload = pressed("tm_ack", office.incident.id)
        slack.push({"envelope_id": "e1", "type": "interactive", "payload": payload})
        assert until(lambda: office.incident.state == "acked")
    finally:
        socket.stop()


def test_without_a_token_buttons_are_tried_again_and_alerts_go_on(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    office.bench.slack.broken = {"apps.connections.open": ["invalid_auth"] * 9}
    socket = Socket(lambda: "xapp-secret", office.answers.handle, api_url=office.bench.slack.api)
    socket.start()
    assert until(lambda: "buttons do not work: invalid_auth" in caplog.text)
    socket.stop()
    assert "xapp-secret" not in caplog.text


# HTTP


class Request:
    """A signed request to the application."""

    def __init__(self, office: Office) -> None:
        self.app = make_app(lambda: SECRET, office.answers.handle)
        self.verifier = SignatureVerifier(SECRET)

    async def __call__(
        self, payload: Any, *, age_s: int = 0, body: str | None = None, secret: str = SECRET
    ) -> httpx.Response:
        text = urlencode({"payload": json.dumps(payload)}) if body is None else body
        stamp = str(int(time.time()) - age_s)
        signature = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=text)
        headers = {
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": signature or "",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.post("/slack/actions", content=text, headers=headers)

    def send(self, payload: Any, **options: Any) -> int:
        return asyncio.run(self(payload, **options)).status_code


def test_a_signed_press_counts_once(office: Office) -> None:
    request, payload = Request(office), pressed("tm_ack", office.incident.id)
    assert [200, 409] == [request.send(payload), request.send(payload)]
    assert "acked" == office.incident.state


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"secret": "another"}, 401),
        ({"age_s": 301}, 401),
        ({"age_s": -301}, 401),
        ({"body": "payload=" + "x" * MAX_BODY}, 413),
        ({"body": "payload=%5B%5D"}, 400),
        ({"body": "payload=" + "%5B" * 10_000}, 400),
        ({"body": "nothing=1"}, 400),
    ],
)
def test_what_is_not_signed_now_or_no_payload_is_refused(
    office: Office, options: dict[str, Any], status: int
) -> None:
    assert status == Request(office).send(pressed("tm_ack", office.incident.id), **options)
    assert "open" == office.incident.state


@pytest.mark.parametrize("stamp", ["", "now", "²", "1" * 5000, "-1"])
@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"payload=%7B%7D"])
def test_strange_headers_and_bodies_are_refused_calmly(
    office: Office, stamp: str, body: bytes
) -> None:
    async def send() -> int:
        transport = httpx.ASGITransport(make_app(lambda: SECRET, office.answers.handle))
        headers = {"X-Slack-Request-Timestamp": stamp.encode(), "X-Slack-Signature": b"v0=1"}
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return (await client.post("/slack/actions", content=body, headers=headers)).status_code

    assert asyncio.run(send()) in (400, 401)


def test_it_listens_where_it_is_told_to_and_stops(office: Office) -> None:
    http = Http(make_app(lambda: SECRET, office.answers.handle), ("127.0.0.1", 0))
    http.start()
    try:
        url = f"http://127.0.0.1:{http.port}/slack/actions"
        assert 401 == httpx.post(url, content=b"payload=1").status_code
    finally:
        http.stop()


# Settings


def settings(**given: Any) -> SlackSettings:
    table = {"type": "slack", "channel": "C01", "token_env": "T", **given}
    return SlackSettings.model_validate(table)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"buttons": "socket", "app_token_env": "A"}, "may_press"),
        ({"buttons": "socket", "may_press": ["U12"]}, "app_token_file or app_token_env"),
        ({"buttons": "http", "may_press": ["*"]}, "signing_secret_file or signing_secret_env"),
        ({"buttons": "http", "may_press": ["sam"]}, "U012AB3CD"),
        (
            {"buttons": "http", "may_press": ["*"], "signing_secret_env": "S",
             "listen": "0.0.0.0:80"},
            "allow_remote",
        ),
        ({"quiet_hours": "22-7"}, "quiet_hours"),
        ({"quiet_days": ["someday"]}, "quiet_days"),
    ],
)  # fmt: skip
def test_buttons_nobody_could_press_safely_are_refused(given: Any, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        settings(**given)


def test_destinations_of_one_app_share_a_connection(office: Office, tmp_path: Path) -> None:
    socket = {"buttons": "socket", "may_press": ["*"], "app_token_env": "A"}
    place = Place(tmp_path, office.bench.store.engine, office.bench.desk)
    sinks = [
        settings(**socket).sink("one", place),
        settings(**socket, min_severity="high").sink("two", place),
        settings().sink("mute", place),
    ]
    assert [Socket] == [type(each) for each in listeners(sinks, office.bench.desk)]
    assert [] == listeners(sinks[2:], office.bench.desk)


def test_buttons_come_and_go_with_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    token = str(tmp_path / "secret")
    mute = {"type": "slack", "channel": "C01", "token_file": token}
    http = {"buttons": "http", "may_press": ["*"], "signing_secret_file": token}

    def config(**more: Any) -> Settings:
        table = {"soc": {**mute, **more}}
        return Settings.model_validate({"store": {"findings_file": ""}, "destinations": table})

    delivery = Delivery(tmp_path, config(**http, listen="127.0.0.1:0"))
    delivery.start(AlertStore(tmp_path / "tripmeter.db"), lambda findings: None)
    (listener,) = delivery._listeners
    assert isinstance(listener, Http)
    url = f"http://127.0.0.1:{listener.port}/slack/actions"
    assert 401 == httpx.post(url).status_code
    delivery.reload(config())
    with pytest.raises(httpx.ConnectError):
        httpx.post(url)
    assert [] == delivery._listeners
    delivery.stop()


def test_a_finding_in_monitor_mode_is_quiet_unless_asked_for() -> None:
    assert settings().refusal(finding(mode="monitor")) is not None
