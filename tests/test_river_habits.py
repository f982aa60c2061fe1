"""The benchmark of river's learners: judged before learned, and by each key's own past."""

from random import Random

import pytest

from benchmarks.river_habits import TRIED, judged
from benchmarks.river_learners import Deviation, Drift, Seen, Trees, Volume

pytest.importorskip("pandas")
HOURS = 300
BURST = 280


def windows(tokens: float = 10.0, *, burst: float = 0.0, seed: int = 1) -> list[Seen]:
    """A key of some hours, bursty; from `BURST` on with so much more (log units)."""
    rng = Random(seed)
    return [
        Seen(3, 3, hour, tokens + rng.gauss(0, 1) + burst * (hour == BURST), 8.0, 2.0, 0.7)
        for hour in range(HOURS)
    ]


def told(learner: object, seen: list[Seen], accept: str = "day") -> list[float]:
    alerts, cost = judged(seen, learner, 0.05, accept)  # type: ignore[arg-type]
    assert {"us", "windows", "bytes"} == set(cost)
    return [at / 3600 - 1 for _, at in alerts]


@pytest.mark.parametrize("make", [Volume, Deviation])
def test_an_hour_of_a_thousand_times_is_told_and_a_bursty_key_is_quiet(make: type) -> None:
    tall = windows(13.0, burst=8.0)

    assert [BURST] == told(make(), tall)
    assert [] == told(make(), windows(13.0))


def test_hours_that_are_used_more_often_are_a_drift_and_steady_ones_none() -> None:
    steady = [one for one in windows() if one.number % 3 == 0]
    more = [one for one in windows() if one.number % 3 == 0 or one.number > 200]

    assert [] == told(Drift(False, True, 1e-6), steady)
    assert 1 == len(told(Drift(False, True, 1e-6), more))


def test_a_small_window_wakes_nobody_however_rare() -> None:
    assert [] == told(Volume(), windows(1.0, burst=8.0))


def test_a_learner_judges_before_it_learns() -> None:
    trees, first = Trees(), windows()[0]

    assert 0.0 == trees.judge(first)
    trees.learn(first)
    assert [3] == list(trees.objects)


def test_learners_are_named_once() -> None:
    names = [name for name, _, _ in TRIED]

    assert sorted(set(names)) == sorted(names)
