"""A partition is called idle only while it is certain that its owner has all there is."""

from streams.kafka.idle import Idle
from streams.kafka.slab import End

WALL_MS = 1_000_000.0


def answers(idle: Idle, *seconds: float, end: int = 7, expect: int = 7) -> list[int | None]:
    """What it says when the broker answers at these times, and is asked at once."""
    return [
        idle.since(
            End(end, int(WALL_MS + 1000 * at), end, end - 1), expect, at, WALL_MS + 1000 * at
        )
        for at in seconds
    ]


def test_a_partition_that_had_nothing_for_a_second_is_idle_since_the_answer_before_the_last() -> (
    None
):
    idle = Idle(1.0, 0.0)

    assert [None, None, None, WALL_MS + 900] == answers(idle, 0.1, 0.5, 0.9, 1.2)


def test_an_answer_that_waited_for_a_stopped_process_is_worth_nothing() -> None:
    idle = Idle(1.0, 0.0)
    answers(idle, 0.1, 0.5, 0.9, 1.2)

    assert [None, WALL_MS + 7000] == answers(idle, 7.0, 7.1)


def test_an_old_answer_is_worth_nothing_and_a_partition_with_more_is_not_idle() -> None:
    idle = Idle(1.0, 0.0)
    answers(idle, 0.1, 0.5, 0.9)
    last = End(7, int(WALL_MS + 900), 7, 6)

    assert idle.since(last, 7, 2.0, WALL_MS + 2000) is not None
    assert idle.since(last, 7, 2.6, WALL_MS + 2600) is None
    assert [None, None, None] == answers(Idle(1.0, 0.0), 0.1, 0.9, 1.8, expect=6)


def test_a_record_begins_the_wait_anew() -> None:
    idle = Idle(1.0, 0.0)
    answers(idle, 0.1, 0.9)
    idle.moved(1.0)

    assert [None, WALL_MS + 1800] == answers(idle, 1.8, 2.0)
