"""What a key met before: new in its first window and the next, fresh once a window."""

from random import Random

import numpy as np

from streams.pairs import Pairs, Tally, pair


def names(*values: int) -> np.ndarray:
    return np.array(values, np.uint64)


def visit(pairs: Pairs, windows: list[int], *values: int) -> list[tuple[bool, bool]]:
    new, fresh = pairs.visit(names(*values), np.array(windows, np.int64))
    return list(zip(new.tolist(), fresh.tolist(), strict=True))


def test_a_value_is_new_in_its_first_window_and_the_next_and_fresh_once_in_each() -> None:
    pairs = Pairs(1000)

    assert [(True, True), (True, False)] == visit(pairs, [5, 5], 7, 7)
    assert [(True, True)] == visit(pairs, [6], 7)
    assert [(True, False)] == visit(pairs, [5], 7)
    assert [(False, True), (False, False)] == visit(pairs, [7, 7], 7, 7)


def test_an_event_that_comes_late_may_be_the_first() -> None:
    pairs = Pairs(1000)
    visit(pairs, [5], 7)

    assert [(True, True)] == visit(pairs, [4], 7)
    assert [(False, True)] == visit(pairs, [6], 7)


def test_blocks_answer_as_single_events_do() -> None:
    rng = Random(0)
    whole, single = Pairs(10**6), Pairs(10**6)
    for _ in range(200):
        base = rng.randrange(50)
        values = [rng.randrange(1, 3000) for _ in range(40)]
        windows = [base + rng.randint(0, 1) for _ in values]
        one_by_one = [visit(single, [w], v)[0] for w, v in zip(windows, values, strict=True)]
        fresh = [f for _, f in one_by_one]
        assert fresh == [f for _, f in visit(whole, windows, *values)]
    assert len(whole) == len(single) > 1000


def test_beyond_the_limit_the_quarter_not_met_for_longest_is_forgotten_and_counted() -> None:
    pairs = Pairs(1100)
    visit(pairs, [1] * 1000, *range(1, 1001))
    visit(pairs, [50] * 500, *range(1, 501))
    visit(pairs, [100] * 350, *range(2001, 2351))

    assert 1100 // 4 == pairs.forgotten
    assert 1000 + 350 - 1100 // 4 == len(pairs)
    assert {(False, True)} == set(visit(pairs, [100] * 500, *range(1, 501)))
    assert (True, True) in visit(pairs, [101] * 275, *range(501, 776))


def test_what_was_met_survives_being_written_down() -> None:
    rng, pairs = Random(1), Pairs(10**5)
    for window in range(20):
        visit(pairs, [window] * 100, *(rng.randrange(1, 2000) for _ in range(100)))
    again = Pairs(10**5)
    again.load(pairs.state())

    values = [rng.randrange(1, 2500) for _ in range(300)]
    assert visit(pairs, [20] * 300, *values) == visit(again, [20] * 300, *values)
    assert len(pairs) == len(again)


def test_pairs_of_different_keys_values_and_kinds_differ() -> None:
    hashes = np.random.default_rng(0).integers(1, 2**64, 200, np.uint64)
    keys, values = np.meshgrid(hashes[:100], hashes[100:])
    grid = [pair(keys.ravel(), values.ravel(), kind) for kind in (1, 2, 3)]

    assert 30_000 == len(np.unique(np.concatenate(grid)))


def test_a_value_that_comes_again_is_counted_in_order_of_arrival() -> None:
    tally = Tally(10**5)
    ends = np.full(5, 1000)

    assert [0, 0, 1, 2, 1] == tally.visit(names(7, 8, 7, 7, 8), ends, 0).tolist()
    assert [3, 2, 0, 1, 4] == tally.visit(names(7, 8, 9, 9, 7), ends, 0).tolist()


def test_counts_of_open_windows_outlive_a_flood_of_closed_ones() -> None:
    tally = Tally(10**6)
    tally.visit(names(7, 7), np.full(2, 10**9), 0)
    for clock in range(1, 40):
        flood = np.arange(clock * 10**6 + 10, clock * 10**6 + 1010).astype(np.uint64)
        tally.visit(flood, np.full(1000, clock), clock)

    assert [2] == tally.visit(names(7), np.array([10**9]), 40).tolist()
    assert 0 == tally.forgotten


def test_counts_survive_being_written_down() -> None:
    tally, again = Tally(10**5), Tally(10**5)
    tally.visit(names(7, 8, 7), np.full(3, 9), 0)
    again.load(tally.state())

    assert [2, 1] == again.visit(names(7, 8), np.full(2, 9), 0).tolist()
