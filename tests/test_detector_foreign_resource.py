"""foreign-resource: a tenant's agent touching what belongs to another."""

from itertools import permutations

import pytest

from detectors.foreign_resource import OWNED_AFTER, PRIVATE_REUSED, PRIVATE_SHARE, SETTLED_MS
from schemas.finding import Severity
from schemas.samples import cross_tenant_read, support_engineer
from tests.detecting import HOUR, noon, only, raised, tool

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


def habit(tool: str, uses: int = PRIVATE_REUSED, tenants: int = 1) -> list[bytes]:
    """Each of the tool's resources is used some times, hours apart, by so many tenants in turn."""
    return [
        read(HOUR * again + 5 * i, f"t{(i + again) % tenants}", f"{tool}-{i}", tool=tool)
        for again in range(2 * tenants)
        for i in range(uses)
    ]


DAY = 24 * HOUR


def test_one_earlier_use_is_enough_where_a_tool_reads_what_is_private() -> None:
    then = [read(DAY, "acme", tool="get"), read(DAY + SETTLED, "globex", tool="get")]

    [found] = raised([*habit("get"), *then], NAME)
    assert ("globex", "acme") == (found.tenant, found.evidence["owner"])
    assert [] == raised([*habit("get", PRIVATE_REUSED - 1), *then], NAME)
    assert [] == raised([*habit("other"), *then], NAME)


def test_a_handbook_that_every_tenant_reads_is_quiet() -> None:
    first = [read(DAY, "acme", tool="get"), read(DAY + SETTLED, "globex", tool="get")]

    assert [] == raised([*habit("get", tenants=3), *first], NAME)


def test_a_few_shared_resources_do_not_make_a_tool_public() -> None:
    few = int(PRIVATE_SHARE * PRIVATE_REUSED)
    then = [read(DAY, "acme", tool="get"), read(DAY + SETTLED, "globex", tool="get")]

    def found(shared: int) -> int:
        back = [
            read(hour * HOUR + i, f"s{i}", f"get-{i}", tool="get")
            for hour in (6, 7)
            for i in range(shared)
        ]
        lines = [*habit("get"), *back, *then]
        return sum(1 for finding in raised(lines, NAME) if finding.tenant == "globex")

    assert 1 == found(few)
    assert 0 == found(few + 1)


def test_an_intruder_is_found_a_second_time_by_no_owner_but_by_another_tenant() -> None:
    then = [read(DAY, "acme", tool="get"), read(DAY + SETTLED, "globex", tool="get")]
    again = [read(DAY + 3 * SETTLED, who, tool="get") for who in ("globex", "acme", "initech")]

    found = raised([*habit("get"), *then, *again], NAME)

    assert ["globex", "initech"] == [finding.tenant for finding in found]


@pytest.mark.parametrize(
    ("days", "session", "found"), [(1, "run-b", 1), (15, "run-b", 2), (1, "run-a", 2)]
)
def test_the_same_reach_from_another_session_is_told_again_after_weeks(
    days: int, session: str, found: int
) -> None:
    lines = [
        read(0, owner="globex", session="run-a"),
        read(days * DAY, owner="globex", session=session),
    ]

    assert found == len(raised(lines, NAME))


def test_another_resource_of_the_same_owner_is_told() -> None:
    lines = [read(i * HOUR, resource=f"r{i}", owner="globex", session=f"s{i}") for i in range(3)]

    assert 3 == len(raised(lines, NAME))


def test_which_of_two_uses_arrived_first_does_not_show() -> None:
    lines = [
        read(DAY, "acme", tool="get", id="a"),
        *(
            read(DAY + SETTLED + i, "globex", tool="get", session=f"s{i}", id=f"g{i}")
            for i in (0, 9)
        ),
    ]
    orders = ([0, 1, 2], [0, 2, 1])
    told = [{f.id for f in raised([*habit("get"), *(lines[i] for i in o)], NAME)} for o in orders]

    assert 2 == len(told[0])
    assert told[0] == told[1]


def test_two_reaches_in_one_instant_one_of_them_without_a_session_are_told() -> None:
    named: dict[str, object] = {"key": None, "owner": "globex"}
    lines = [
        read(0, session="run-a", **named),
        read(0, session=None, **named),
        read(0, session="run-b", **named),
    ]

    for order in permutations(lines):
        found = raised(order, NAME)
        assert {"run-a", "run-b", "unknown"} == {finding.entity.id for finding in found}
    assert [] == raised([read(0, session=s, key=None, owner="acme") for s in ("a", None)], NAME)
