"""Since when a key is at its level: a change is dated; a steady key has none, however bursty."""

from datetime import timedelta
from random import Random

import pytest

from schemas.finding import as_json
from streams.explain_chart import chart, lines, picture
from streams.explain_levels import LEAST_WINDOWS, Levels, levels
from streams.explain_story import story
from tests.detecting import HOUR, START, call, past, raised
from tests.test_explain import rollup

DAYS = 14


def found(values: list[float], skip: int = 0) -> Levels:
    """The levels of hourly windows; of days only the hours from `skip` on hold one."""
    hours = [hour for hour in range(24 * 60) if hour % 24 >= skip][: len(values)]
    told = levels([START + timedelta(hours=hour) for hour in hours], values)
    assert told is not None
    return told


def bursty(seed: int, count: int, middle: float = 1000.0) -> list[float]:
    """Windows whose totals differ tenfold and more from one to the next."""
    rng = Random(seed)
    return [middle * rng.lognormvariate(0, 1.2) for _ in range(count)]


@pytest.mark.parametrize("seed", range(8))
def test_a_steady_bursty_key_has_one_level(seed: int) -> None:
    assert () == found(bursty(seed, 24 * DAYS)).changes


def test_days_and_nights_are_no_change() -> None:
    values = [50_000.0 if 8 <= hour % 24 < 18 else 300.0 for hour in range(24 * DAYS)]

    assert () == found(values).changes


def test_a_burst_of_three_hours_is_no_level() -> None:
    values = bursty(3, 24 * DAYS)
    values[200:203] = [9e6] * 3

    assert () == found(values).changes


@pytest.mark.parametrize("seed", range(4))
def test_a_key_that_does_ten_times_as_much_from_some_hour_on_is_dated(seed: int) -> None:
    [change] = found(bursty(seed, 200) + bursty(9 + seed, 80, 10_000)).changes

    assert 200 == pytest.approx((change.at - START) / timedelta(hours=1), abs=6)
    assert 10 == pytest.approx(change.times, rel=0.6)


def test_a_level_that_went_up_and_down_again_changed_twice() -> None:
    told = found(bursty(0, 150) + bursty(1, 60, 50_000) + bursty(2, 150))

    assert [True, False] == [change.times > 1 for change in told.changes]
    assert "0.0 times what it was" in told.told("tokens")
    assert "it had changed before: 2026-10-07" in told.told("tokens")


def test_hours_that_are_missing_do_not_count() -> None:
    assert () == found(bursty(5, 200), skip=8).changes


def test_of_too_few_windows_nothing_is_said() -> None:
    few = [1.0] * (LEAST_WINDOWS - 1)

    assert levels([START] * len(few), few) is None


def test_windows_without_use_are_a_level_too() -> None:
    assert () == found([0.0] * 100).changes
    [change] = found([0.0] * 100 + [40.0] * 50).changes
    assert (0.0, 40.0, float("inf")) == (change.before, change.since, change.times)
    assert "more than it was: 40 tokens a window, before 0" in found(
        [0.0] * 100 + [40.0] * 50
    ).told("tokens")


def test_explain_says_and_draws_since_when_the_level_changed() -> None:
    habit = past(30, calls=12, input_tokens=900, output_tokens=100)
    burst = [call(30 * HOUR + i, input_tokens=400_000, output_tokens=1000) for i in range(5)]
    finding = as_json(raised([*habit, *burst], "stolen-key-spend")[0])
    finding |= dict.fromkeys(("since", "time"), "2026-10-03T01:00:00Z")
    drawn = chart(finding, [rollup(hour, 90 if hour < 35 else 9000) for hour in range(48)])

    assert drawn is not None and drawn.level is not None
    assert (
        "since 2026-10-02 11:00 100.0 times what it was"
        in dict(story(finding, None, drawn.level))["level"]
    )
    [marked] = [line for line in lines(drawn)[1:] if line[11] == ">"]
    assert marked.startswith("10-02 11:00>")
    assert picture(drawn).startswith(b"\x89PNG")
    assert "level" not in dict(story(finding))
