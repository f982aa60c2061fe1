"""new-origin: a key used from where, and by what, it never was before."""

from detectors.new_origin import (
    LEARNED_HOURS,
    NEW_ADDRESSES,
    ODD_CALLS,
    RARE_ADDRESSES,
    RESTED_HOURS,
)
from schemas.finding import Severity
from schemas.samples import roaming, stolen_key_burst
from tests.detecting import HOUR, among, call, home, noon, past, raised

NAME = "new-origin"
THEN = (LEARNED_HOURS + 4) * HOUR
KNOWN = past(LEARNED_HOURS + 4)
AWAY = {"address": "198.18.0.9"}


def then(calls: int, **fields: object) -> list[bytes]:
    return [call(THEN + i, **fields) for i in range(calls)]


def test_a_sold_key_is_found() -> None:
    client = home()
    found = raised(among(client, stolen_key_burst(0, noon(), client, calls=500, hours=1)), NAME)

    assert {client.key} == {finding.entity.id for finding in found}


def test_a_new_address_with_a_new_client_is_found_after_a_few_calls() -> None:
    thief = {**AWAY, "user_agent": "axios/1.7.4"}

    assert [] == raised([*KNOWN, *then(ODD_CALLS, **thief)], NAME)
    [found] = raised([*KNOWN, *then(ODD_CALLS + 1, **thief)], NAME)
    assert Severity.HIGH == found.severity


def test_a_new_address_with_a_new_model_is_found_too() -> None:
    assert 1 == len(raised([*KNOWN, *then(ODD_CALLS + 1, **AWAY, model="claude-opus-4-1")], NAME))


def test_either_alone_is_quiet() -> None:
    assert [] == raised([*KNOWN, *then(50, **AWAY)], NAME)  # a laptop somewhere else
    assert [] == raised([*KNOWN, *then(50, user_agent="app/2.0")], NAME)  # an upgrade
    assert [] == raised([*KNOWN, *then(50, model="gpt-5.2")], NAME)  # a migration


def test_many_new_addresses_at_once_are_found() -> None:
    def places(count: int) -> list[bytes]:
        return [call(THEN + i, address=f"198.18.{i}.9") for i in range(count)]

    assert [] == raised([*KNOWN, *places(NEW_ADDRESSES)], NAME)
    [found] = raised([*KNOWN, *places(NEW_ADDRESSES + 6)], NAME)
    assert Severity.MEDIUM == found.severity


def test_a_roaming_laptop_is_quiet() -> None:
    assert [] == raised(among(roaming(home())), NAME)


def test_a_key_that_roams_learns_a_higher_limit() -> None:
    moving = [
        call(hour * HOUR + i, address=f"10.{hour}.{i}.1") for hour in range(30) for i in range(3)
    ]
    found = raised(moving, NAME)

    assert len(found) <= 1
    assert [] == [f for f in found if f.time.hour > LEARNED_HOURS + 6]


def test_a_key_without_a_past_is_quiet() -> None:
    thief = {**AWAY, "user_agent": "axios/1.7.4"}

    assert [] == raised([*past(2), *then(50, **thief)], NAME)


RESTED = (RESTED_HOURS + 3) * HOUR


def woken(places: int, begin: float = RESTED, **fields: object) -> list[bytes]:
    """Some calls from each of several addresses, by a client that is new to the key."""
    thief = {"user_agent": "axios/1.7.4", **fields}
    return [
        call(begin + place * 60 + i, address=f"198.18.{place}.9", **thief)
        for place in range(places)
        for i in range(4)
    ]


def test_a_rarely_used_key_that_wakes_up_in_many_places_is_found() -> None:
    assert 1 == len(raised([*past(2), *woken(RARE_ADDRESSES + 1)], NAME))


def test_a_rarely_used_key_that_moved_while_it_rested_is_quiet() -> None:
    assert [] == raised([*past(2), *woken(RARE_ADDRESSES)], NAME)


def test_a_key_that_began_today_may_come_from_everywhere() -> None:
    assert [] == raised([*past(2), *woken(9, begin=4 * HOUR)], NAME)
