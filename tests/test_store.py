"""Findings, incidents and what is to be told of them are stored together, once."""

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from alerts import outbox_queue
from alerts.incident import Action, Incident, NotPossible, Policy
from alerts.outbox import Outbox
from alerts.store import AlertStore, Kept, UnknownIncident
from alerts.store_engine import BadStore, open_store, writing
from alerts.store_query import Query
from schemas.finding import Entity, Finding, Severity
from tests.alerts_fakes import NOON, Everyone, finding, sql

HOUR = timedelta(hours=1)
OUTAGE = Entity(lane="service", id="openai/gpt-4o")


class Desk:
    """A store with a SIEM and people, and what each of them waits for."""

    def __init__(self, target: Any, **options: Any) -> None:
        self.store = AlertStore(target, Everyone(("siem",), ("people",)), **options)
        self.query = Query(self.store.engine)
        self.outbox = Outbox(self.store.engine)

    def found(self, *findings: Finding, after: timedelta = timedelta()) -> list[Finding]:
        return self.store.record(findings, now=NOON + after)

    def only(self) -> Incident:
        (incident,) = self.query.incidents()
        return incident

    def did(
        self, verb: Any, after: timedelta = HOUR, id: str | None = None, **more: Any
    ) -> Incident:
        action = Action(verb=verb, by="ana", at=NOON + after, **more)
        return self.store.act(id or self.only().id, action)

    def waiting(self, name: str) -> list[str]:
        return [row.key for row in self.outbox.pending(name, 1000)]

    def told(self, name: str) -> list[str]:
        """Takes what waits, as `about change state`."""
        rows = self.outbox.pending(name, 1000)
        self.outbox.delivered(name, rows)
        deliveries = [row.delivery() for row in rows]
        return [
            f"{d.finding.id} {d.activity}" if d.about == "finding"
            else f"{d.incident.change} {d.incident.state}" if d.incident else "?"
            for d in deliveries
        ]  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "tripmeter.db")


def storm(id: str = "s", **changes: Any) -> Finding:
    return finding(id, family="retry-storm", severity=Severity.MEDIUM, **changes)


def test_a_finding_is_told_to_the_siem_and_its_incident_to_people(desk: Desk) -> None:
    assert [finding()] == desk.found(finding())
    assert ["f-1 create"] == desk.told("siem")
    assert ["opened open"] == desk.told("people")


def test_findings_that_come_again_change_nothing(desk: Desk) -> None:
    desk.found(finding(), finding(revision=2))
    before = (desk.only(), desk.waiting("siem"), desk.waiting("people"))
    assert [] == desk.found(finding(), finding(revision=2), after=HOUR)
    assert before == (desk.only(), desk.waiting("siem"), desk.waiting("people"))


