"""One destination's deliveries: order, retries, dead letters."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

from alerts.base import Delivery, Partly, Rejected, RetryLater
from alerts.outbox import Outbox
from tests.alerts_fakes import sql
from tests.alerts_post import Post, failing, refusing


@pytest.fixture
def post(tmp_path: Path) -> Post:
    return Post(tmp_path)


def test_everything_is_delivered_in_batches_and_in_order(post: Post) -> None:
    ids = [f"f{number:02}" for number in range(25)]
    post.queue(*ids)
    delays = [post.step() for _ in range(4)]
    assert ([0.0, 0.0, 0.0, None], [10, 10, 5]) == (delays, [len(t) for t in post.sink.tries])
    assert [f"{id}#1" for id in ids] == post.sink.taken


def test_a_busy_sink_is_tried_again_after_the_time_it_asked_for(post: Post) -> None:
    post.queue("a")
    post.sink.behave = failing(RetryLater("busy", 30.0))
    first = post.step()
    post.clock.now += 29.9
    early = post.step()
    assert (33.0, 1) == (first, len(post.sink.tries))
    assert pytest.approx(3.1) == early
    post.sink.behave = lambda deliveries: None
    post.clock.now += 3.1
    assert (0.0, ["a#1"]) == (post.step(), post.sink.taken)


def test_without_a_wish_the_pauses_double_up_to_a_cap(post: Post) -> None:
    post.queue("a")
    post.sink.behave = failing(RetryLater("down"))
    pauses = []
    for _ in range(8):
        delay = post.step() or 0.0
        pauses.append(delay)
        post.clock.now += delay
    assert [1, 2, 4, 8, 16, 32, 60, 60] == pauses


def test_a_success_makes_the_next_pause_short_again(post: Post) -> None:
    post.queue("a")
    answers = iter([RetryLater("down"), RetryLater("down"), None, RetryLater("down")])

    def behave(deliveries: Sequence[Delivery]) -> None:
        if (error := next(answers)) is not None:
            raise error

    post.sink.behave = behave
    pauses = []
    for _ in range(4):
        delay = post.step() or 0.0
        pauses.append(delay)
        post.clock.now += delay
        post.queue(f"after {len(pauses)}")
    assert [1, 2, 0, 1] == pauses


def test_pauses_are_spread_so_that_many_senders_do_not_come_back_at_once(tmp_path: Path) -> None:
    post = Post(tmp_path, jitter=0.25)
    post.queue("a")
    post.sink.behave = failing(RetryLater("down"))
    assert 0.25 == post.step()


@pytest.mark.parametrize("asked", [-5.0, float("nan"), float("inf")])
def test_a_senseless_wish_counts_as_none(post: Post, asked: float) -> None:
    post.queue("a")
    post.sink.behave = failing(RetryLater("busy", asked))
    assert 1.0 == post.step()


def test_a_destination_that_always_says_at_once_is_not_hammered(post: Post) -> None:
    post.queue("a")
    post.sink.behave = failing(RetryLater("busy", 0.0))
    pauses = []
    for _ in range(4):
        delay = post.step() or 0.0
        pauses.append(delay)
        post.clock.now += delay
    assert [1, 2, 4, 8] == pauses


def test_nobody_can_make_us_wait_for_ever(post: Post) -> None:
    post.queue("a")
    post.sink.behave = failing(RetryLater("busy", 1e9))
    assert pytest.approx(990.0) == post.step()


def test_a_pause_that_was_asked_for_outlives_a_restart(post: Post) -> None:
    post.queue("a")
    post.sink.behave = failing(RetryLater("busy", 100.0))
    post.step()
    post.clock.now += 10
    post.courier = post.new_courier()
    assert (100.0, 1) == (post.step(), len(post.sink.tries))


def test_new_rows_wait_behind_the_one_that_failed(post: Post) -> None:
    post.queue("a")
    post.sink.behave = failing(RetryLater("busy", 30.0))
    post.step()
    post.queue("b")
    post.sink.behave = lambda deliveries: None
    post.step()
    assert [] == post.sink.taken
    post.clock.now += 60
    post.step()
    assert ["a#1", "b#1"] == post.sink.taken


def test_the_one_record_that_is_refused_is_found_and_the_rest_arrives(post: Post) -> None:
    post.queue(*"abcdefgh")
    post.sink.behave = refusing("f")
    post.step()
    assert [f"{id}#1" for id in "abcdegh"] == post.sink.taken
    assert ["f#1"] == [letter.key for letter in post.outbox.dead_letters()]
    assert 7 == len(post.sink.tries)


def test_a_pause_in_the_middle_of_a_search_loses_and_repeats_nothing(post: Post) -> None:
    post.queue(*"abcd")
    calls = iter([Rejected("odd"), None, RetryLater("busy", 1.0)])

    def behave(deliveries: Sequence[Delivery]) -> None:
        if (error := next(calls, None)) is not None:
            raise error

    post.sink.behave = behave
    post.step()
    post.clock.now += 10
    post.step()
    assert [f"{id}#1" for id in "abcd"] == post.sink.taken


def test_a_row_that_cannot_be_read_back_is_a_dead_letter(post: Post) -> None:
    post.queue(*"abc")
    sql(post.engine, "UPDATE outbox_bodies SET finding = x'7b' WHERE key = 'b#1'")
    post.step()
    assert {"a#1": "delivered", "b#1": "dead", "c#1": "delivered"} == post.states()


def test_a_bug_in_a_sink_loses_nothing_and_shows_no_content(post: Post) -> None:
    post.queue("a")
    post.sink.behave = failing(KeyError("the prompt"))
    post.step()
    assert "unexpected KeyError" == post.outbox.last_error("siem")
    assert {"a#1": "waiting"} == post.states()


def test_a_retried_dead_letter_is_sent_under_the_same_key(post: Post) -> None:
    post.queue("a")
    post.sink.behave = refusing("a")
    post.step()
    post.sink.behave = lambda deliveries: None
    post.outbox.retry_dead([letter.number for letter in post.outbox.dead_letters()])
    post.step()
    assert ([["a#1"], ["a#1"]], ["a#1"]) == (post.sink.tries, post.sink.taken)


def test_a_crash_after_sending_sends_again_under_the_same_key(post: Post) -> None:
    post.queue("a")

    def crash(deliveries: Sequence[Delivery]) -> None:
        post.sink.taken += [each.key for each in deliveries]
        raise SystemExit

    post.sink.behave = crash
    with pytest.raises(SystemExit):
        post.step()
    post.sink.behave = lambda deliveries: None
    post.courier = post.new_courier()
    post.step()
    assert (["a#1", "a#1"], {"a#1": "delivered"}) == (post.sink.taken, post.states())


def test_a_delivery_that_cannot_be_noted_is_noted_later_not_sent_again(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.queue("a")
    noted = Outbox.delivered
    failures = iter([sqlite3.OperationalError("database or disk is full")])

    def delivered(outbox: Outbox, *args: object) -> None:
        if (error := next(failures, None)) is not None:
            raise error
        noted(outbox, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Outbox, "delivered", delivered)
    monkeypatch.setattr(post.courier, "_pause", lambda seconds: False)
    post.step()
    assert (["a#1"], {"a#1": "delivered"}) == (post.sink.taken, post.states())


def test_an_outbox_that_cannot_be_read_is_looked_at_again(post: Post) -> None:
    sql(post.engine, "ALTER TABLE outbox_bodies RENAME TO away")
    broken = post.step()
    sql(post.engine, "ALTER TABLE away RENAME TO outbox_bodies")
    assert (1.0, None) == (broken, post.step())


def test_a_destination_that_answers_for_each_record_gets_the_rest_again(post: Post) -> None:
    post.queue(*"abcd")
    later = RetryLater("busy", 5.0)
    post.sink.behave = failing(Partly(frozenset({"a#1", "c#1"}), {"b#1": "odd"}, later))
    assert 5.0 <= (post.step() or 0.0)
    assert {"a#1": "delivered", "b#1": "dead", "c#1": "delivered", "d#1": "waiting"} == (
        post.states()
    )
    post.sink.behave = lambda deliveries: None
    post.clock.now += 10
    post.step()
    assert [["a#1", "b#1", "c#1", "d#1"], ["d#1"]] == post.sink.tries
    assert ["odd"] == [letter.reason for letter in post.outbox.dead_letters()]


def test_after_three_failures_one_record_is_risked_until_it_is_taken(post: Post) -> None:
    post.queue(*"abc")
    post.sink.behave = failing(RetryLater("HTTP 503"))
    for _ in range(4):
        post.clock.now += post.step() or 0.0
    post.sink.behave = lambda deliveries: None
    post.step()
    post.step()
    assert [3, 3, 3, 1, 1, 2] == [len(keys) for keys in post.sink.tries]
    assert ["a#1", "b#1", "c#1"] == post.sink.taken
