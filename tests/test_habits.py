"""What is usual: river's own numbers, used two windows later, with the highest windows as tail."""

from math import log1p
from random import Random

import numpy as np
import pytest
from river import stats

import detectors.habits as habits
from detectors import CATALOG
from detectors.features import CREDENTIAL_1H, CREDENTIAL_5M, MODEST_TOKENS, ORIGIN_10M, WindowSpec
from detectors.habit_loops import FADING
from detectors.habits import PEAKS, PROMOTE_AFTER, Habits, limits
from streams.snapshot import pack, unpack

DAY_MS = 86_400_000
TOKENS = CREDENTIAL_5M.index["tokens"]
ONE = np.array([0])


def learn(
    habit: Habits, window: int, tokens: int, *, usual: bool = True, spec: WindowSpec = CREDENTIAL_5M
) -> None:
    """One closed window of key 0."""
    totals = np.zeros((1, len(spec.features)), np.int64)
    totals[0, spec.index["tokens"]] = tokens
    habit.learn(ONE, np.array([window]), totals, np.array([usual]))


def limit_at(habit: Habits, window: int, share: float = 1.0) -> float:
    """The token limit by which a window that opens now is judged."""
    tails, _, _, _ = habit.pinned(ONE, np.array([window]))
    return float(limits(tails[:, :1], np.array([share]))[0, 0])


def peaks_of(habit: Habits, feature: int = 0) -> list[float]:
    """The highest windows of the first promoted key, ascending."""
    return list(habit.peak[0, feature, : habit.peaks[0, feature]].tolist())


@pytest.mark.parametrize("seed", range(20))
def test_mean_and_variance_are_rivers_bit_for_bit(seed: int) -> None:
    rng, habit = Random(seed), Habits(CREDENTIAL_5M)
    mean, var = stats.EWMean(FADING), stats.EWVar(FADING)

    for window in range(rng.randint(1, 200)):
        tokens = int(rng.lognormvariate(rng.choice([0, 5, 12]), 2)) * rng.randint(0, 1)
        usual = rng.random() < 0.8
        learn(habit, window, tokens, usual=usual)
        if usual:
            value = log1p(tokens)
            mean.update(value)
            var.update(value)
        assert mean.get() == habit.mean[0, 0]
        assert var.get() == habit.square[0, 0] - habit.mean[0, 0] * habit.mean[0, 0]


def test_many_keys_are_learned_as_each_would_be_alone() -> None:
    rng = np.random.default_rng(0)
    together = Habits(CREDENTIAL_5M)
    totals = rng.integers(0, 10**6, (30, 64, len(CREDENTIAL_5M.features)))
    usual = rng.random((30, 64)) < 0.9
    keys = np.arange(64)
    for window in range(30):
        together.learn(keys, np.full(64, window), totals[window], usual[window])

    for key in (0, 17, 63):
        alone = Habits(CREDENTIAL_5M)
        for window in range(30):
            flag = usual[window, [key]]
            alone.learn(ONE, np.array([window]), totals[window, [key]], flag)
        assert alone.tail[0].tobytes() == together.tail[key].tobytes()


def test_a_window_is_judged_by_a_habit_from_two_windows_before() -> None:
    habit = Habits(CREDENTIAL_5M)
    for window, tokens in enumerate([10, 10_000, 10_000_000]):
        learn(habit, window, tokens)

    assert 2 == habit.pinned(ONE, np.array([3]))[1][0]
    assert 3 == habit.pinned(ONE, np.array([4]))[1][0]
    assert limit_at(habit, 3) < limit_at(habit, 4)


def test_a_first_window_that_is_not_learned_leaves_no_trace() -> None:
    habit, other = Habits(CREDENTIAL_5M), Habits(CREDENTIAL_5M)
    learn(habit, 0, 10**9, usual=False)
    learn(habit, 1, 5000)
    learn(other, 1, 5000)

    assert other.mean[0, 0] == habit.mean[0, 0]
    assert other.square[0, 0] == habit.square[0, 0]
    assert (2, 1) == (habit.n[0], other.n[0])


def test_what_is_not_learned_moves_no_limit() -> None:
    habit = Habits(CREDENTIAL_5M)
    for window in range(PROMOTE_AFTER + 40):
        learn(habit, window, 1000 + window * 7919 % 100)
    before = limit_at(habit, 1000)
    mean, peaks = habit.mean[0, 0], [peaks_of(habit, feature) for feature in (0, 1)]

    learn(habit, 60, 10**9, usual=False)

    assert mean == habit.mean[0, 0]
    assert peaks == [peaks_of(habit, feature) for feature in (0, 1)]
    assert before >= limit_at(habit, 1000)


def test_high_windows_within_an_hour_are_one_peak() -> None:
    habit = Habits(CREDENTIAL_5M)
    for window in range(PROMOTE_AFTER):
        learn(habit, window * 100, 10)
    for tokens, window in ((1000, 10_000), (3000, 10_012), (2000, 10_020), (5000, 10_033)):
        learn(habit, window, tokens)

    high = [round(float(np.expm1(value))) for value in peaks_of(habit)]
    assert [10, 3000, 5000] == high


def test_only_the_highest_windows_are_kept() -> None:
    habit = Habits(CREDENTIAL_5M)
    for window in range(PROMOTE_AFTER + 60):
        learn(habit, window * 100, 1000 + window)

    assert PEAKS == len(peaks_of(habit))
    newest = [round(float(np.expm1(value))) for value in peaks_of(habit)]
    assert list(range(1000 + PROMOTE_AFTER + 60 - PEAKS, 1000 + PROMOTE_AFTER + 60)) == newest


