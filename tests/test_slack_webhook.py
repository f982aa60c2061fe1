"""Incidents through an incoming webhook: what is new and what is over, nothing in between."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alerts.base import Delivery, NotYet, Partly, Rejected, RetryLater
from alerts.incident import Incident, Policy
from alerts.incident_steps import receive
from alerts.posting import Poster
from alerts.slack_webhook import SlackWebhookSettings, SlackWebhookSink
from schemas.finding import Severity
from tests.alerts_fakes import NOON, Clock
from tests.fake_slack import FakeSlack, fake_slack
from tests.fake_slack_kit import finding, many, rich
from tests.test_slack_message import after, opened


@pytest.fixture(scope="module")
def workspace() -> Iterator[FakeSlack]:
    with fake_slack(interval_s=1.0) as slack:
        yield slack


@pytest.fixture
def hook(workspace: FakeSlack) -> Iterator[SlackWebhookSink]:
    workspace.forget()
    clock = Clock()
    workspace.clock = clock

    def sleep(seconds: float) -> None:
        clock.now += seconds

    url = f"http://127.0.0.1:{workspace.port}/hook/s3cret"
    sink = SlackWebhookSink("soc", lambda: url, Poster(), clock=clock, sleep=sleep)
    yield sink
    sink.close()


def delivery(incident: Incident) -> Delivery:
    return Delivery(f"{incident.id}@{incident.revision}", rich(), incident, "incident")


def send(hook: SlackWebhookSink, *incidents: Incident) -> None:
    """As the outbox does."""
    rows = {each.key: each for each in map(delivery, incidents)}
    while rows:
        taken = frozenset(rows)
        try:
            hook.send(list(rows.values()))
        except Partly as more:
            taken = more.taken if isinstance(more.later, NotYet) else frozenset()
        assert taken
        rows = {key: row for key, row in rows.items() if key not in taken}


def texts(slack: FakeSlack) -> list[str]:
    return [m["text"].split(" (")[0] for m in slack.messages("hook")]


def test_the_new_and_the_end_are_told_and_nothing_in_between(
    hook: SlackWebhookSink, workspace: FakeSlack
) -> None:
    new = opened()
    taken = after(new, "ack")
    more = receive(taken, finding("b"), NOON, Policy())
    for each in (new, taken, more, after(more, "resolve")):
        send(hook, each)
    title = "A key spends far above its own habit"
    assert [f"CRITICAL: {title}", f"RESOLVED: {title}"] == texts(workspace)


def test_a_flood_is_five_criticals_and_a_digest_a_second_apart(
    hook: SlackWebhookSink, workspace: FakeSlack
) -> None:
    findings = [*many(300), *many(20, Severity.CRITICAL, start=300)]
    send(hook, *map(opened, findings))
    told = texts(workspace)
    assert (5, 6, 0) == (
        sum(text.startswith("CRITICAL") for text in told), len(told), workspace.limited,
    )  # fmt: skip
    assert told[-1].startswith("Flood: 315 incidents")


@pytest.mark.parametrize(
    ("status", "text", "outcome"),
    [
        (400, "invalid_payload", Rejected),
        (400, "invalid_token", RetryLater),
        (403, "action_prohibited", RetryLater),
        (404, "no_service", RetryLater),
        (410, "channel_is_archived", RetryLater),
        (429, "rate_limited", RetryLater),
        (500, "rollup_error", RetryLater),
    ],
)
def test_every_answer_means_one_thing_and_never_tells_the_address(
    hook: SlackWebhookSink, workspace: FakeSlack, status: int, text: str, outcome: Any
) -> None:
    workspace.broken = {"hook": [(status, text)]}
    with pytest.raises(outcome) as caught:
        hook.send([delivery(opened())])
    if isinstance(caught.value, RetryLater):
        assert (status in (400, 403, 404, 410)) == caught.value.operator
    assert "s3cret" not in str(caught.value)


def test_an_address_without_encryption_is_never_used(hook: SlackWebhookSink) -> None:
    sink = SlackWebhookSink("soc", lambda: "http://hooks.example.com/x", Poster())
    with pytest.raises(RetryLater, match="unencrypted") as caught:
        sink.send([delivery(opened())])
    assert caught.value.operator


def test_its_address_is_a_secret_of_the_configuration(tmp_path: Path) -> None:
    settings = SlackWebhookSettings.model_validate({"type": "slack_webhook", "token_env": "HOOK"})
    assert ["token_env"] == [secret.setting for secret in settings.secrets(tmp_path)]
