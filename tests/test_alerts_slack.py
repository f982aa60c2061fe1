"""Findings into a Slack channel."""

import json
import logging
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from alerts.base import Rejected, RetryLater
from alerts.memory import TableMemory
from alerts.slack import SlackSink
from tests.alerts_fakes import (
    Answer,
    Clock,
    FakeMemory,
    Receiver,
    deliveries,
    finding,
    new_database,
    receiving,
)

TOKEN = "xoxb-1234-abcd"


def posted(ts: str = "1795217282.000100") -> Answer:
    return Answer(200, {"ok": True, "channel": "C1", "ts": ts})


def failed(error: str, status: int = 200, **headers: str) -> Answer:
    return Answer(status, {"ok": False, "error": error}, headers)


@pytest.fixture
def slack() -> Iterator[Receiver]:
    with receiving() as receiver:
        receiver.usual = posted()
        yield receiver


class Channel:
    """A sink whose time only moves when it sleeps."""

    def __init__(self, slack: Receiver, memory: Any = None, **options: Any) -> None:
        self.clock = Clock()
        self.slept: list[float] = []
        self.memory = FakeMemory() if memory is None else memory
        self.sink = SlackSink(
            "soc",
            "#soc",
            lambda: TOKEN,
            self.memory,
            api_url=f"{slack.url}/api/",
            clock=self.clock,
            sleep=self._sleep,
            **options,
        )

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.now += seconds

    def tell(self, *ids: str, revision: int = 1) -> None:
        self.sink.send(deliveries(*(finding(id, revision) for id in ids)))


def methods(slack: Receiver) -> list[str]:
    return [request.path.removeprefix("/api/") for request in slack.requests]


def outcome(slack: Receiver, answer: Answer, **options: Any) -> RetryLater | Rejected:
    slack.answers = [answer]
    with pytest.raises((RetryLater, Rejected)) as caught:
        Channel(slack, **options).tell("a")
    assert isinstance(caught.value, RetryLater | Rejected)
    return caught.value


def test_a_finding_is_posted_with_its_id_and_revision(slack: Receiver) -> None:
    Channel(slack).tell("a")
    (request,) = slack.requests
    sent = request.json
    assert ("/api/chat.postMessage", f"Bearer {TOKEN}", "#soc") == (
        request.path,
        request.headers["Authorization"],
        sent["channel"],
    )
    assert {"uid": "a", "revision": 1} == sent["metadata"]["event_payload"]


def test_a_later_revision_edits_the_message(slack: Receiver) -> None:
    channel = Channel(slack)
    channel.tell("a")
    channel.tell("a", revision=2)
    edit = slack.requests[1].json
    assert ["chat.postMessage", "chat.update"] == methods(slack)
    assert ("C1", "1795217282.000100", 2) == (
        edit["channel"],
        edit["ts"],
        edit["metadata"]["event_payload"]["revision"],
    )


def test_another_finding_is_another_message(slack: Receiver) -> None:
    Channel(slack).tell("a", "b")
    assert ["chat.postMessage", "chat.postMessage"] == methods(slack)


def test_a_revision_that_is_shown_already_is_not_sent_again(slack: Receiver) -> None:
    channel = Channel(slack)
    channel.tell("a", revision=2)
    channel.tell("a", revision=2)
    channel.tell("a", revision=1)
    assert ["chat.postMessage"] == methods(slack)


def test_where_a_message_is_outlives_a_restart(slack: Receiver, tmp_path: Path) -> None:
    database, _ = new_database(tmp_path)
    Channel(slack, TableMemory(database, "soc")).tell("a")
    Channel(slack, TableMemory(database, "soc")).tell("a", revision=2)
    assert ["chat.postMessage", "chat.update"] == methods(slack)


def test_a_memory_belongs_to_one_destination_and_forgets_the_oldest(tmp_path: Path) -> None:
    database, _ = new_database(tmp_path)
    memory, other = TableMemory(database, "soc", limit=2), TableMemory(database, "b")
    other.put("0", "x")
    for number in range(4):
        memory.put(str(number), "y")
    assert [None, None, "y", "y"] == [memory.get(str(number)) for number in range(4)]
    assert "x" == other.get("0")


def test_a_full_disk_after_posting_does_not_post_twice(slack: Receiver) -> None:
    class FullOnce(FakeMemory):
        full = True

        def put(self, key: str, value: str) -> None:
            if self.full:
                self.full = False
                raise sqlite3.OperationalError("database or disk is full")
            super().put(key, value)

    channel = Channel(slack, FullOnce())
    with pytest.raises(RetryLater, match="could not be stored"):
        channel.tell("a")
    channel.tell("a")
    assert (["chat.postMessage"], ["a"]) == (methods(slack), list(channel.memory))


