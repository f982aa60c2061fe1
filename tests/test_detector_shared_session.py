"""shared-session: one conversation under two tenants."""

from itertools import permutations

import pytest

from detectors.shared_session import LONG_ID
from schemas.finding import Severity
from schemas.samples import shared_session
from tests.detecting import HOUR, call, noon, only, raised

NAME = "shared-session"
ID = "conv-6f1d0c2e9a41"


def said(
    seconds: float, tenant: str | None, session: str = "conv-6f1d0c2e9a41", **f: object
) -> bytes:
    return call(seconds, tenant=tenant, session=session, **f)


def test_a_transport_shared_by_two_clients_is_found_once() -> None:
    staged = shared_session(0, noon(), "acme", "globex")

    assert [staged.entities[0]] == [finding.entity for finding in raised(only(staged), NAME)]


def test_it_does_not_matter_which_tenant_came_first() -> None:
    one = raised([said(0, "acme", id="a"), said(5, "globex", id="b")], NAME)
    other = raised([said(5, "globex", id="b"), said(0, "acme", id="a")], NAME)

    assert one[0].id == other[0].id
    assert ("b", "a") == one[0].event_ids == other[0].event_ids
    assert "acme" == one[0].evidence["began_under"] == other[0].evidence["began_under"]


def test_of_calls_at_one_instant_the_order_does_not_show() -> None:
    same = [said(0, "globex", id="a"), said(0, "acme", id="b"), said(0, "globex", id="c")]
    next_day = said(28 * HOUR, "acme", id="d")
    told = [{f.id for f in raised([*turn, next_day], NAME)} for turn in permutations(same)]

    assert [told[0]] * 6 == told


def test_one_tenant_is_quiet_and_so_is_a_call_without_one() -> None:
    assert [] == raised([said(i, "acme") for i in range(9)], NAME)
    assert [] == raised([said(0, "acme"), said(1, None)], NAME)
    assert [] == raised([said(0, "acme", "conv-a"), said(1, "globex", "conv-b")], NAME)


@pytest.mark.parametrize(
    ("length", "severity"), [(LONG_ID - 1, Severity.MEDIUM), (LONG_ID, Severity.HIGH)]
)
def test_short_ids_may_meet_by_accident(length: int, severity: Severity) -> None:
    session = "x" * length
    [found] = raised([said(0, "acme", session), said(1, "globex", session)], NAME)

    assert severity == found.severity


def test_a_support_engineer_in_two_tenants_is_quiet_by_allow_list() -> None:
    lines = [said(0, "acme"), said(1, "globex", user_id="anna")]

    assert 1 == len(raised(lines, NAME))
    assert [] == raised(lines, NAME, support={"anna"})
    assert [] == raised(lines, NAME, support={"globex"})


def test_a_session_that_goes_on_for_days_is_remembered() -> None:
    lines = [*(said(hour * HOUR, "acme") for hour in range(100)), said(100 * HOUR, "globex")]
    [found] = raised(lines, NAME)

    assert "acme" == found.evidence["began_under"]


def test_an_id_used_again_after_days_of_silence_is_quiet() -> None:
    assert [] == raised([said(0, "acme"), said(72 * HOUR, "globex")], NAME)
