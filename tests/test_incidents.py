"""Findings become incidents that people can handle: grouped, quiet again, never forgotten."""

from datetime import timedelta
from typing import Any

import pytest

from alerts.incident import MAX_FINDINGS, MAX_HISTORY, Action, Incident, NotPossible, Policy
from alerts.incident_steps import act, due, inhibit, receive, tick
from schemas.finding import Severity
from tests.alerts_fakes import NOON, finding

POLICY = Policy()
HOUR = timedelta(hours=1)


def given(**changes: Any) -> Incident:
    return receive(None, finding(**changes), NOON, POLICY)


def did(incident: Incident, verb: Any, after: timedelta = HOUR, **changes: Any) -> Incident:
    action = Action(verb=verb, by="ana", at=NOON + after, **changes)
    return act(incident, action, POLICY)


def told(incident: Incident) -> list[str]:
    return [f"{entry.by}: {entry.change}" for entry in incident.history]


def test_a_first_finding_opens_an_incident_with_an_id_of_its_own() -> None:
    incident = given()
    assert ("open", "opened", 1, True) == (
        incident.state, incident.change, incident.revision, incident.loud
    )  # fmt: skip
    assert incident == given()
    assert incident.id != given(id="f-2").id


def test_another_finding_of_the_same_key_joins_without_a_second_page() -> None:
    incident = receive(given(), finding("f-2"), NOON + HOUR, POLICY)
    assert (2, 2, "updated", False) == (
        incident.count, incident.revision, incident.change, incident.loud
    )  # fmt: skip


def test_a_finding_that_comes_again_changes_nothing() -> None:
    incident = given()
    assert incident is receive(incident, finding(), NOON + HOUR, POLICY)


def test_a_later_revision_corrects_the_cost_instead_of_adding_to_it() -> None:
    incident = given(cost_usd=10.0)
    incident = receive(incident, finding(revision=2, cost_usd=25.0), NOON, POLICY)
    incident = receive(incident, finding("f-2", cost_usd=5.0), NOON, POLICY)
    assert (30.0, 2) == (incident.cost_usd, incident.count)


def test_the_cost_of_a_finding_that_is_only_counted_is_not_added_again() -> None:
    incident = given(cost_usd=1.0)
    for number in range(2, MAX_FINDINGS + 2):
        incident = receive(incident, finding(f"f-{number}", cost_usd=1.0), NOON, POLICY)
    again = receive(incident, finding(revision=2, cost_usd=1.0), NOON, POLICY, seen=True)
    assert (MAX_FINDINGS + 1.0, MAX_FINDINGS + 1) == (again.cost_usd, again.count)


def test_costs_of_two_detectors_that_see_the_same_calls_are_not_added() -> None:
    incident = given(cost_usd=10.0)
    other = finding("f-2", detector="model-sweep", cost_usd=12.0)
    assert 12.0 == receive(incident, other, NOON, POLICY).cost_usd


def test_an_acknowledged_incident_takes_findings_quietly_until_it_gets_worse() -> None:
    incident = did(given(), "ack")
    quiet = receive(incident, finding("f-2"), NOON + HOUR, POLICY)
    worse = receive(quiet, finding("f-3", severity=Severity.CRITICAL), NOON + HOUR, POLICY)
    assert ("acked", False, "ana") == (quiet.state, quiet.loud, quiet.owner)
    assert ("open", "worse", True) == (worse.state, worse.change, worse.loud)


def test_an_acknowledgement_that_runs_out_wakes_people_if_it_still_goes_on() -> None:
    incident = did(given(), "ack")
    incident = receive(incident, finding("f-2"), NOON + 23 * HOUR, POLICY)
    assert NOON + 25 * HOUR == due(incident, POLICY)
    assert incident is tick(incident, NOON + 24 * HOUR, POLICY)
    woken = tick(incident, NOON + 25 * HOUR, POLICY)
    assert ("open", "woke", True) == (woken.state, woken.change, woken.loud)


def test_an_acknowledgement_that_runs_out_after_a_quiet_time_resolves_it() -> None:
    incident = tick(did(given(), "ack"), NOON + 25 * HOUR, POLICY)
    assert ("resolved", False) == (incident.state, incident.loud)


def test_a_quiet_incident_resolves_itself_and_says_why() -> None:
    incident = given()
    assert incident is tick(incident, NOON + 5 * HOUR, POLICY)
    resolved = tick(incident, NOON + 6 * HOUR, POLICY)
    assert ("resolved", "quiet for 6 hours") == (resolved.state, resolved.history[-1].reason)


