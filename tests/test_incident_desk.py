"""What people decide: acted on at once, told to the core, and never for ever."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from alerts.incident import Action
from alerts.incident_desk import Desk
from alerts.silences import BadSilence
from alerts.store import AlertStore, UnknownIncident
from schemas.finding import Severity
from schemas.records import Control
from streams.controls import Controls
from streams.output import CoreSettings
from tests.alerts_fakes import KEY, NOON, finding

DAY = timedelta(days=1)


class Office:
    """A desk, its clock, and what the core heard from it."""

    def __init__(self, folder: Path) -> None:
        self.now = NOON
        self.heard: list[Control] = []
        self.store = AlertStore(folder / "tripmeter.db")
        self.desk = Desk(self.store, self.heard.append, now=lambda: self.now)

    def found(self, *ids: str, at: datetime = NOON, **changes: Any) -> None:
        self.store.record([finding(id, time=at, **changes) for id in ids], now=at)

    def did(self, verb: Any, **more: Any) -> Any:
        incident = self.desk._query.incidents()[0]
        return self.desk.act(incident.id, Action(verb=verb, by="ana", at=self.now, **more))

    def hides(self, found: Any) -> bool:
        controls = Controls(CoreSettings())
        for number, control in enumerate(self.heard):
            controls.add(control, number)
        later = found.provenance.model_copy(update={"position": 100})
        return controls.apply(found.model_copy(update={"provenance": later})) is None


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_what_is_expected_is_closed_and_hidden_until_its_end(office: Office) -> None:
    office.found("a", at=NOON - DAY / 24)
    incident = office.did("expected", reason="load test", until=NOON + DAY)
    assert ("resolved", "expected: load test") == (incident.state, incident.history[-1].reason)
    assert ["key-probe"] == [control.detector for control in office.heard]
    assert office.hides(finding("a", 2, time=NOON - DAY / 24))
    assert office.hides(finding("b", time=NOON + DAY / 2))
    assert not office.hides(finding("b", time=NOON + 2 * DAY))
    assert not office.hides(finding("b", detector="model-sweep"))


def test_what_is_expected_needs_a_reason(office: Office) -> None:
    office.found("a")
    with pytest.raises(BadSilence, match="an owner and a reason"):
        office.did("expected")
    assert ([], "open") == (office.heard, office.desk._query.incidents()[0].state)


def test_what_is_expected_ends_by_itself_after_a_month(office: Office) -> None:
    office.found("a")
    office.did("expected", reason="new batch job")
    assert [NOON + 30 * DAY] == [control.until for control in office.heard]


def test_other_deeds_are_no_business_of_the_core(office: Office) -> None:
    office.found("a")
    for verb in ("ack", "snooze", "false_positive", "reopen", "resolve"):
        office.did(verb)
    assert [] == office.heard


def test_an_unknown_incident_is_expected_by_nobody(office: Office) -> None:
    with pytest.raises(UnknownIncident):
        office.desk.act("zz", Action(verb="expected", by="ana", at=NOON, reason="x"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"owner": " "}, "an owner and a reason"),
        ({"reason": ""}, "an owner and a reason"),
        ({"until": NOON}, "has passed"),
        ({"until": NOON + 400 * DAY}, "within a year"),
        ({"tenant": None}, "would hide everything"),
    ],
)
def test_a_silence_nobody_can_stand_up_for_is_refused(
    office: Office, changes: dict[str, Any], reason: str
) -> None:
    good = {"owner": "ana", "reason": "migration", "until": NOON + DAY, "tenant": "acme"}
    with pytest.raises(BadSilence, match=reason):
        office.desk.silence(**{**good, **changes})
    assert ([], []) == (office.heard, office.desk.silences.list(NOON, all=True))


def test_a_silence_has_an_owner_a_reason_and_an_end_and_can_be_ended(office: Office) -> None:
    made = office.desk.silence(
        owner="ana", reason="migration", until=NOON + DAY, tenant="acme", detector="key-probe"
    )
    assert office.hides(finding(time=NOON + DAY / 2))
    assert [made] == office.desk.silences.list(NOON)
    office.now = NOON + DAY / 4
    ended = office.desk.end(made.control.id[:8], "ben")
    assert not office.hides(finding(time=NOON + DAY / 2))
    assert ([], "migration (ended by ben)") == (
        office.desk.silences.list(office.now), ended.control.reason
    )  # fmt: skip
    assert [True] == [s.ended is not None for s in office.desk.silences.list(NOON, all=True)]
    with pytest.raises(BadSilence, match="no single silence"):
        office.desk.end(made.control.id, "ben")


def test_a_silence_that_has_run_out_is_not_in_force(office: Office) -> None:
    office.desk.silence(owner="ana", reason="x", until=NOON + DAY, tenant="acme")
    assert [] == office.desk.silences.list(NOON + 2 * DAY)


def test_a_preview_says_what_a_silence_would_have_hidden(office: Office) -> None:
    office.found("old", at=NOON - 31 * DAY)
    office.found("a", "b", at=NOON - DAY, severity=Severity.CRITICAL)
    office.did("ack")
    office.found("c", at=NOON - DAY, tenant="globex", entity=KEY.model_copy(update={"id": "x"}))
    draft = office.desk.drafted("ana", "x", NOON + DAY, None, None, "acme")
    preview = office.desk.preview(draft)
    assert (2, 1, 1, Severity.CRITICAL, {"acked": 1}) == (
        preview.findings, preview.incidents, preview.true_alarms, preview.worst, preview.states
    )  # fmt: skip
    assert (
        "It would have hidden 2 findings in the last 30 days: 1 incidents, 1 of which people took"
        " seriously; the worst was critical." == preview.told
    )
    nobody = office.desk.drafted("ana", "x", NOON + DAY, "none-such", None, None)
    assert "It would have hidden nothing in the last 30 days." == office.desk.preview(nobody).told
    assert [] == office.heard


def test_a_preview_and_the_core_agree_on_what_is_hidden(office: Office) -> None:
    several = [
        finding(f"{n}", detector=d, tenant=t, entity=e, time=NOON - DAY)
        for n, (d, t, e) in enumerate(
            (d, t, e)
            for d in ("key-probe", "model-sweep")
            for t in ("acme", None)
            for e in (KEY, KEY.model_copy(update={"lane": "session"}))
        )
    ]
    office.store.record(several, now=NOON)
    for detector in (None, "key-probe"):
        for tenant in (None, "acme"):
            for entity in (None, KEY):
                if detector or tenant or entity:
                    draft = office.desk.drafted("ana", "x", NOON + DAY, detector, entity, tenant)
                    then = draft.model_copy(update={"effective": NOON - 30 * DAY})
                    office.heard = [then]
                    hidden = sum(office.hides(each) for each in several)
                    assert hidden == office.desk.preview(draft).findings
