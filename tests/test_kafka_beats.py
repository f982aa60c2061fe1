"""A source that many shards speak of has one sign of life."""

from datetime import UTC, datetime

from schemas.records import Heartbeat
from streams.kafka.beats import Beats


def beat(shard: int, minute: int, events: int) -> Heartbeat:
    at = datetime(2026, 10, 1, 0, minute, tzinfo=UTC)
    detail = {"lane": "credential", "shard": shard}
    return Heartbeat(
        source="litellm", time=at, last_event=at, events=events, lag_s=0, detail=detail
    )


def test_a_source_has_sent_what_all_shards_saw_of_it_and_last_what_the_newest_was() -> None:
    beats = Beats()
    beats.join([beat(0, 1, 10)])

    (joined,) = beats.join([beat(1, 3, 5), beat(0, 2, 12)])

    assert (17, datetime(2026, 10, 1, 0, 3, tzinfo=UTC)) == (joined.events, joined.last_event)
    assert (0.0, joined.last_event) == (joined.lag_s, joined.time)


def test_what_a_restarted_shard_says_again_turns_nothing_back() -> None:
    beats = Beats()
    beats.join([beat(0, 5, 50)])

    (joined,) = beats.join([beat(0, 2, 20)])

    assert 50 == joined.events


def test_after_a_restart_the_sum_goes_on_where_it_was() -> None:
    before = Beats()
    (kept,) = before.join([beat(0, 1, 10), beat(1, 1, 20)])
    after = Beats()
    after.load([kept.model_dump(mode="json")])

    (joined,) = after.join([beat(1, 2, 25)])

    assert 35 == joined.events