def test_a_snoozed_incident_shows_nothing_until_its_end() -> None:
    incident = did(given(), "snooze", until=NOON + 3 * HOUR, reason="deploy")
    busy = receive(incident, finding("f-2"), NOON + 2 * HOUR, POLICY)
    assert ("snoozed", False) == (busy.state, busy.shown)
    woken = tick(busy, NOON + 3 * HOUR, POLICY)
    assert ("open", True) == (woken.state, woken.loud)


def test_a_recurrence_reopens_what_was_resolved() -> None:
    incident = did(given(), "resolve", reason="key revoked")
    again = receive(incident, finding("f-2"), NOON + 2 * HOUR, POLICY)
    assert (incident.id, "open", "reopened", True) == (
        again.id, again.state, again.change, again.loud
    )  # fmt: skip
    assert ["tripmeter: opened", "ana: resolved", "tripmeter: reopened"] == told(again)


@pytest.mark.parametrize(("verb", "days"), [("false_positive", 1), ("resolve", 8)])
def test_what_was_wrong_or_long_ago_is_linked_not_reopened(verb: str, days: int) -> None:
    incident = did(given(), verb)
    again = receive(incident, finding("f-2"), NOON + timedelta(days=days), POLICY)
    assert (incident.id, 1, "opened") == (again.previous, again.revision, again.change)
    assert incident.id != again.id


def test_a_late_revision_of_old_news_reopens_nothing() -> None:
    incident = did(given(), "resolve")
    late = receive(incident, finding(revision=2), NOON + 2 * HOUR, POLICY)
    assert ("resolved", False, 1) == (late.state, late.loud, late.count)


@pytest.mark.parametrize("verb", ["ack", "snooze", "resolve", "false_positive", "expected"])
def test_pressing_a_button_twice_changes_nothing(verb: str) -> None:
    incident = did(given(), verb)
    assert incident is did(incident, verb, 2 * HOUR)


@pytest.mark.parametrize("verb", ["ack", "snooze"])
def test_what_is_closed_cannot_be_put_off(verb: str) -> None:
    with pytest.raises(NotPossible, match="reopen it first"):
        did(did(given(), "resolve"), verb)


def test_an_end_in_the_past_is_refused() -> None:
    with pytest.raises(NotPossible, match="has passed"):
        did(given(), "snooze", until=NOON)


def test_monitor_findings_page_nobody_until_an_active_one_comes() -> None:
    incident = given(mode="monitor", severity=Severity.INFO)
    assert ("monitor", False) == (incident.mode, incident.loud)
    active = receive(incident, finding("f-2", title="Active"), NOON + HOUR, POLICY)
    assert ("active", "opened", True, Severity.HIGH, "Active") == (
        active.mode, active.change, active.loud, active.severity, active.title
    )  # fmt: skip


def test_a_covered_incident_is_not_told_until_it_stands_alone() -> None:
    covered = receive(None, finding(), NOON, POLICY, lambda _: "i-1")
    assert (False, False, "part of i-1") == (
        covered.loud, covered.shown, covered.history[0].reason
    )  # fmt: skip
    alone = inhibit(covered, None, NOON + HOUR)
    assert ("released", True, True) == (alone.change, alone.loud, alone.told)


def test_what_people_knew_before_it_was_covered_is_edited_once() -> None:
    covered = inhibit(given(), "i-1", NOON + HOUR)
    assert ("inhibited", True, False) == (covered.change, covered.shown, covered.loud)
    more = receive(covered, finding("f-2"), NOON + HOUR, POLICY, lambda _: "i-1")
    assert ("updated", False) == (more.change, more.shown)


def test_an_incident_stays_small_however_much_happens() -> None:
    incident = given()
    for number in range(2, 300):
        incident = receive(incident, finding(f"f-{number}"), NOON, POLICY)
        incident = did(incident, "note", reason=f"note {number}")
    assert (MAX_FINDINGS, 299) == (len(incident.findings), incident.count)
    assert (MAX_HISTORY, "opened") == (len(incident.history), incident.history[0].change)
    assert "note 299" == incident.history[-1].reason


def test_an_incident_survives_json() -> None:
    incident = did(given(cost_usd=1.5), "snooze", reason="deploy")
    assert incident == Incident.model_validate_json(incident.to_json())
