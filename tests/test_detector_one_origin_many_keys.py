"""one-origin-many-keys: a thief's address has nothing in common with the homes of its keys."""

import pytest

from detectors.one_origin_many_keys import HOME_DAYS, STRANGERS
from tests.detecting import HOUR, alone, call

NAME = "one-origin-many-keys"
DAY = 24 * HOUR
THEN = HOME_DAYS * DAY + 9 * HOUR


def used(seconds: float, number: int, address: str, **fields: object) -> bytes:
    key, tenant = f"hmac:{number + 1:016x}", f"tenant-{number}"
    named = {"key": key, "tenant": tenant, "address": address, "status": "ok"}
    return call(seconds, **{**named, **fields})


def homes(count: int, day: int = 0, address: str = "10.{}.0.1") -> list[bytes]:
    return [used(day * DAY + i, i, address.format(i)) for i in range(count)]


def away(count: int, **fields: object) -> list[bytes]:
    return [used(THEN + 60 * i, i, "198.18.0.9", **fields) for i in range(count)]


def test_keys_of_one_tenant_more_than_honest_are_found_at_one_address() -> None:
    few, enough = STRANGERS - 1, STRANGERS

    assert [] == alone([*homes(few), *away(few)], NAME)
    [found] = alone([*homes(enough), *away(enough)], NAME)
    assert ("origin", "198.18.0.9") == (found.entity.lane, found.entity.id)
    assert STRANGERS == len(found.event_ids)


def test_a_home_is_known_since_the_day_before_yesterday() -> None:
    assert 1 == len(alone([*homes(5), *away(5)], NAME))
    assert [] == alone([*homes(5, day=1), *away(5)], NAME)
    assert [] == alone(away(5), NAME)


def test_keys_that_come_from_one_old_address_have_moved() -> None:
    assert [] == alone([*homes(5, address="10.0.0.1"), *away(5)], NAME)


def test_many_keys_of_one_tenant_are_that_tenants_affair() -> None:
    one = [
        call(i, tenant="acme", key=f"hmac:{i + 1:016x}", address=f"10.{i}.0.1") for i in range(9)
    ]
    one += [
        call(THEN + i, tenant="acme", key=f"hmac:{i + 1:016x}", address="198.18.0.9")
        for i in range(9)
    ]

    assert [] == alone(one, NAME)


def test_an_address_they_always_used_is_quiet() -> None:
    lines = [*homes(5), *homes(5, address="198.18.0.9"), *away(5)]

    assert [] == alone(lines, NAME)


def test_those_who_are_at_home_there_are_not_counted_with_new_guests() -> None:
    hosts = [used(i, i, "198.18.0.9") for i in range(STRANGERS)]
    guests = [used(THEN + 60 * i, STRANGERS + i, "198.18.0.9") for i in range(STRANGERS - 1)]
    lines = [*homes(2 * STRANGERS), *hosts, *away(STRANGERS), *guests]

    assert [] == alone(lines, NAME)


@pytest.mark.parametrize(
    "fields",
    [
        {"client_address_quality": "xff_unverified"},
        {"client_address_quality": None},
        {"http_status": 401, "status": "error"},
    ],
)
def test_an_address_the_client_may_choose_and_a_refusal_prove_nothing(fields: dict) -> None:  # type: ignore[type-arg]
    assert [] == alone([*homes(5), *away(5, **fields)], NAME)
