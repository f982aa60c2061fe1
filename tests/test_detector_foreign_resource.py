"""foreign-resource: a tenant's agent touching what belongs to another."""

import pytest

from detectors.foreign_resource import OWNED_AFTER, SETTLED_MS
from schemas.finding import Severity
from schemas.samples import cross_tenant_read, support_engineer
from tests.detecting import noon, only, raised, tool

NAME = "foreign-resource"
SETTLED = SETTLED_MS / 1000


def read(seconds: float, tenant: str = "acme", resource: str = "doc", **fields: object) -> bytes:
    named = {"tool": "read", "resource": resource, "args": None, **fields}
    return tool(seconds, tenant=tenant, **named)


def owned(times: int, tenant: str = "acme", every: float = 60) -> list[bytes]:
    return [read(i * every, tenant, session="s1") for i in range(times)]


THEN = 60 * OWNED_AFTER + SETTLED


def test_a_read_across_tenants_is_found() -> None:
    staged = cross_tenant_read(0, noon(), "acme", "globex")
    [found] = raised(only(staged), NAME)

    assert (staged.entities[0], Severity.CRITICAL) == (found.entity, found.severity)


@pytest.mark.parametrize(
    ("status", "severity"), [("ok", "critical"), (None, "critical"), ("error", "high")]
)
def test_reaching_is_worse_than_trying(status: str | None, severity: str) -> None:
    [found] = raised([read(0, owner="globex", status=status)], NAME)

    assert severity == found.severity.value


def test_ones_own_is_quiet_and_so_is_what_nobody_owns() -> None:
    assert [] == raised([read(i, owner="acme") for i in range(9)], NAME)
    assert [] == raised([read(i, f"t{i}") for i in range(9)], NAME)


def test_a_support_engineer_is_quiet_by_allow_list() -> None:
    lines = only(support_engineer(0, noon(), "acme", "globex"))

    assert raised(lines, NAME)
    assert [] == raised(lines, NAME, support={"acme"})
    by_user = [read(0, owner="globex", user_id="anna"), read(1, owner="initech", user_id="ben")]
    assert 1 == len(raised(by_user, NAME, support={"anna"}))


def test_the_owner_is_learned_from_enough_uses_by_one_tenant_alone() -> None:
    intruder = read(THEN, "globex")

    assert [] == raised([*owned(OWNED_AFTER - 1), intruder], NAME)
    [found] = raised([*owned(OWNED_AFTER), intruder], NAME)
    assert ("globex", Severity.MEDIUM) == (found.tenant, found.severity)
    assert "acme" == found.evidence["owner"]


def test_what_two_tenants_use_belongs_to_neither() -> None:
    lines = [*owned(2), read(90, "initech"), *owned(OWNED_AFTER)[2:], read(THEN, "globex")]

    assert [] == raised(lines, NAME)


@pytest.mark.parametrize(("early", "found"), [(0, 1), (1, 0)])
def test_uses_that_others_may_still_precede_do_not_count(early: float, found: int) -> None:
    last = 60 * (OWNED_AFTER - 1)
    lines = [*owned(OWNED_AFTER), read(last + SETTLED - early, "globex")]

    assert found == len(raised(lines, NAME))


def test_a_busy_resource_has_an_owner_too() -> None:
    lines = [*owned(200, every=3), read(700 + SETTLED, "globex")]

    assert 1 == len(raised(lines, NAME))


def test_the_owner_going_on_is_quiet() -> None:
    assert [] == raised(owned(50), NAME)
