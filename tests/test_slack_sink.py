"""An incident is one Slack message that says what is true now, with the story in its thread."""

import json
import logging
import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from alerts.base import RetryLater
from alerts.memory import TableMemory
from schemas.finding import Severity
from tests.alerts_fakes import new_database
from tests.fake_slack import FakeSlack, fake_slack
from tests.fake_slack_kit import Bench, finding, rich, text_of


@pytest.fixture(scope="module")
def workspace() -> Iterator[FakeSlack]:
    with fake_slack(interval_s=1.0) as slack:
        yield slack


@pytest.fixture(autouse=True)
def no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matplotlib takes seconds to load; `test_slack_chart` does."""
    monkeypatch.setattr("alerts.slack_deeds.draw", lambda finding, past: b"\x89PNG of it")
    monkeypatch.setattr("alerts.slack_deeds.warm", lambda: None)


@pytest.fixture
def bench(workspace: FakeSlack, tmp_path: Path) -> Bench:
    workspace.forget()
    return Bench(workspace, tmp_path)


def parts(bench: Bench) -> list[str]:
    """What the thread of the only message tells, in order."""
    (message,) = bench.slack.messages()
    return [
        (reply.get("metadata") or {}).get("event_payload", {}).get("part", "chart").split("@")[0]
        for reply in bench.slack.replies(message["ts"])
    ]


def test_a_new_incident_is_one_message_with_its_id_and_revision_and_the_evidence_below(
    bench: Bench,
) -> None:
    bench.found(rich())
    (message,) = bench.told()
    incident = bench.incidents()[0]
    assert {"uid": incident.id, "revision": 1} == message["metadata"]["event_payload"]
    assert (["evidence"], 0) == (parts(bench), bench.waiting())


def test_whatever_happens_to_it_edits_that_message(bench: Bench) -> None:
    bench.found(rich())
    bench.told()
    bench.did("ack")
    (message,) = bench.told()
    assert "ana has taken it" in text_of(message)
    assert ["chat.postMessage", "chat.postMessage", "chat.update"] == bench.slack.methods()


def test_the_end_is_told_in_the_message_and_in_the_thread(bench: Bench) -> None:
    bench.found(rich())
    bench.told()
    bench.did("resolve", reason="key revoked")
    (message,) = bench.told()
    (_, end) = bench.slack.replies(message["ts"])
    assert message["text"].startswith("RESOLVED: ")
    assert "Resolved by ana" in text_of(end) and "key revoked" in text_of(end)


def test_later_findings_are_gathered_into_few_replies(bench: Bench) -> None:
    bench.found(rich())
    bench.told()
    for number in range(5):
        bench.sleep(5)
        bench.found(finding(f"later-{number}"))
        bench.told(4)
    bench.sleep(90)
    bench.found(finding("last"))
    bench.told()
    (message,) = bench.slack.messages()
    assert ["evidence", "later"] == parts(bench)
    assert "6 more findings" in text_of(bench.slack.replies(message["ts"])[-1])


def test_what_gets_worse_is_told_aloud_because_an_edit_notifies_nobody(bench: Bench) -> None:
    bench.found(finding())
    bench.told()
    bench.found(rich(id="worse"))
    (message,) = bench.told()
    worse = bench.slack.replies(message["ts"])[1]
    assert (True, "worse") == (worse["reply_broadcast"], parts(bench)[1])
    assert message["text"].startswith("CRITICAL")


def test_each_reply_comes_once_however_often_it_is_looked_at(bench: Bench) -> None:
    bench.found(rich())
    bench.told()
    for _ in range(3):
        bench.restart()
        bench.did("note", reason="still looking")
        bench.told()
    assert ["evidence"] == parts(bench)


def test_a_process_killed_between_sending_and_noting_edits_instead_of_posting_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    bench.found(rich())
    with monkeypatch.context() as patch:
        post = bench.calls.post
        patch.setattr(bench.calls, "post", lambda *a, **k: (post(*a, **k), killed()))
        with pytest.raises(Killed):
            bench.told()
    assert 1 == len(bench.slack.messages())
    bench.restart()
    bench.did("ack")
    (message,) = bench.told()
    assert "ana has taken it" in text_of(message)
    assert (1, ["evidence"]) == (message["edits"], parts(bench))
    assert "conversations.history" in bench.slack.methods()


def test_one_killed_before_it_sent_posts_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    bench.found(rich())
    with monkeypatch.context() as patch:
        patch.setattr(bench.calls, "post", killed)
        with pytest.raises(Killed):
            bench.told()
    bench.restart()
    assert 1 == len(bench.told())


@pytest.mark.parametrize("which", [1, 2])
def test_an_answer_that_is_lost_on_the_way_makes_no_second_message(
    bench: Bench, which: int
) -> None:
    bench.slack.lost = ["chat.postMessage"]
    if which == 2:  # the reply, not the message
        bench.slack.broken = {}
        bench.slack.lost = []
        bench.found(rich())
        bench.courier.step(bench.outbox)
        bench.slack.lost = ["chat.postMessage"]
    else:
        bench.found(rich())
    assert 1 == len(bench.told())
    assert (["evidence"], 0) == (parts(bench), bench.waiting())


def test_without_the_scope_to_look_back_it_is_said_once_and_goes_on(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.slack.lost = ["chat.postMessage"]
    bench.slack.broken = {"conversations.history": ["missing_scope"] * 9}
    bench.found(rich())
    assert 2 == len(bench.told())  # at least once
    assert 1 == caplog.text.count("channels:history")


def test_a_message_that_somebody_deleted_is_posted_anew(bench: Bench) -> None:
    bench.found(rich())
    bench.told()
    bench.slack.shown.clear()
    bench.did("ack")
    (message,) = bench.told()
    assert "ana has taken it" in text_of(message)


def test_where_slack_forbids_edits_only_news_and_the_end_are_posted_anew(bench: Bench) -> None:
    bench.thread = False
    bench.restart()
    bench.found(rich())
    bench.told()
    bench.slack.broken = {"chat.update": ["edit_window_closed"] * 9}
    bench.did("ack")
    assert 1 == len(bench.told())
    bench.did("resolve")
    assert 2 == len(bench.told())


def test_what_got_worse_while_nobody_knew_whether_it_was_posted_is_still_told_aloud(
    bench: Bench,
) -> None:
    bench.slack.lost = ["chat.postMessage"]
    bench.found(finding())
    bench.courier.step(bench.outbox)
    bench.sleep(5)
    bench.found(rich(id="worse"))
    bench.told()
    assert "worse" in parts(bench)


def test_messages_and_replies_are_a_second_apart_and_never_limited(bench: Bench) -> None:
    bench.found(rich(), finding("b", entity=rich().entity.model_copy(update={"id": "hmac:2"})))
    bench.told()
    times = [call.at for call in bench.slack.calls]
    assert 0 == bench.slack.limited
    assert [] == [b - a for a, b in pairwise(times) if b - a < 1.0]


def test_a_full_disk_after_posting_does_not_post_twice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_all = TableMemory.put_all
    writes: list[int] = []

    def full(self: TableMemory, values: dict[str, str]) -> None:
        writes.append(1)
        if len(writes) == 2:
            raise sqlite3.OperationalError("database or disk is full")
        put_all(self, values)

    monkeypatch.setattr(TableMemory, "put_all", full)
    bench.found(rich())
    assert 1 == len(bench.told())
    assert (0, []) == (bench.waiting(), bench.faults)


def test_a_chart_of_the_habit_is_put_into_the_thread_once(bench: Bench) -> None:
    bench.charts = True
    bench.restart()
    bench.found(rich())
    (message,) = bench.told()
    bench.did("ack")
    bench.told()
    (_, chart) = bench.slack.replies(message["ts"])
    assert b"\x89PNG of it" in bench.slack.uploaded[chart["files"][0]["id"]]


def test_without_the_scope_for_files_it_is_said_once_and_goes_on_without(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.charts = True
    bench.restart()
    bench.slack.broken = {"files.getUploadURLExternal": ["missing_scope"] * 9}
    other = rich(id="b", entity=rich().entity.model_copy(update={"id": "hmac:2"}))
    bench.found(rich(), other)
    assert (2, 0, []) == (len(bench.told()), bench.waiting(), bench.faults)
    assert 1 == caplog.text.count("files:write")
    assert 1 == bench.slack.methods().count("files.getUploadURLExternal")


@pytest.mark.parametrize("lost", ["files.completeUploadExternal", "files.getUploadURLExternal"])
def test_a_chart_whose_answer_is_lost_is_there_once(bench: Bench, lost: str) -> None:
    bench.charts = True
    bench.restart()
    bench.slack.lost = [lost]
    bench.found(rich())
    bench.told()
    assert (["evidence", "chart"], 0) == (parts(bench), bench.waiting())


def test_a_thread_that_cannot_be_written_delays_no_critical_and_is_given_up(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.found(rich())
    bench.courier.step(bench.outbox)
    bench.slack.broken = {
        "chat.postMessage": ["internal_error"],
        "conversations.replies": ["internal_error"] * 99,
    }
    bench.told(5)
    bench.found(rich(id="b", entity=rich().entity.model_copy(update={"id": "hmac:2"})))
    assert 2 == len(bench.told(4))
    bench.told(60)
    assert (0, []) == (bench.waiting(), bench.faults)
    assert "a reply is left out" in caplog.text


def test_a_history_that_cannot_be_read_does_not_keep_people_from_being_told(
    bench: Bench,
) -> None:
    bench.slack.broken = {
        "chat.postMessage": ["internal_error"],
        "conversations.history": ["internal_error"] * 99,
    }
    bench.found(rich())
    assert (1, 0) == (len(bench.told()), bench.waiting())


def test_a_message_slack_refuses_is_a_dead_letter_and_the_others_go_on(bench: Bench) -> None:
    bench.slack.broken = {"chat.postMessage": ["invalid_blocks"]}
    other = rich(id="b", entity=rich().entity.model_copy(update={"id": "hmac:2"}))
    bench.found(rich(), other)
    assert 1 == len(bench.told())
    assert [("Slack: invalid_blocks", 0)] == [
        (dead.reason, bench.waiting()) for dead in bench.outbox.dead_letters()
    ]


def test_a_reply_slack_refuses_is_left_out(bench: Bench) -> None:
    bench.slack.broken = {"chat.postMessage": [None, "msg_too_long"]}
    bench.found(rich())
    assert (1, 0, []) == (len(bench.told()), bench.waiting(), bench.outbox.dead_letters())


def test_what_is_covered_before_anybody_heard_of_it_is_never_told(bench: Bench) -> None:
    storm = finding("storm", family="retry-storm", severity=Severity.HIGH)
    bench.found(storm)
    bench.found(rich())
    bench.told()
    (message,) = bench.slack.messages()
    assert message["text"].startswith("CRITICAL") and 0 == bench.waiting()


def test_an_outage_holds_everything_and_loses_nothing(bench: Bench) -> None:
    bench.slack.broken = {"chat.postMessage": ["channel_not_found"] * 3}
    bench.found(rich())
    bench.told(400)
    assert (1, 0) == (len(bench.slack.messages()), bench.waiting())
    assert ["Slack: channel_not_found; check token, scopes and channel"] == bench.faults


def test_where_messages_are_outlives_an_upgrade_from_the_first_version(bench: Bench) -> None:
    bench.found(rich())
    (message,) = bench.told()
    incident = bench.incidents()[0]
    TableMemory(bench.store.engine, "soc").put(incident.id, json.dumps(["C01", message["ts"], 1]))
    bench.did("ack")
    assert 1 == len(bench.told())


def test_a_memory_belongs_to_one_destination_and_forgets_the_oldest(tmp_path: Path) -> None:
    database, _ = new_database(tmp_path)
    memory, other = TableMemory(database, "soc", limit=2), TableMemory(database, "b")
    other.put("0", "x")
    for number in range(4):
        memory.put(str(number), "y")
    assert [None, None, "y", "y"] == [memory.get(str(number)) for number in range(4)]
    assert "x" == other.get("0")


def test_probing_says_whose_token_it_is_and_whether_the_channel_is_there(bench: Bench) -> None:
    assert "the token is of tripmeter in Acme; it is in C01" == bench.sink.probe()
    bench.slack.broken = {"conversations.info": ["channel_not_found"]}
    with pytest.raises(RetryLater, match="channel_not_found"):
        bench.sink.probe()


def test_the_token_is_in_no_log(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "tripmeter.alerts")
    bench.slack.broken = {"chat.postMessage": ["invalid_auth"]}
    bench.found(rich())
    bench.told()
    assert "xoxb" not in caplog.text + str(bench.faults)


def test_it_is_over_before_anybody_was_told_and_says_so(bench: Bench) -> None:
    bench.found(rich())
    bench.did("resolve")
    (message,) = bench.told()
    assert message["text"].startswith("RESOLVED")