@pytest.mark.parametrize(
    "error", ["message_not_found", "cant_update_message", "edit_window_closed"]
)
def test_a_message_that_is_gone_is_posted_anew(slack: Receiver, error: str) -> None:
    channel = Channel(slack)
    channel.tell("a")
    slack.answers = [failed(error), posted("2.2")]
    channel.tell("a", revision=2)
    assert ["chat.postMessage", "chat.update", "chat.postMessage"] == methods(slack)
    assert ["C1", "2.2", 2] == json.loads(channel.memory["a"])


def test_messages_are_a_second_apart(slack: Receiver) -> None:
    channel = Channel(slack)
    channel.tell("a", "b", "c")
    channel.clock.now += 10
    channel.tell("d")
    assert [1.0, 1.0] == channel.slept


def test_a_rate_limit_is_waited_out_as_long_as_slack_says(slack: Receiver) -> None:
    error = outcome(slack, failed("ratelimited", 429, **{"Retry-After": "30"}))
    assert isinstance(error, RetryLater)
    assert (30.0, False) == (error.after_s, error.operator)


@pytest.mark.parametrize(
    "error",
    [
        "invalid_auth", "token_revoked", "account_inactive", "missing_scope", "not_in_channel",
        "channel_not_found", "is_archived", "something_new",
    ],
)  # fmt: skip
def test_what_only_a_person_can_mend_needs_an_operator(slack: Receiver, error: str) -> None:
    found = outcome(slack, failed(error))
    assert isinstance(found, RetryLater) and found.operator
    assert f"Slack: {error}; check token, scopes and channel" == str(found)


@pytest.mark.parametrize("error", ["invalid_blocks", "msg_blocks_too_long", "msg_too_long"])
def test_a_message_slack_turns_down_is_rejected(slack: Receiver, error: str) -> None:
    assert isinstance(outcome(slack, failed(error)), Rejected)


@pytest.mark.parametrize(
    "answer",
    [
        failed("internal_error"),
        failed("fatal_error", 500),
        Answer(503, b""),
        Answer(502, b"<html>bad gateway"),
        Answer(200, b"garbage"),
        Answer(200, {"ok": True}),
        Answer(200, b"[]"),
    ],
)
def test_what_passes_is_tried_again(slack: Receiver, answer: Answer) -> None:
    error = outcome(slack, answer)
    assert isinstance(error, RetryLater) and not error.operator
    assert 1 == len(slack.requests)


def test_an_answer_that_never_comes_is_given_up_and_not_sent_twice(slack: Receiver) -> None:
    slack.usual = Answer(hang_s=5)
    with pytest.raises(RetryLater, match="no answer in time"):
        Channel(slack, timeout_s=0.1).tell("a")
    assert 1 == len(slack.requests)


def test_a_refused_connection_is_tried_again(slack: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    channel = SlackSink(
        "soc", "C1", lambda: TOKEN, FakeMemory(), api_url=f"http://127.0.0.1:{port}/api/"
    )
    with pytest.raises(RetryLater, match="refused") as caught:
        channel.send(deliveries(finding()))
    assert not caught.value.operator


def test_a_connection_that_breaks_is_not_tried_again_by_itself() -> None:
    tries = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    tries.append(1)
                    connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        channel = SlackSink("soc", "C1", lambda: TOKEN, FakeMemory(), api_url=url)
        with pytest.raises(RetryLater) as caught:
            channel.send(deliveries(finding()))
        server.shutdown(socket.SHUT_RDWR)
    assert ([1], False) == (tries, caught.value.operator)


def test_a_new_token_counts_at_once(slack: Receiver) -> None:
    tokens = iter(["old", "new"])
    sink = SlackSink(
        "soc", "C1", lambda: next(tokens), FakeMemory(), api_url=f"{slack.url}/", interval_s=0
    )
    sink.send(deliveries(finding("a"), finding("b")))
    sent = [request.headers["Authorization"] for request in slack.requests]
    assert ["Bearer old", "Bearer new"] == sent


def test_the_token_is_in_no_error_and_no_log(
    slack: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "tripmeter.alerts")
    caplog.set_level(logging.INFO)
    error = outcome(slack, failed("invalid_auth"))
    assert (False, False) == (TOKEN in str(error), TOKEN in caplog.text)