def test_the_same_findings_in_other_batches_give_the_same_incidents(tmp_path: Path) -> None:
    several = [finding(f"f-{n % 4}", n // 4 + 1, cost_usd=float(n)) for n in range(12)]
    several += [storm(f"s-{n}") for n in range(3)]
    one, many = Desk(tmp_path / "one.db"), Desk(tmp_path / "many.db")
    one.found(*several)
    for each in several:
        many.found(each)
    assert one.query.incidents() == many.query.incidents()
    assert one.waiting("siem") == many.waiting("siem")
    assert [(i.id, i.count) for i in one.query.incidents()] == [
        (i.id, i.count) for i in many.query.incidents()
    ]


def test_nothing_is_stored_unless_all_of_it_is(desk: Desk) -> None:
    def fail() -> None:
        with writing(desk.store.engine) as connection:
            desk.store.record_in(connection, [finding()], NOON)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert ([], [], [], {}) == (
        desk.query.select(), desk.query.incidents(), desk.waiting("siem"), desk.outbox.counts()
    )  # fmt: skip


def test_a_position_is_stored_with_the_findings_it_includes(desk: Desk) -> None:
    assert None is desk.store.position("findings/0")
    desk.store.record([finding()], {"findings/0": 41}, NOON)
    desk.store.record([], {"findings/0": 42}, NOON)
    assert 42 == desk.store.position("findings/0")


def test_an_incident_that_still_waits_says_what_is_true_when_it_is_sent(desk: Desk) -> None:
    desk.found(finding())
    desk.found(finding("f-2"), finding("f-3"))
    (row,) = desk.outbox.pending("people", 9)
    delivery = row.delivery()
    assert delivery.incident is not None
    assert (3, "opened", True, "f-3") == (
        delivery.incident.count, delivery.incident.change, delivery.incident.loud,
        delivery.finding.id,
    )  # fmt: skip
    assert {"waiting": 1, "held": 0, "delivered": 0, "dead": 0} == desk.outbox.counts()["people"]
    assert [(4,)] == sql(desk.store.engine, "SELECT count(*) FROM outbox_bodies")


def test_a_revision_in_flight_is_followed_by_the_newer_one(desk: Desk) -> None:
    desk.found(finding())
    in_flight = desk.outbox.pending("people", 9)
    desk.found(finding("f-2"))
    desk.outbox.delivered("people", in_flight)
    assert ["opened open"] == desk.told("people")
    assert 0 == desk.outbox.counts()["people"]["waiting"]


def test_the_severe_and_the_new_go_first(desk: Desk) -> None:
    def of(number: int, severity: Severity) -> Finding:
        entity = Entity(lane="credential", id=f"hmac:{number}")
        return finding(f"f-{number}", entity=entity, severity=severity)

    desk.found(of(1, Severity.LOW))
    desk.found(of(2, Severity.HIGH), of(3, Severity.CRITICAL))
    rows = desk.outbox.pending("people", 9)
    assert ["f-3", "f-2", "f-1"] == [row.delivery().finding.id for row in rows]


def test_closing_an_incident_closes_each_of_its_findings_under_one_uid(desk: Desk) -> None:
    desk.found(finding(), finding("f-2"), finding(revision=2))
    desk.told("siem")
    desk.did("resolve", reason="key revoked")
    assert ["f-2 close", "f-1 close"] == desk.told("siem")
    desk.did("note", 2 * HOUR, reason="postmortem")
    assert [] == desk.told("siem")
    desk.did("reopen", 3 * HOUR)
    assert ["f-2 update", "f-1 update"] == desk.told("siem")


def test_what_somebody_did_is_in_the_history_and_on_the_way_to_people(desk: Desk) -> None:
    desk.found(finding())
    desk.told("people")
    incident = desk.did("ack", reason="looking")
    assert (["acked acked"], "ana") == (desk.told("people"), incident.owner)
    rows = desk.query.history(incident.id)
    assert [("tripmeter", "opened", ""), ("ana", "acked", "looking")] == [
        (row["by"], row["change"], row["reason"]) for row in rows
    ]


def test_the_history_of_a_busy_incident_still_says_what_people_did(desk: Desk) -> None:
    desk.found(finding())
    desk.did("ack")
    desk.found(*(finding(f"g-{n}") for n in range(9)))
    rows = desk.query.history(desk.only().id, limit=3)
    assert ["opened", "acked", *["updated"] * 3] == [row["change"] for row in rows]


def test_a_button_pressed_twice_is_one_line_of_history(desk: Desk) -> None:
    desk.found(finding())
    desk.did("ack")
    desk.did("ack", 2 * HOUR)
    assert 2 == len(desk.query.history(desk.only().id))


def test_an_unknown_incident_and_an_impossible_deed_change_nothing(desk: Desk) -> None:
    desk.found(finding())
    with pytest.raises(UnknownIncident):
        desk.did("ack", id="zz")
    desk.did("resolve", id=desk.only().id[:6])
    with pytest.raises(NotPossible):
        desk.did("ack")
    assert "resolved" == desk.only().state


def test_time_resolves_what_is_quiet_and_wakes_what_is_not(desk: Desk) -> None:
    desk.found(finding())
    other = Entity(lane="credential", id="hmac:other")
    desk.found(finding("f-2", entity=other))
    busy = desk.query.incident(desk.query.incidents(entity="hmac:other")[0].id)
    assert busy is not None
    desk.did("snooze", id=busy.id)
    desk.found(finding("f-3", entity=other), after=4 * HOUR)
    desk.told("people")
    assert 2 == desk.store.tick(NOON + 7 * HOUR)
    assert 0 == desk.store.tick(NOON + 7 * HOUR)
    assert ["woke open", "resolved resolved"] == desk.told("people")


def test_an_id_with_a_nul_in_it_stops_nothing(desk: Desk) -> None:
    odd = {"entity": Entity(lane="session", id="run\0 1"), "tenant": "ac\0me"}
    desk.found(finding("a", **odd))
    desk.found(finding("b", **odd), storm("c", **odd))

    (theft,) = desk.query.incidents(family="llmjacking", tenant="ac\0me")
    (weaker,) = desk.query.incidents(family="retry-storm", entity="run\0 1")
    assert (2, "run\0 1") == (theft.count, theft.entity.id)
    assert theft.id == weaker.inhibited_by
    assert ["a create", "b create", "c create"] == desk.told("siem")


def test_old_news_of_one_incident_does_not_draw_new_findings_away_from_the_newest(
    desk: Desk,
) -> None:
    desk.found(finding("old"))
    before = desk.did("false_positive")
    desk.found(finding("new"), after=2 * HOUR)
    (newest,) = desk.query.incidents(states=("open",))

    desk.found(finding("old", revision=2), finding("newer"), after=3 * HOUR)

    assert {before.id, newest.id} == {each.id for each in desk.query.incidents()}
    (newest,) = desk.query.incidents(states=("open",))
    assert (2, ["new", "newer"]) == (newest.count, [part.id for part in newest.findings])


def test_a_recurrence_after_a_false_positive_is_a_new_incident_that_names_the_old(
    desk: Desk,
) -> None:
    desk.found(finding())
    old = desk.did("false_positive")
    desk.found(finding("f-2"), after=2 * HOUR)
    (new,) = desk.query.incidents(states=("open",))
    assert old.id == new.previous
    desk.found(finding(revision=2), after=3 * HOUR)  # of the old one
    assert [2, 1] == [len(desk.query.findings_of(each)) for each in (old.id, new.id)]


def test_a_stolen_keys_storm_waits_behind_the_theft_and_comes_out_after_it(desk: Desk) -> None:
    desk.found(finding(), storm())
    assert ["opened open"] == desk.told("people")
    theft = desk.query.incidents(family="llmjacking")[0]
    assert theft.id == desk.query.incidents(family="retry-storm")[0].inhibited_by
    desk.did("false_positive", id=theft.id)
    assert ["released open", "false_positive false_positive"] == desk.told("people")


def test_a_storm_that_was_told_before_the_theft_is_put_behind_it(desk: Desk) -> None:
    desk.found(storm())
    desk.told("people")
    desk.found(finding())
    assert ["opened open", "inhibited open"] == desk.told("people")


def test_a_providers_outage_silences_the_storms_of_its_tenants(desk: Desk) -> None:
    events = [{"id": "e", "request_model": "gpt-4o"}]

    def of(number: int) -> Finding:
        entity = Entity(lane="credential", id=f"hmac:{number}")
        return storm(f"s-{number}", entity=entity, evidence={"events": events})

    desk.found(*map(of, range(3)))
    desk.told("people")
    desk.found(storm("o", entity=OUTAGE))
    desk.found(*map(of, range(3, 6)))
    assert ["opened open", *["inhibited open"] * 3] == desk.told("people")
    outage = desk.query.incidents(entity=OUTAGE.id)[0]
    desk.did("resolve", id=outage.id)
    assert 6 == sum(told == "released open" for told in desk.told("people"))


def test_a_destination_without_room_gets_the_rest_later_and_delays_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_queue, "REFILL", 3)
    desk = Desk(tmp_path / "a.db", limit=10)
    desk.found(*(finding(f"f-{n}") for n in range(8)))
    desk.told("people")
    desk.found(*(finding(f"g-{n}") for n in range(4)))
    assert (8, ["siem"]) == (
        desk.outbox.counts()["siem"]["waiting"],
        [trouble.destination for trouble in desk.store.troubles()],
    )
    assert 1 == len(desk.waiting("people"))
    desk.found(finding("h-1"))
    desk.store.tick(NOON)
    assert (8, []) == (desk.outbox.counts()["siem"]["waiting"], desk.store.troubles())
    assert {"siem": NOON.timestamp()} == desk.outbox.outside()
    desk.told("siem")
    desk.store.tick(NOON)
    desk.found(finding("i-1"))  # still behind the others
    desk.told("people")
    got = desk.told("siem")
    desk.store.tick(NOON)
    got += desk.told("siem")
    desk.store.tick(NOON)
    desk.found(finding("j-1"))
    assert {} == desk.outbox.outside()
    got += desk.told("siem")
    expected = ("g-0", "g-1", "g-2", "g-3", "h-1", "i-1", "j-1")
    assert [f"{name} create" for name in expected] == got


def test_what_was_closed_while_there_was_no_room_is_told_as_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_queue, "REFILL", 2)
    desk = Desk(tmp_path / "a.db", limit=2)
    desk.store._limit = 1
    desk.found(finding("a"))
    desk.found(finding("b"))
    desk.did("resolve")
    assert ["a create"] == desk.told("siem")
    desk.store._limit = 10
    desk.store.tick(NOON)
    desk.store.tick(NOON)
    assert ["b create", "b close"] == desk.told("siem")


