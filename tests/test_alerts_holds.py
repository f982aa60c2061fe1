"""Destinations that only a person can mend."""

from pathlib import Path

import pytest

from alerts.base import RetryLater
from tests.alerts_post import Post, failing, refusing


@pytest.fixture
def post(tmp_path: Path) -> Post:
    return Post(tmp_path)


def test_a_destination_that_needs_a_person_is_held_and_told_once(post: Post) -> None:
    post.queue("a")
    post.sink.behave = failing(RetryLater("HTTP 401", operator=True))
    for _ in range(5):
        post.clock.now += post.step() or 0.0
    assert (["siem: HTTP 401"], {"a#1": "held"}) == (post.told, post.states())
    assert 5 == len(post.sink.tries)


def test_a_held_destination_is_tried_slowly(post: Post) -> None:
    post.queue("a")
    post.sink.behave = failing(RetryLater("HTTP 401", operator=True))
    assert 60.0 == post.step()


def test_a_mended_destination_gets_everything_and_says_so_once(post: Post) -> None:
    post.queue("a")
    post.sink.behave = failing(RetryLater("HTTP 401", operator=True))
    post.step()
    post.queue("b")
    post.sink.behave = lambda deliveries: None
    post.clock.now += 60
    post.step()
    post.queue("c")
    post.step()
    assert ["a#1", "b#1", "c#1"] == post.sink.taken
    assert ["siem: HTTP 401", "siem works"] == post.told


def test_a_restart_does_not_tell_the_same_fault_again(post: Post) -> None:
    post.queue("a")
    post.sink.behave = failing(RetryLater("HTTP 401", operator=True))
    post.step()
    post.courier = post.new_courier()
    post.clock.now += 61
    post.step()
    assert (["siem: HTTP 401"], 2) == (post.told, len(post.sink.tries))


def test_a_long_outage_is_told_too(post: Post) -> None:
    post.queue("a")
    post.sink.behave = failing(RetryLater("connection refused"))
    while post.clock.now < 1000 + 599:
        post.clock.now += post.step() or 0.0
    before = list(post.told)
    post.step()
    assert ([], ["siem: connection refused"]) == (before, post.told)


def test_an_operator_who_cannot_be_told_is_told_at_the_next_try(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.queue("a")
    post.sink.behave = failing(RetryLater("HTTP 401", operator=True))
    with monkeypatch.context() as patched:
        patched.setattr(post, "told", None)
        post.step()
    assert ({"a#1": "held"}, []) == (post.states(), post.told)
    for _ in range(3):
        post.clock.now += 60
        post.step()
    assert ["siem: HTTP 401"] == post.told


def test_too_many_dead_letters_hold_the_destination_instead_of_losing_any(tmp_path: Path) -> None:
    post = Post(tmp_path, max_dead=2)
    post.queue(*"abcd")
    post.sink.behave = refusing(*"abcd")
    post.step()
    assert ["dead", "dead", "held", "waiting"] == list(post.states().values())
    assert [True] == ["2 records were refused" in told for told in post.told]
    post.outbox.discard_dead([letter.number for letter in post.outbox.dead_letters()])
    post.sink.behave = lambda deliveries: None
    post.clock.now += 60
    post.step()
    assert ["c#1", "d#1"] == post.sink.taken
