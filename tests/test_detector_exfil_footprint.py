"""exfil-footprint: an agent sends to where sessions with the same tools hardly ever send."""

from itertools import permutations

import pytest

from detectors.exfil_footprint import (
    AGAIN,
    COMMON,
    RARE,
    SENDS,
    SESSION_MS,
    TOOL_SENDS,
    ExfilFootprint,
)
from detectors.ways import TAKERS, Ways
from schemas.finding import Finding, Severity
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
    [{"to": None}, {"status": "error"}, {"session": None}],
    ids=["goes nowhere", "fails", "belongs to no session"],
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


def errand(number: int, *calls: str, to: str | None = None, act: str = "") -> list[bytes]:
    """One session: calls as "tool argument", then an act without a destination, then a mail."""
    named = {"session": f"s{number}"}
    lines = []
    for i, call in enumerate(calls):
        name, args = call.split()
        lines.append(tool(number * HOUR + 5 * i, tool=name, args=f"hmac:{args}", **named))
    if act:
        at, did = number * HOUR + 40, f"hmac:{act}"
        lines.append(tool(at, tool=act, args=did, side_effect=True, **named))
    if to:
        sent = {"args": f"hmac:{number}", "side_effect": True, "tool_destination_ids": (to,)}
        lines.append(tool(number * HOUR + 60, tool="mail", **sent, **named))
    return lines


def errands_of(calls: str, first: int, runs: int, **more: str) -> list[bytes]:
    return [line for n in range(first, first + runs) for line in errand(n, calls, **more)]


def test_after_the_very_same_call_a_place_nobody_went_to_from_there_is_rare() -> None:
    bills = errands_of("read bills", 0, 10, to="bank")
    lines = [*bills, *errands_of("read notes", 10, 10, to="boss")]

    assert [] == raised([*lines, *errand(30, "read bills", to="bank")], NAME)
    [found] = raised([*lines, *errand(30, "read notes", to="bank")], NAME)
    assert ("read", "bank") == (found.evidence["after"], found.evidence["destination"])


def test_how_often_a_call_has_to_come_again_before_it_says_something() -> None:
    usual = errands_of("read bills", 0, 10, to="bank")

    def found(runs: int) -> int:
        notes = errands_of("read notes", 10, runs, to="boss")
        return len(raised([*usual, *notes, *errand(30, "read notes", to="thief")], NAME))

    assert found(AGAIN - 1) == found(0) == 0
    assert 1 == found(AGAIN)


def test_a_tool_whose_calls_come_again_says_nothing_by_its_name() -> None:
    lines = errands_of("read bills", 0, 20, to="bank")

    assert [] == raised([*lines, *errand(30, "read something", to="thief")], NAME)


def test_a_call_everybody_makes_says_nothing_of_a_tool_that_writes_to_new_places() -> None:
    lines = [line for n in range(30) for line in errand(n, "read handbook", to=f"customer-{n}")]

    assert [] == raised(lines, NAME)


def work() -> list[bytes]:
    """Three errands, each of which ends with the same act."""
    kinds = ("read bills", "read notes", "list files")
    return [
        x for i, kind in enumerate(kinds) for x in errands_of(kind, 10 + 20 * i, 20, act="save")
    ]


def test_an_act_that_comes_up_whatever_the_errand_is_is_found_the_third_time() -> None:
    acts = [
        errand(70 + 5 * i, kind, act="wipe") for i, kind in enumerate(("read bills", "list files"))
    ]
    before = [*work(), *(line for one in acts for line in one)]

    assert [] == raised(before, NAME)
    [found] = raised([*before, *errand(90, "read notes", act="wipe")], NAME)
    assert ("wipe", "read") == (found.evidence["tool"], found.evidence["after"])
    assert "destination" not in found.evidence
    assert found.event_ids[0] == found.evidence["events"][0]["id"]  # type: ignore[index]


def test_a_rare_act_that_belongs_to_an_errand_is_quiet() -> None:
    acts = [line for n in (70, 75, 80, 85) for line in errand(n, "read bills", act="wipe")]

    assert [] == raised([*work(), *acts], NAME)


def test_a_page_nobody_ever_looks_at_is_told_where_pages_hardly_ever_change() -> None:
    def looks(number: int, to: str) -> list[bytes]:
        return run(number, "notes", to=to, side_effect=False)

    usual = [line for n in range(20) for line in looks(n, "home")]
    [found] = raised([*usual, *looks(30, "thief")], NAME)
    browsing = [line for n in range(20) for line in looks(n, f"site-{n}")]

    assert Severity.LOW == found.severity
    assert [] == raised([*browsing, *looks(30, "thief")], NAME)


@pytest.mark.parametrize("end", [{"to": "thief"}, {"act": "wipe"}], ids=["a place", "an act"])
def test_the_order_in_which_calls_of_an_errand_arrive_does_not_show(end: dict[str, str]) -> None:
    before = [
        *past(6),
        *work(),
        *errand(70, "list files", **end),
        *errand(75, "read bills", **end),
    ]
    last = errand(90, "read notes", "ask who", **end)
    orders = [[last[i] for i in order] for order in permutations(range(len(last)))]
    told = {tuple(f.id for f in raised([*before, *order], NAME)[-1:]) for order in orders}

    assert 1 == len(told)
    assert {"s90"} == {f.entity.id for f in raised([*before, *last], NAME)[-1:]}


def test_calls_that_never_come_again_do_not_push_out_what_is_usual() -> None:
    ways = Ways(1000, 10, 10_000, 10)
    ways.tick(0)
    ways.visit("to the bank", 1, 0)
    for number in range(100):
        ways.visit(number, 1, 0)

    assert len(ways.calls) <= 20
    assert 1 == ways.visited("to the bank", 2, 900_000)
    assert 9 == ways.overflows


def test_of_many_sessions_on_a_way_the_first_are_remembered_in_any_order() -> None:
    def seen(order: list[int]) -> int:
        ways = Ways(1000, 10, 10_000, 10)
        ways.tick(0)
        for number in order:
            ways.visit("here", number, number * 1000)
        return ways.visited("here", 10_000, 10_000_000) + 100 * ways.visited("here", 1, 330_000)

    numbers = list(range(3 * TAKERS))
    assert seen(numbers) == seen(numbers[::-1]) == TAKERS + 100 * 29


def test_what_it_remembers_survives_a_snapshot() -> None:
    one, other = Ways(1000, 10, 10_000, 10), ExfilFootprint().memory
    one.tick(0)
    one.visit(5, 1, 0)
    other.load(one.state())

    assert isinstance(other, Ways)
    assert 1 == other.visited(5, 2, 900_000)
