"""exfil-footprint: an agent sends to where sessions with the same tools hardly ever send."""

from itertools import permutations

import pytest

from detectors.exfil_footprint import COMMON, RARE, SENDS, SESSION_MS, TOOL_SENDS
from schemas.finding import Finding
from schemas.samples.leaks import errands, injected_errand, newsletter
from tests.detecting import HOUR, noon, only, raised, tool

NAME = "exfil-footprint"


def run(number: int, *tools: str, to: str | None = "boss", **more: object) -> list[bytes]:
    """One session: tools, and then a mail to somebody."""
    named = {"session": f"s{number}", "args": None, **more}
    lines = [tool(number * HOUR + 5 * i, tool=name, **named) for i, name in enumerate(tools)]
    sends = {"tool_destination_ids": (to,) if to else (), "side_effect": True, **named}
    return [*lines, tool(number * HOUR + 60, tool="mail", **sends)]


def past(runs: int, *tools: str, to: str = "boss") -> list[bytes]:
    return [line for number in range(runs) for line in run(number, *(tools or ("notes",)), to=to)]


@pytest.mark.parametrize("seed", range(4))
def test_an_injected_errand_is_found(seed: int) -> None:
    staged = injected_errand(seed, noon(), "acme", sessions=12)

    assert staged.entities[0] in [finding.entity for finding in raised(only(staged), NAME)]


def test_the_usual_errands_are_quiet() -> None:
    lines = [line.data for line in sorted(errands(1, noon(), "acme", 30, places=1))]

    assert [] == raised(lines, NAME)


def test_a_tool_that_always_writes_to_somebody_new_is_left_alone() -> None:
    staged = newsletter(0, noon(), "acme", 5 * TOOL_SENDS)

    assert len(raised(only(staged), NAME)) <= 1


def test_somebody_known_is_rare_after_a_tool_that_has_nothing_to_do_with_them() -> None:
    others = [line for n in range(10, 20) for line in run(n, "payroll", to="bank")]
    lines = [*past(9), *others]

    assert [] == raised([*lines, *run(20, "notes")], NAME)
    [found] = raised([*lines, *run(20, "notes", "payroll")], NAME)
    assert ("payroll", "boss") == (found.evidence["after"], found.evidence["destination"])


def test_how_rare_is_rare() -> None:
    enough = next(m for m in range(99) if 0.5 / (m + 1) < RARE)
    usual = past(SENDS, "calendar")

    def found(runs: int) -> int:
        notes = [line for n in range(20, 20 + runs) for line in run(n, "notes")]
        return len(raised([*usual, *notes, *run(50, "notes", to="thief")], NAME))

    assert 0 == found(enough - 1)
    assert 1 == found(enough)


def test_before_anything_was_sent_nothing_is_rare() -> None:
    def found(sends: int) -> int:
        reads = [line for n in range(20, 30) for line in run(n, "notes")[:-1]]
        return len(raised([*past(sends), *reads, *run(50, "notes", to="thief")], NAME))

    assert 0 == found(SENDS - 1)
    assert 1 == found(SENDS)


def test_what_enough_sessions_did_is_usual() -> None:
    many = past(60)
    known = [line for n in range(60, 60 + COMMON) for line in run(n, "notes", to="new")]

    found = raised([*many, *known, *run(90, "notes", to="new")], NAME)

    assert [f"s{n}" for n in range(60, 60 + COMMON)] == [finding.entity.id for finding in found]


@pytest.mark.parametrize(
    "odd",
    [{"side_effect": False}, {"to": None}, {"status": "error"}, {"session": None}],
    ids=["reads", "goes nowhere", "fails", "belongs to no session"],
)
def test_only_what_sends_counts(odd: dict[str, object]) -> None:
    lines = run(50, "notes", **{"to": "thief", **odd})  # type: ignore[arg-type]

    assert [] == raised([*past(20), *lines], NAME)


def test_a_call_that_sends_without_having_read_is_quiet() -> None:
    assert [] == raised([*past(20), *run(50, to="thief")], NAME)


def test_what_a_tenant_does_at_home_is_no_surprise() -> None:
    elsewhere = [run(n, "notes", to="boss", tenant="globex") for n in range(40)]
    at_home = [run(n, "notes", to="chief") for n in range(40, 44)]
    lines = [line for one in [*elsewhere, *at_home] for line in one]

    assert [] == raised([*lines, *run(60, "notes", to="chief")], NAME)[1:]
    assert ["s60"] == [f.entity.id for f in raised([*lines, *run(60, "notes", to="x")], NAME)[1:]]


def test_the_order_of_arrival_does_not_show() -> None:
    before, last = past(12), run(20, "notes", "payroll", "inbox", to="thief")
    told = set()
    for order in permutations(range(len(last))):
        told.add(tuple(f.id for f in raised([*before, *(last[i] for i in order)], NAME)))

    assert 1 == len(told)
    assert 1 == len(next(iter(told)))


def test_a_session_is_forgotten_after_hours_of_silence() -> None:
    late = [
        tool(50 * HOUR, session="s", tool="notes", args=None),
        tool(
            50 * HOUR + 3 * SESSION_MS / 1000,
            session="s",
            tool="mail",
            args=None,
            side_effect=True,
            tool_destination_ids=("thief",),
        ),
    ]

    assert [] == raised([*past(20), *late], NAME)


def test_tenants_that_number_their_sessions_alike_are_not_mixed_up() -> None:
    def fourth(tenant: str) -> list[Finding]:
        reads = tool(20 * HOUR, session="1", tool="notes", args=None, tenant=tenant)
        sends = {"side_effect": True, "tool_destination_ids": ("thief",), "args": None}
        mail = tool(20 * HOUR + 9, session="1", tool="mail", tenant="acme", **sends)
        return raised([*past(20), reads, mail], NAME)

    assert [] == fourth("globex")
    assert ["acme"] == [found.tenant for found in fourth("acme")]
