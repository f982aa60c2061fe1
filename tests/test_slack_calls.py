"""Calls of Slack's API: never repeated by themselves, and every answer means one thing."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from alerts.base import Rejected, RetryLater
from alerts.slack_calls import Calls, Gone, NotAllowed, Pacer, Unsure
from tests.alerts_fakes import Answer, Clock, Receiver, receiving

TOKEN = "xoxb-1234-abcd"


def failed(error: str, status: int = 200, **headers: str) -> Answer:
    return Answer(status, {"ok": False, "error": error}, headers)


@pytest.fixture
def slack() -> Iterator[Receiver]:
    with receiving() as receiver:
        receiver.usual = Answer(200, {"ok": True, "channel": "C01", "ts": "1.2"})
        yield receiver


def calls(slack: Receiver, **options: Any) -> Calls:
    return Calls(lambda: TOKEN, Pacer(0), api_url=f"{slack.url}/api/", **options)


def outcome(slack: Receiver, answer: Answer, **options: Any) -> Exception:
    slack.answers = [answer]
    with pytest.raises((RetryLater, Rejected, Gone)) as caught:
        calls(slack, **options).post({"text": "a"}, "C01")
    return caught.value


def test_a_rate_limit_is_waited_out_as_long_as_slack_says(slack: Receiver) -> None:
    error = outcome(slack, failed("ratelimited", 429, **{"Retry-After": "30"}))
    assert isinstance(error, RetryLater) and not isinstance(error, Unsure)
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
    assert (error == "missing_scope") == isinstance(found, NotAllowed)


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
def test_after_an_answer_that_says_nothing_it_may_have_been_posted(
    slack: Receiver, answer: Answer
) -> None:
    error = outcome(slack, answer)
    assert isinstance(error, Unsure) and not error.operator
    assert 1 == len(slack.requests)


@pytest.mark.parametrize("error", ["message_not_found", "cant_update_message", "thread_not_found"])
def test_what_is_not_there_any_more_is_gone(slack: Receiver, error: str) -> None:
    assert isinstance(outcome(slack, failed(error)), Gone)


def test_an_answer_that_never_comes_is_given_up_and_not_sent_twice(slack: Receiver) -> None:
    slack.usual = Answer(hang_s=5)
    with pytest.raises(Unsure, match="no answer in time"):
        calls(slack, timeout_s=0.1).post({"text": "a"}, "C01")
    assert 1 == len(slack.requests)


def test_a_refused_connection_was_surely_not_posted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    refused = Calls(lambda: TOKEN, Pacer(0), api_url=f"http://127.0.0.1:{port}/api/")
    with pytest.raises(RetryLater, match="refused") as caught:
        refused.post({"text": "a"}, "C01")
    assert (False, False) == (caught.value.operator, isinstance(caught.value, Unsure))


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
        with pytest.raises(Unsure) as caught:
            Calls(lambda: TOKEN, Pacer(0), api_url=url).post({"text": "a"}, "C01")
        server.shutdown(socket.SHUT_RDWR)
    assert ([1], False) == (tries, caught.value.operator)


def test_a_new_token_counts_at_once(slack: Receiver) -> None:
    tokens = iter(["old", "new"])
    fresh = Calls(lambda: next(tokens), Pacer(0), api_url=f"{slack.url}/")
    fresh.post({"text": "a"}, "C01")
    fresh.post({"text": "b"}, "C01")
    sent = [request.headers["Authorization"] for request in slack.requests]
    assert ["Bearer old", "Bearer new"] == sent


def test_two_destinations_in_one_channel_share_its_second() -> None:
    one, same = (
        Pacer.of("https://slack.com/", "C01", 1.0),
        Pacer.of("https://slack.com/", "C01", 1.0),
    )
    other = Pacer.of("https://slack.com/", "C02", 1.0)
    assert (True, False) == (one is same, one is other)


def test_a_second_counts_from_the_answer_on() -> None:
    clock = Clock()
    slept: list[float] = []
    pacer = Pacer(1.0, clock, slept.append)
    with pacer:
        clock.now += 5  # a slow answer
    with pacer:
        pass
    assert [1.0] == slept


def test_a_channel_by_name_is_looked_up(slack: Receiver) -> None:
    slack.usual = Answer(200, {"ok": True, "channels": [{"id": "C07", "name": "soc"}]})
    assert ["C07", "C09X"] == [calls(slack).id_of("#soc"), calls(slack).id_of("C09X")]
    with pytest.raises(RetryLater, match="the bot sees no channel #other"):
        calls(slack).id_of("#other")
