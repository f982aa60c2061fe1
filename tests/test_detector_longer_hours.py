"""longer-hours: the share of hours in which a key is used, and when it rose."""

from random import Random

import pytest

from detectors.longer_hours import (
    AT_BUDGET,
    DELTA,
    MAX_WINDOWS,
    MOST_DELTA,
    MOST_HOURS,
    LongerHours,
    _split,
)
from detectors.settled import HOUR_MS
from schemas.finding import Finding
from schemas.testing import record
from streams.pipeline import CoreSettings, Pipeline
from tests.detecting import HOUR, KEY, alone, call

NAME = "longer-hours"
OFFICE = range(9, 18)
DAYS = 12


def office(days: int, begin: int = 0, hours: range = OFFICE, **fields: object) -> list[bytes]:
    """A call in the middle of each of these hours of some days."""
    return [
        call((24 * day + hour) * HOUR + 1800, **fields)
        for day in range(begin, begin + days)
        for hour in hours
    ]


def told(lines: list[bytes], budget: float = 0.5) -> list[Finding]:
    return alone(sorted(lines, key=_time), NAME, alert_budget=budget)


def _time(line: bytes) -> bytes:
    return line[line.index(b'"timestamp"') :][:40]


def fed(detector: LongerHours, hours: list[int], key: str = "k") -> list[str]:
    """The summaries of what it says of a key that is used in these hours."""
    found: list[str] = []
    for hour in hours:
        event = record(key=key, id=f"e{hour}")
        found += [one.summary for one in detector.inspect(event, hour * HOUR_MS)]
    return found


def test_a_thief_who_works_while_the_owner_rests_is_found_and_dated() -> None:
    thief = office(4, DAYS, range(24), address="198.18.0.9")
    [found] = told(office(DAYS + 4) + thief)

    assert (KEY, "2026-10-13T00:00:00Z") == (found.entity.id, found.evidence["level_since"])
    assert 24.0 == found.evidence["hours_a_day"]
    assert 9 == pytest.approx(found.evidence["usual_hours_a_day"], abs=0.5)


def test_a_thief_from_the_owners_own_address_is_found_as_well() -> None:
    assert 1 == len(told(office(DAYS) + office(4, DAYS, range(24))))


def test_the_same_hours_day_after_day_are_quiet_however_many_calls_they_hold() -> None:
    burst = [call(24 * DAYS * HOUR + 10 * HOUR + 7 * i) for i in range(900)]

    assert [] == told(office(20) + burst)


def test_a_bursty_key_that_is_used_at_random_is_quiet() -> None:
    rng = Random(5)
    hours = [hour for hour in range(24 * 28) if rng.random() < 0.4]

    assert [] == fed(LongerHours(3.0), hours)


def test_an_owner_who_works_from_elsewhere_or_stays_two_evenings_is_quiet() -> None:
    moved = office(DAYS) + office(6, DAYS, address="198.18.0.9")

    assert [] == told(moved)
    assert [] == told(office(DAYS + 4) + office(2, DAYS, range(18, 22)))


def test_fewer_hours_are_not_told() -> None:
    assert [] == told(office(DAYS, hours=range(24)) + office(8, DAYS))


def test_a_new_level_is_told_once_and_is_then_usual() -> None:
    assert 1 == len(told(office(DAYS) + office(20, DAYS, range(24))))


def test_a_level_is_known_after_three_days(monkeypatch: pytest.MonkeyPatch) -> None:
    young = [0, *range(35, 71)]

    assert [] == fed(LongerHours(1000.0), young)
    monkeypatch.setattr("detectors.longer_hours.KNOWN_HOURS", 0)
    assert 1 == len(fed(LongerHours(1000.0), young))


def test_a_larger_budget_listens_closer() -> None:
    budgets = [LongerHours(budget)._delta for budget in (0.1, AT_BUDGET, 1.0, 3.0, 1000.0)]

    assert sorted(budgets) == budgets
    assert (DELTA, MOST_DELTA) == (budgets[1], budgets[-1])


@pytest.mark.parametrize("seed", range(4))
def test_it_hears_what_rivers_adwin_hears(seed: int) -> None:
    from river.drift import ADWIN

    rng = Random(seed)
    detector = LongerHours(3.0)
    adwin = ADWIN(delta=detector._delta, clock=1)
    known = {"next": 0, "past": "", "open": {}}
    heard = [False, False]
    for hour in range(600):
        used = rng.random() < (0.2 if hour % 300 < 150 else 0.9)
        adwin.update(float(used))
        changed = detector._show("k", known, "1" if used else "0") is not None
        if changed:
            known["past"] = ""
        assert adwin.drift_detected == changed
        heard[changed] = True

    assert [True, False] != heard  # it did speak


def test_what_is_kept_of_a_key_is_bounded_and_a_month_away_begins_anew() -> None:
    detector = LongerHours()
    fed(detector, list(range(0, 3 * MOST_HOURS, 2)))
    assert MOST_HOURS >= len(detector._memory.get("k")["past"])

    fed(detector, [9 * MOST_HOURS])
    assert "" == detector._memory.get("k")["past"]


def test_windows_kept_at_hand_are_bounded_and_only_a_cache(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hours = [h for h in range(24 * 16) if h % 24 in OFFICE or h > 24 * 12]
    monkeypatch.setattr("detectors.longer_hours.MAX_WINDOWS", 1)
    small, large = LongerHours(), LongerHours()
    heard = [f for hour in hours for key in "ab" for f in fed(small, [hour], key)]

    assert 2 == len(heard)
    assert fed(large, hours) == heard[:1]
    assert 1 == len(small._windows) < MAX_WINDOWS


def test_a_snapshot_holds_no_object_of_rivers_and_changes_nothing() -> None:
    lines = sorted(office(DAYS) + office(4, DAYS, range(24)), key=_time)
    whole, parted = told(lines), []
    settings = CoreSettings(alert_budget=0.5)
    pipeline = Pipeline(settings, only={NAME})
    for start in range(0, len(lines), 23):
        parted += pipeline.process(b"\n".join(lines[start : start + 23])).findings
        pipeline = Pipeline.restore(pipeline.snapshot(), settings, {NAME})

    assert [one.to_json() for one in whole] == [one.to_json() for one in parted]
    state = pipeline._inspectors.state()["memories"][NAME]
    assert {"next": int, "past": str, "open": dict} == {
        name: type(value) for name, value in state["young"][KEY].items()
    }


def test_a_change_is_dated_where_both_sides_differ_most() -> None:
    assert 48 == _split("100" * 16 + "1" * 20)
