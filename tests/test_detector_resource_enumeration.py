"""resource-enumeration: a session walks over resources that are not known to be its own."""

import pytest

from detectors.resource_enumeration import ABOVE_USUAL, MAX_IDS, MOST_USUAL, NEW, REFUSED, SPAN_MS
from detectors.settled import SETTLED_MS
from schemas.finding import Finding
from tests.detecting import HOUR, alone, tool

NAME = "resource-enumeration"


def walk(count: int, start: float = 0, every: float = 5, **fields: object) -> list[bytes]:
    named = {"tool": "get", "args": None, "session": f"run-{start}", **fields}
    prefix = named.pop("prefix", start)
    return [tool(start + i * every, **{"resource": f"{prefix}-{i}", **named}) for i in range(count)]


def told(*lines: bytes, **settings: object) -> list[Finding]:
    return alone(lines, NAME, **settings)


@pytest.mark.parametrize("status", ["error", "blocked"])
def test_one_refusal_too_many(status: str) -> None:
    assert [] == told(*walk(REFUSED - 1, status=status))
    [found] = told(*walk(REFUSED, status=status))
    assert ("high", REFUSED) == (found.severity, found.evidence["resources"])


def test_one_new_resource_too_many() -> None:
    assert [] == told(*walk(NEW - 1))
    [found] = told(*walk(NEW))
    assert ("medium", "acme", NEW) == (found.severity, found.tenant, found.evidence["resources"])


@pytest.mark.parametrize(("count", "status"), [(REFUSED, "error"), (NEW, "ok")])
def test_a_slow_walk_is_quiet(count: int, status: str) -> None:
    every = SPAN_MS / 1000 / (count - 1)

    assert 1 == len(told(*walk(count, every=every - 0.01, status=status)))
    assert [] == told(*walk(count, every=every, status=status))


def test_the_same_resource_again_and_again_is_one() -> None:
    assert [] == told(*walk(99, status="error", resource="r"), *walk(99, resource="r"))


def test_ones_own_records_and_those_of_nobody_known() -> None:
    assert [] == told(*walk(99, owner="acme"))
    assert 1 == len(told(*walk(NEW, owner="globex")))


def test_what_the_tenant_used_before_is_not_new() -> None:
    apart = NEW * 5 + SETTLED_MS / 1000
    again = walk(NEW, start=apart, prefix=0)

    assert 1 == len(told(*walk(NEW, every=HOUR), *walk(NEW, 30 * HOUR)))
    assert [] == told(*walk(NEW, every=HOUR), *walk(NEW, 30 * HOUR, prefix=0))
    assert 1 == len(told(*walk(NEW), *again))  # the first walk alone


def test_a_tenant_that_does_so_every_night_has_a_habit() -> None:
    nights = [line for n in range(3) for line in walk(2 * NEW, 24 * n * HOUR)]
    more = int(ABOVE_USUAL * 2 * NEW)

    def after(count: int) -> int:
        lines = [*nights, *walk(count, 80 * HOUR, every=2)]
        return len([f for f in told(*lines) if f.time.day == 4])

    assert 2 == len(told(*nights))
    assert 0 == after(more - 1)
    assert 1 == after(more)


def test_sessions_do_not_add_up_and_support_may() -> None:
    many = [line for n in range(9) for line in walk(NEW - 1, n * 200)]

    assert [] == told(*many)
    assert [] == told(*walk(99, session=None))
    assert [] == told(*walk(99), support={"acme"})


def test_the_order_of_arrival_does_not_show() -> None:
    lines = [tool(i, id=f"e{i}", tool="get", args=None, resource=f"r{i}") for i in range(NEW)]

    assert 1 == len({told(*order)[0].id for order in (lines, lines[::-1], lines[9:] + lines[:9])})


def test_tenants_that_number_their_sessions_alike_are_not_mixed_up() -> None:
    def both(count: int, **fields: object) -> list[bytes]:
        acme = walk(count, every=1, session="1", **fields)
        return [*acme, *walk(count, 1, every=1, session="1", tenant="globex", **fields)]

    assert [] == told(*both(NEW - 1), *both(REFUSED - 1, status="error", prefix="x"))
    assert {"acme", "globex"} == {found.tenant for found in told(*both(NEW))}
    assert {"acme", "globex"} == {found.tenant for found in told(*both(REFUSED, status="error"))}


@pytest.mark.parametrize("nightly", [100, MOST_USUAL])
def test_a_tenant_with_a_bulk_job_can_be_walked_too(nightly: int) -> None:
    nights = [one for n in range(2) for one in walk(nightly, 24 * n * HOUR, every=1)]
    limit = min(int(ABOVE_USUAL * nightly), MAX_IDS)

    def third(count: int) -> int:
        lines = [*nights, *walk(count, 60 * HOUR, every=1)]
        return len([found for found in told(*lines) if found.time.day == 3])

    assert 0 == third(limit - 1)
    assert 1 == third(limit)


def test_a_job_larger_than_can_be_counted_is_quiet_from_its_third_night_on() -> None:
    nights = [one for n in range(3) for one in walk(MAX_IDS + 9, 24 * n * HOUR, every=1)]

    assert {1, 2} == {found.time.day for found in told(*nights)}


def test_a_slow_session_that_was_long_before_cannot_hide_a_walk() -> None:
    every = SPAN_MS / 1000 / (NEW - 1)
    slow = walk(MAX_IDS, every=every, session="s")
    after = MAX_IDS * every

    assert [] == told(*slow, *walk(NEW, after, every=1, session="s", prefix=0))  # seen before
    assert 1 == len(told(*slow, *walk(NEW, after, every=1, session="s")))