def test_a_smaller_share_of_the_budget_gives_a_higher_limit() -> None:
    habit, rng = Habits(CREDENTIAL_5M), Random(1)
    for window in range(400):
        learn(habit, window * 20, int(rng.lognormvariate(7, 1)))

    rising = [limit_at(habit, 10_000, share) for share in (10.0, 1.0, 0.1, 0.01)]
    assert sorted(rising) == rising
    assert rising[0] < rising[-1]


def test_keys_beyond_the_bound_keep_the_small_habit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(habits, "MAX_PROMOTED", 3)
    habit = Habits(CREDENTIAL_1H)
    totals = np.full((5, len(CREDENTIAL_1H.features)), 7)
    for window in range(PROMOTE_AFTER + 1):
        habit.learn(np.arange(5), np.full(5, window), totals, np.ones(5, np.bool_))

    assert 3 == int((habit.row[:5] >= 0).sum())
    assert (habit.mean[:5] > 0).all()


def test_a_forgotten_key_leaves_room_for_another() -> None:
    habit = Habits(CREDENTIAL_5M)
    for window in range(PROMOTE_AFTER):
        learn(habit, window, 10)
    habit.forget(ONE)

    assert (0, -1) == (habit.n[0], habit.row[0])
    for window in range(PROMOTE_AFTER):
        learn(habit, window, 20)
    assert (1, 0) == (habit.rows, habit.row[0])
    assert [pytest.approx(np.log1p(20))] == peaks_of(habit)


def test_a_habit_survives_being_written_down() -> None:
    habit, rng = Habits(CREDENTIAL_5M), Random(3)
    for window in range(300):
        learn(habit, window, int(rng.lognormvariate(7, 2)))
    again = Habits(CREDENTIAL_5M)
    again.load(unpack(pack(habit.state(ONE))), ONE)
    for window in range(300, 400):
        tokens = int(rng.lognormvariate(7, 2))
        learn(habit, window, tokens)
        learn(again, window, tokens)

    assert habit.tail[0].tobytes() == again.tail[0].tobytes()
    assert [peaks_of(habit, f) for f in (0, 1)] == [peaks_of(again, f) for f in (0, 1)]


def test_windows_without_learned_features_only_count() -> None:
    habit = Habits(ORIGIN_10M)
    totals = np.zeros((1, len(ORIGIN_10M.features)), np.int64)
    habit.learn(ONE, np.array([5]), totals, np.ones(1, np.bool_))

    assert 1 == habit.n[0]


@pytest.mark.parametrize("spec", [CREDENTIAL_5M, CREDENTIAL_1H], ids=lambda spec: spec.name)
@pytest.mark.parametrize("share", [0.01, 0.2])
def test_a_patient_thief_teaches_a_habit_no_more_than_fourfold_a_day(
    spec: WindowSpec, share: float
) -> None:
    habit, rng, a_day = Habits(spec), Random(1), DAY_MS // spec.width_ms
    for window in range(10 * a_day):
        if rng.random() < 0.6:
            learn(habit, window, int(rng.lognormvariate(9, 1.2)), spec=spec)
    begin = 10 * a_day
    usual = limit_at(habit, begin + 1, share)

    for window in range(begin, begin + 3 * a_day):  # whatever is not found, is used
        learn(habit, window, int(0.95 * limit_at(habit, window, share)), spec=spec)
        days = (window + 2 - begin) / a_day
        assert limit_at(habit, window + 2, share) <= 1.02 * usual * 4 ** (days + 1 / a_day)

    assert limit_at(habit, begin + 3 * a_day, share) > 4 * usual  # a new level is learned in time


def test_what_wakes_nobody_is_learned_at_once() -> None:
    habit, rng, a_day = Habits(CREDENTIAL_5M), Random(1), DAY_MS // CREDENTIAL_5M.width_ms
    for window in range(10 * a_day):
        if rng.random() < 0.6:
            learn(habit, window, int(rng.lognormvariate(1, 1.2)))
    usual = limit_at(habit, 10 * a_day + 1, 0.01)
    for window in range(10 * a_day, 11 * a_day, 24):
        learn(habit, window, MODEST_TOKENS)
        assert limit_at(habit, window + 2, 0.01) <= 1.02 * MODEST_TOKENS * 4 ** (1 + 1 / a_day)

    assert 100 * usual < limit_at(habit, 11 * a_day, 0.01)


def test_no_learned_limit_is_below_what_is_modest() -> None:
    floors = {
        (spec.name, feature): modest
        for spec in (CREDENTIAL_5M, CREDENTIAL_1H)
        for feature, modest in zip(spec.learned, spec.modest, strict=True)
    }
    learned = [
        (channel.above, floors.get((channel.window, channel.like or channel.feature), 0))
        for detector in CATALOG
        for channel in detector.channels
        if channel.share is not None
    ]

    assert all(least >= modest for least, modest in learned)
    assert sum(modest > 0 for _, modest in learned) >= 5


def test_a_key_that_was_hardly_used_finds_its_level_at_once() -> None:
    habit = Habits(CREDENTIAL_1H)
    for day in range(20):
        learn(habit, 24 * day, 1000 * 4**day, spec=CREDENTIAL_1H)

    assert limit_at(habit, 24 * 20) > 1000 * 4**19


def test_a_young_key_finds_its_level_at_once() -> None:
    habit = Habits(CREDENTIAL_1H)
    for window in range(20):
        learn(habit, window, 1000 * 4**window, spec=CREDENTIAL_1H)

    assert limit_at(habit, 21) > 1000 * 4**19
