"""A real `serve` and Slack: buttons reach the core, and a kill makes no second message."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fake_slack import FakeSlack, fake_slack
from tests.fake_slack_kit import text_of
from tests.serving import Serve
from tests.test_slack_press import pressed, submitted
from tests.traffic import small_day

pytestmark = pytest.mark.process


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with fake_slack(interval_s=0.1) as slack:
        yield slack


@pytest.fixture
def serve(slack: FakeSlack, tmp_path: Path) -> Iterator[Serve]:
    for name in ("bot", "app"):
        (tmp_path / name).write_text(f"xox{name}-1\n")
    config = f"""
[destinations.soc]
type = "slack"
channel = "#soc"
token_file = "{tmp_path}/bot"
app_token_file = "{tmp_path}/app"
buttons = "socket"
may_press = ["U1"]
api_url = "{slack.api}"
interval_s = 0.11
charts = false
singles = 50
"""
    serve = Serve(tmp_path / "data", config)
    yield serve
    serve.close()


def until(true: Callable[[], Any], seconds: float = 30) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return bool(true())


def told(serve: Serve) -> bool:
    """Whether nothing waits for Slack."""
    return {"delivered"} == {row[2] for row in serve.outbox() if row[1] == "soc"}


def incidents(slack: FakeSlack) -> dict[str, dict[str, Any]]:
    """What the channel shows, by incident."""
    shown = [m for m in slack.messages() if m["metadata"]["event_type"] == "tripmeter_incident"]
    return {message["metadata"]["event_payload"]["uid"]: message for message in shown}


def test_expected_in_slack_hides_the_like_in_the_core(serve: Serve, slack: FakeSlack) -> None:
    lines = small_day(hours=(9, 17), clients=1)
    noon = next(number for number, line in enumerate(lines) if b"T13:" in line)
    serve.start()
    assert until(lambda: slack.connected() == 1)
    serve.post(b"\n".join(lines[:noon]))
    serve.drained()
    assert until(lambda: incidents(slack) and told(serve))
    for number, id in enumerate(list(incidents(slack))):
        envelope = {"envelope_id": f"e{number}", "type": "interactive"}
        before = slack.methods().count("views.open")
        slack.push({**envelope, "payload": pressed("tm_expected", id)})
        assert until(lambda b=before: slack.methods().count("views.open") > b)
        view = [c.arguments["view"] for c in slack.calls if c.method == "views.open"][-1]
        slack.push({**envelope, "payload": submitted(view, reason="load test", lasts="90 days")})
    assert until(lambda: all("load test" in text_of(m) for m in incidents(slack).values()))
    serve.post(b"\n".join(lines[noon:]))
    serve.drained()
    assert serve.metric("tripmeter_judged_hidden_total") > 0
    assert 0 == serve.stop()


def test_a_process_killed_when_slack_has_the_message_edits_it_after_its_restart(
    serve: Serve, slack: FakeSlack
) -> None:
    serve.start()
    slack.then = {"chat.postMessage": lambda: os.kill(serve.pid, signal.SIGKILL)}
    serve.post(b"\n".join(small_day(hours=(9, 17), clients=1)))
    assert until(lambda: slack.messages())
    serve.kill()
    posted = slack.messages()[0]["metadata"]["event_payload"]["uid"]
    serve.start()
    serve.drained()
    assert until(lambda: "conversations.history" in slack.methods())
    assert until(lambda: told(serve))
    ids = [m["metadata"]["event_payload"]["uid"] for m in slack.messages()]
    assert (1, len(set(ids))) == (ids.count(posted), len(ids))
    serve.stop()
