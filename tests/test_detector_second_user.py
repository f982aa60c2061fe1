"""second-user: a key's day beside the fullest day it ever had."""

import math

import numpy as np
import pytest

from detectors import records
from detectors.base import Window
from detectors.features import CREDENTIAL_1D
from detectors.habits import Habits
from detectors.records import LEAST_BEYOND, MOST_EASED, Recorded, eased, most
from detectors.second_user import HOURS, LEAST_HOURS, PLACES, SecondUser
from detectors.testing import window
from streams import cell_loops
from streams.limits import FACTS, LEAST_PART, Limits, allowed
from tests.detecting import HOUR, KEY, call, raised

NAME = "second-user"
LAW = Recorded("address_hours", slack=12.0, scale=0.14)
MONTH = 30
ONE = np.array([0])
AFAR = "198.18.0.9"
DAYS = 12


def work(days: int, begin: int = 0, hours: int = 8, **fields: object) -> list[bytes]:
    """One call in each of the first hours of some days."""
    return [
        call((24 * day + hour) * HOUR + 60, **fields)
        for day in range(begin, begin + days)
        for hour in range(hours)
    ]


def told(lines: list[bytes], budget: float = 1.0) -> list[str]:
    found = raised(sorted(lines, key=_time), NAME, alert_budget=budget)
    return [str(finding.evidence["tripped"]) for finding in found]


def _time(line: bytes) -> bytes:
    return line[line.index(b'"timestamp"') :][:40]


def test_the_hours_of_a_stranger_beside_the_owners_are_found() -> None:
    thief = work(1, DAYS, 20, address=AFAR)

    assert ["address_hours"] == told(work(DAYS + 1) + thief)


def test_hours_in_which_the_owner_rests_are_found() -> None:
    assert ["active_hours"] == told(work(DAYS) + work(1, DAYS, 22, address=None))


def test_an_owner_who_moves_to_another_address_is_quiet() -> None:
    assert [] == told(work(DAYS) + work(5, DAYS, address=AFAR))


def test_a_thousand_calls_in_the_owners_hours_are_quiet() -> None:
    burst = [call(24 * DAYS * HOUR + 7 * i) for i in range(1000)]

    assert [] == told(work(DAYS + 1) + burst)


def test_a_new_level_is_told_twice_at_most_and_then_usual() -> None:
    office = work(9, DAYS, 22, address=AFAR)

    assert 2 >= len(told(work(DAYS + 9) + office)) >= 1


def test_a_key_that_is_three_days_old_is_left_alone() -> None:
    assert [] == told(work(2) + work(1, 2, 24, address=AFAR), budget=100)


@pytest.mark.parametrize("budget", [0.5, 1.0, 3.0])
@pytest.mark.parametrize(("feature", "share"), [("active_hours", HOURS), ("address_hours", PLACES)])
def test_the_more_days_are_known_the_less_a_record_may_be_passed(
    feature: str, share: float, budget: float
) -> None:
    spends = share * max(budget - FACTS, budget * LEAST_PART)
    limits = [LAW.limit(10, known, spends, 1 / MONTH) for known in (2, 5, 20, 60)]

    assert sorted(limits, reverse=True) == limits
    assert limits[0] > limits[-1] >= (1 + LEAST_BEYOND) * 22 - 12


def test_the_law_says_how_often_a_total_is_reached() -> None:
    record = most(LAW, 10, 9, 0.3, 1 / MONTH)

    assert record.limit == LAW.limit(10, 9, 0.3, 1 / MONTH)
    assert math.isclose(0.3, record.per_month(record.limit))
    assert MONTH == record.per_month(10)
    assert record.per_month(record.limit + 1) < 0.3


def test_of_days_like_each_other_each_is_the_fullest_equally_often() -> None:
    rates = [most(LAW, 100, known, 0.3, 1 / MONTH).per_month(100 + 1e-9) for known in (1, 4, 9)]

    assert [15, 6, 3] == [round(rate, 5) for rate in rates]


def test_the_fewer_days_are_known_the_farther_honest_keys_may_go() -> None:
    same_chance = [LAW.limit(10, known, 3 / (known + 1), 1 / MONTH) for known in (2, 4, 8, 16)]

    assert sorted(same_chance, reverse=True) == same_chance
    assert same_chance[0] > 1.2 * same_chance[-1]


@pytest.mark.parametrize("share", [0.1, 0.5, 1.5])
def test_honest_keys_pass_their_limit_no_more_often_than_allowed(share: float) -> None:
    rng, passed, days = np.random.default_rng(1), 0, 0
    for key in rng.exponential(LAW.scale, (1000, 20)):
        totals = 40 * np.exp(key) - LAW.slack
        for day in range(8, 20):
            known = totals[: day - 1]
            passed += totals[day] > LAW.limit(known.max(), len(known), share, 1 / MONTH)
            days += 1

    assert 0.4 * share < MONTH * passed / days < 1.1 * share