def test_old_findings_and_closed_incidents_go_active_ones_stay(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "a.db", kept=Kept(findings=2, incidents=1))
    for number in range(3):
        entity = Entity(lane="credential", id=f"hmac:{number}")
        when = NOON + number * HOUR
        desk.found(finding(f"f-{number}", entity=entity, time=when), after=number * HOUR)
    for incident in desk.query.incidents()[1:]:
        desk.did("resolve", 5 * HOUR, id=incident.id)
    with writing(desk.store.engine) as connection:
        desk.store.trim_in(connection)
    assert (["f-2", "f-1"], ["hmac:2"]) == (
        [f["id"] for f in desk.query.select()], [i.entity.id for i in desk.query.incidents()]
    )  # fmt: skip


def test_what_an_outage_took_on_the_disk_is_given_back(desk: Desk, tmp_path: Path) -> None:
    def pages(what: str) -> int:
        return int(sql(desk.store.engine, f"PRAGMA {what}")[0][0])

    desk.found(*(finding(f"f-{n}", summary="x" * 3000) for n in range(200)))
    full = pages("page_count")
    desk.told("siem")
    free = pages("freelist_count")
    with writing(desk.store.engine) as connection:
        desk.store.trim_in(connection)
    assert (0, full - free) == (pages("freelist_count"), pages("page_count"))
    assert free > 50


