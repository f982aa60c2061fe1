"""second-user: a key's day beside the fullest day it ever had."""

import math

import numpy as np
import pytest

from detectors.base import Window
from detectors.features import CREDENTIAL_1D
from detectors.habits import Habits
from detectors.records import LEAST_BEYOND, Recorded, most
from detectors.second_user import HOURS, LEAST_HOURS, PLACES, SecondUser
from detectors.testing import window
from streams.limits import FACTS
from tests.detecting import HOUR, KEY, call, raised

NAME = "second-user"
LAW = Recorded("address_hours", slack=12.0, heavy=0.023)
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
    spends = share * max(budget - FACTS, budget / 4)
    limits = [LAW.limit(10, known, spends, 1 / MONTH) for known in (2, 5, 20, 60)]

    assert sorted(limits, reverse=True) == limits
    assert limits[0] > limits[-1] >= (1 + LEAST_BEYOND) * 22 - 12


def test_the_law_says_how_often_a_total_is_reached() -> None:
    record = most(LAW, 10, 9, 0.3, 1 / MONTH)

    assert record.limit == LAW.limit(10, 9, 0.3, 1 / MONTH)
    assert math.isclose(0.3, record.per_month(record.limit))
    assert MONTH == record.per_month(10)
    assert record.per_month(record.limit + 1) < 0.3


def test_a_record_holds_two_days_later_and_an_attack_sets_none() -> None:
    habit = Habits(CREDENTIAL_1D)
    place = list(CREDENTIAL_1D.index).index("active_hours")
    for day, (hours, usual) in enumerate([(8, True), (11, True), (24, False), (9, True)]):
        totals = np.zeros((1, len(CREDENTIAL_1D.features)), np.int64)
        totals[0, place] = hours
        habit.learn(ONE, np.array([day]), totals, np.array([usual]))

    assert 11 == habit.pinned(ONE, np.array([4]))[3][0, 0]
    assert (3, 4) == tuple(int(habit.pinned(ONE, np.array([d]))[1][0]) for d in (4, 5))


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