def test_a_key_that_is_never_told_of_is_watched_more_closely_up_to_a_bound() -> None:
    factors = [eased(1.0, months, 0, 0.0) for months in (0.0, 0.1, 0.2, 5.0)]

    assert 1.0 == factors[0] < factors[1] < factors[2] < factors[3] == MOST_EASED


def test_the_loop_knows_the_same_numbers() -> None:
    names = ("LEAST_BEYOND", "PRIOR", "MOST_EASED", "LEAST_AWAKE")

    assert [getattr(records, n) for n in names] == [getattr(cell_loops, n) for n in names]


def test_an_attack_buys_no_blind_spot() -> None:
    assert 1.0 == eased(0.2, 0.5, 3, 0.0)


def test_time_in_which_a_key_is_quiet_is_made_up_for() -> None:
    factor = eased(2.7, 0.0, 0, 0.1)

    assert math.isclose(2.7, 2.7 * factor / (1 + 2.7 * factor * 0.1))


def test_records_get_what_facts_leave_and_the_rest_their_share() -> None:
    by_budget = {budget: allowed(budget) for budget in (0.3, 1.0, 3.0)}
    days = [sum(v for k, v in by_budget[b].items() if NAME in k) for b in (0.3, 1.0, 3.0)]
    roaming = [found["new-origin credential/1h new_addresses"] for found in by_budget.values()]

    assert [0.0255, 0.595, 2.295] == [round(rate, 9) for rate in days]
    assert [0.09, 0.3, 0.9] == [round(rate, 9) for rate in roaming]


def test_the_limit_of_a_key_that_was_told_of_is_the_higher() -> None:
    habit, totals = Habits(CREDENTIAL_1D), np.zeros((2, len(CREDENTIAL_1D.features)), np.int64)
    totals[:, CREDENTIAL_1D.index["address_hours"]] = 30
    two = np.arange(2)
    for day in range(DAYS):
        habit.learn(two, np.full(2, day), totals, np.array([True, day != 5]))
    limit = np.zeros((2, 3), np.int64)
    watched = [(SecondUser(), channel) for channel in SecondUser.channels]
    Limits(CREDENTIAL_1D, watched, 1.0).pin(habit, two, np.full(2, DAYS + 1), two, limit)
    place = [channel.feature for channel in SecondUser.channels].index("address_hours")

    assert 30 < limit[0, place] < limit[1, place]


def test_a_record_holds_two_days_later_and_an_attack_sets_none() -> None:
    habit = Habits(CREDENTIAL_1D)
    place = list(CREDENTIAL_1D.index).index("active_hours")
    for day, (hours, usual) in enumerate([(8, True), (11, True), (24, False), (9, True)]):
        totals = np.zeros((1, len(CREDENTIAL_1D.features)), np.int64)
        totals[0, place] = hours
        habit.learn(ONE, np.array([day]), totals, np.array([usual]))

    assert 11 == habit.pinned(ONE, np.array([4]))[3][0, 0]
    assert (3, 4) == tuple(int(habit.pinned(ONE, np.array([d]))[1][0]) for d in (4, 5))


def test_how_many_days_were_not_learned_is_known_two_days_later() -> None:
    habit, totals = Habits(CREDENTIAL_1D), np.zeros((1, len(CREDENTIAL_1D.features)), np.int64)
    for day, usual in enumerate([True, False, True, False]):
        habit.learn(ONE, np.array([day]), totals, np.array([usual]))

    assert [1, 2] == [int(habit.pinned(ONE, np.array([d]))[2][0, -1]) for d in (4, 5)]


def test_below_four_hours_nobody_is_a_second_user() -> None:
    channels = {channel.feature: channel.above for channel in SecondUser.channels}

    assert (LEAST_HOURS, LEAST_HOURS) == (channels["active_hours"], channels["address_hours"])


def test_a_verdict_names_the_record_it_is_held_against() -> None:
    plain = window(tripped="address_hours", active_hours=9, address_hours=33)
    usual = {"address_hours": most(LAW, 10, 9, 0.3, 1 / MONTH)}
    values = {name: getattr(plain, name) for name in Window.__slots__}
    verdict = SecondUser().judge(Window(**{**values, "usual": usual}))

    assert verdict is not None
    assert (
        "addresses were at work for 33 hours of a day together; 10 was the most of 9 days"
        == verdict.summary
    )
    assert 10 == verdict.evidence["usual_total"]


def test_findings_are_about_the_key() -> None:
    found = raised(
        sorted(work(DAYS + 1) + work(1, DAYS, 20, address=AFAR), key=_time), NAME, alert_budget=1.0
    )

    assert [KEY] == [finding.entity.id for finding in found]
