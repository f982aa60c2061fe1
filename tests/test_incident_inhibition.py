"""People hear of the cause, not also of everything that follows from it."""

from typing import Any

from alerts.incident import Action, Incident, Policy
from alerts.incident_inhibition import coverer, covers
from alerts.incident_steps import act, receive
from schemas.finding import Entity, Severity
from tests.alerts_fakes import NOON, finding

OUTAGE = Entity(lane="service", id="openai/gpt-4o")


def given(**changes: Any) -> Incident:
    return receive(None, finding(**changes), NOON, Policy())


def storm(**changes: Any) -> Incident:
    return given(id="s", family="retry-storm", severity=Severity.MEDIUM, **changes)


def test_a_stolen_keys_retry_storm_is_not_a_second_page() -> None:
    assert covers(given(), storm())


def test_a_storm_worse_than_the_theft_is_told() -> None:
    assert not covers(given(severity=Severity.LOW), storm())


def test_another_keys_storm_is_told() -> None:
    assert not covers(given(), storm(entity=Entity(lane="credential", id="hmac:other")))


def test_a_leak_is_never_hidden_behind_a_theft() -> None:
    assert not covers(given(severity=Severity.CRITICAL), given(id="x", family="cross-tenant"))


def test_a_providers_outage_covers_the_storms_of_its_tenants() -> None:
    outage = given(id="o", family="retry-storm", entity=OUTAGE)
    events = [{"id": "e", "request_model": "gpt-4o"}]
    assert covers(outage, storm(tenant="globex", evidence={"events": events}))
    assert covers(outage, storm(evidence={"services": ["openai/gpt-4o"]}))


def test_an_outage_elsewhere_covers_nothing() -> None:
    outage = given(id="o", family="retry-storm", entity=OUTAGE)
    events = [{"id": "e", "request_model": "claude-3"}]
    assert not covers(outage, storm(evidence={"events": events}))


def did(verb: Any) -> Incident:
    return act(given(), Action(verb=verb, by="ana", at=NOON), Policy())


def test_what_is_over_or_only_watched_covers_nothing() -> None:
    assert not covers(did("resolve"), storm())
    assert not covers(did("false_positive"), storm())
    assert not covers(given(mode="monitor"), storm())


def test_who_snoozes_the_cause_is_not_woken_by_what_follows_from_it() -> None:
    assert covers(did("snooze"), storm())
    assert covers(did("ack"), storm())


def test_the_most_severe_of_several_covers() -> None:
    mild = given(id="a")
    bad = given(id="b", family="cross-tenant", severity=Severity.CRITICAL)
    assert (bad, None) == (coverer(storm(), [mild, bad]), coverer(mild, [bad]))
