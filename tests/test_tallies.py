"""Batches of counts: the same in every order of arrival, bounded, and learned with care."""

from math import log
from random import Random
from typing import Any

from detectors import levels, together
from detectors.settled import SETTLED_MS
from detectors.tallies import MAX_COUNTS, MINUTE_MS, Tallies

LATENESS_MS = 240_000
DAY_MS = 86_400_000


def batches(events: list[tuple[int, str, dict[str, int]]], batch: int = 20) -> list[object]:
    tallies = Tallies(batch, DAY_MS, 10)
    done: list[object] = []
    for time, id, counts in events:
        done += [(b["n"], b["counts"], b["last"]) for b in tallies.add("x", time, id, counts)[1]]
    return done


def test_the_order_of_arrival_does_not_show() -> None:
    rng = Random(0)
    events = [(i * 7000, f"e{i}", {"calls": 1, f"k{i % 3}": i}) for i in range(400)]
    in_order = batches(events)

    assert len(in_order) > 10
    for _ in range(10):
        arrived = sorted(events, key=lambda event: event[0] + rng.randint(0, LATENESS_MS - 1))
        assert in_order == batches(arrived)


def test_a_minute_is_counted_only_when_nothing_older_can_arrive() -> None:
    tallies = Tallies(1, DAY_MS, 10)
    tallies.add("x", 0, "e0", {})

    assert [] == tallies.add("x", MINUTE_MS - 1 + SETTLED_MS, "e1", {})[1]
    assert 1 == len(tallies.add("x", MINUTE_MS + SETTLED_MS, "e2", {})[1])


def test_a_silent_entity_begins_anew() -> None:
    tallies = Tallies(1, DAY_MS, 10)
    state, _ = tallies.add("x", 0, "e0", {})
    state["known"]["usual"] = 1

    assert {"usual": 1} == tallies.add("x", DAY_MS, "e1", {})[0]["known"]
    fresh = tallies.add("x", 2 * DAY_MS + 1, "e2", {})[0]
    assert {} == fresh["known"]
    assert fresh is tallies.add("x", 2 * DAY_MS + 2, "e3", {})[0]


def test_different_things_are_counted_within_a_bound() -> None:
    tallies = Tallies(10**6, 10 * DAY_MS, 10)
    for i in range(2000):
        state, _ = tallies.add("x", i * 1000, f"e{i}", {f"k{i}": 1})
    held = [state["batch"], *state["open"].values()]

    assert MAX_COUNTS == max(len(one["counts"]) for one in held)
    assert len(held) <= 8


def test_what_is_odd_is_learned_when_it_stays() -> None:
    known: dict[str, object] = {}
    for _ in range(levels.LEARNED):
        assert levels.usual(known) is None
        levels.learn(known, 1.0, odd=False)
    for _ in range(levels.ACCEPT - 1):
        levels.learn(known, 9.0, odd=True)
        assert 1.0 == levels.usual(known)
    for _ in range(levels.LEARNED):
        levels.learn(known, 9.0, odd=True)
        levels.learn(known, 9.0, odd=False)
    assert 9.0 == levels.usual(known)


def _learned(past: dict[str, tuple[int, float]]) -> dict[str, Any]:
    """A service whose batches so far, all alike, make the past of these keys."""
    state: dict[str, Any] = {"known": {}}
    for _ in range(together.KNOWN_BATCHES):
        together.learn(state, _batch(past), odd=False)
    return state


def _batch(values: dict[str, tuple[int, float]]) -> dict[str, object]:
    counts: dict[str, int] = {}
    for key, (calls, value) in values.items():
        one = together.counts(key, value)
        counts |= {name: calls * number for name, number in one.items()}
    return {"n": sum(calls for calls, _ in values.values()), "counts": counts}


def test_keys_are_compared_with_their_own_past_and_half_of_them_must_agree() -> None:
    state = _learned({"a": (8, 1), "b": (8, 10), "c": (8, 100)})
    all_slow = together.shift(state, _batch({"a": (8, 3), "b": (8, 30), "c": (8, 300)}))
    one_slow = together.shift(state, _batch({"a": (80, 3), "b": (8, 10), "c": (8, 100)}))

    assert all_slow is not None and one_slow is not None
    assert (round(log(3), 2), 3) == (round(all_slow[0], 2), all_slow[1])
    assert 0 == round(one_slow[0], 2)


def test_too_few_keys_or_calls_or_too_short_a_past_are_not_compared() -> None:
    past = {"a": (2, 1.0), "b": (2, 1.0), "c": (2, 1.0), "d": (1, 1.0)}
    state = _learned(past)

    assert together.shift(state, _batch({"a": (8, 3), "b": (8, 3), "d": (8, 3)})) is None
    assert together.shift(state, _batch({"a": (8, 3), "b": (8, 3), "c": (3, 3)})) is None
    assert together.shift(state, _batch({"a": (8, 3), "b": (8, 3), "c": (4, 3)})) is not None


def test_an_odd_batch_teaches_nothing_until_it_stays() -> None:
    state = _learned(dict.fromkeys("abc", (8, 1.0)))
    now = dict.fromkeys("abc", (8, 3.0))
    for _ in range(together.ACCEPT - 1):
        together.learn(state, _batch(now), odd=True)
    assert round(log(3), 2) == round(together.shift(state, _batch(now))[0], 2)  # type: ignore[index]
    together.learn(state, _batch(now), odd=True)
    assert together.shift(state, _batch(now)) is None
    for _ in range(together.KNOWN_BATCHES - 1):
        together.learn(state, _batch(now), odd=False)
    assert 0 == round(together.shift(state, _batch(now))[0], 2)  # type: ignore[index]


def test_keys_are_remembered_within_a_bound() -> None:
    state: dict[str, dict[str, dict[str, object]]] = {"known": {}}
    for start in range(0, 600, 50):
        together.learn(state, _batch({f"k{start + i}": (8, 1.0) for i in range(50)}), odd=False)

    assert together.MAX_MEMBERS == len(state["known"]["members"])