def test_a_database_of_another_version_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "old.db") as old:
        old.execute("CREATE TABLE findings (id TEXT, revision INTEGER, json BLOB)")
    old.close()
    with pytest.raises(BadStore, match="its table findings was made by another version"):
        open_store(tmp_path / "old.db")


def test_the_file_is_for_its_owner_alone(desk: Desk, tmp_path: Path) -> None:
    assert 0o600 == (tmp_path / "tripmeter.db").stat().st_mode & 0o777


def test_what_changed_since_is_read_in_order(desk: Desk) -> None:
    desk.found(finding())
    seen = desk.query.last_change()
    desk.found(finding("f-2", entity=Entity(lane="credential", id="hmac:2")))
    desk.did("ack", id=desk.query.incidents(states=("open",), entity=finding().entity.id)[0].id)
    changed = desk.query.incidents(changed_after=seen)
    assert ["opened", "acked"] == [each.change for each in changed]
    assert {"open": 1, "acked": 1} == desk.query.states()


def test_the_policy_is_the_operators(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "a.db", policy=Policy(quiet=HOUR))
    desk.found(finding())
    desk.store.tick(NOON + HOUR)
    assert "quiet for 1 hours" == desk.only().history[-1].reason


def test_findings_that_go_before_a_full_destination_was_told_are_announced(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path / "a.db", limit=1, kept=Kept(findings=2))
    desk.found(finding("a"))
    desk.found(*(finding(id) for id in "bcde"))
    desk.store.troubles()
    with writing(desk.store.engine) as connection:
        desk.store.trim_in(connection)
    assert [(None, 2)] == [(each.destination, each.lost) for each in desk.store.troubles()]
