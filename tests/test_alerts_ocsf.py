"""Findings as OCSF Detection Findings."""

import json
from datetime import timedelta
from typing import Any

import pytest

from alerts.base import Delivery
from alerts.incident import Action, Incident, Policy
from alerts.incident_steps import act, receive
from alerts.ocsf import body_of, to_ocsf
from alerts.ocsf_fit import encoded, fitted
from schemas.finding import FAMILIES, LANES, Entity, Finding, Severity
from tests.alerts_fakes import NOON, finding, golden, hostile, rich
from tests.ocsf_schema import problems

POLICY, LATER = Policy(), NOON + timedelta(hours=2)
EVERY = [
    finding(),
    rich(),
    rich(2, final=True),
    *(hostile(lane) for lane in LANES),
    *(finding(severity=severity) for severity in Severity),
    *(finding(family=family, tenant=None) for family in FAMILIES),
    finding(evidence={"usual": 3, "events": "no", "totals": []}),
    rich(evidence={"events": [{"client_address": "2001:db8::1"}, {"client_address": "masked"}]}),
]


@pytest.mark.parametrize("each", EVERY)
def test_every_finding_is_a_valid_detection_finding(each: Finding) -> None:
    assert problems(to_ocsf(each)) == []


def test_the_record_is_what_the_golden_file_says() -> None:
    record = to_ocsf(rich(), "0")
    assert golden("ocsf-create.json", record) == record


def test_a_later_revision_is_what_the_golden_file_says() -> None:
    record = to_ocsf(rich(2, final=True), "0")
    assert golden("ocsf-update.json", record) == record


def test_revisions_share_one_uid_and_differ_in_their_own() -> None:
    first, second = to_ocsf(rich(1)), to_ocsf(rich(2))
    assert ("f-1", "f-1") == (first["finding_info"]["uid"], second["finding_info"]["uid"])
    assert ("f-1#1", "f-1#2") == (first["metadata"]["uid"], second["metadata"]["uid"])
    assert ("Create", "Update") == (first["activity_name"], second["activity_name"])


def test_a_finding_whose_incident_is_closed_is_closed_under_the_same_uid() -> None:
    closed = act(opened(), Action(verb="resolve", by="ana", at=LATER, reason="key revoked"), POLICY)
    record = body_of(Delivery("f-1#closed-2", finding(), closed))
    assert [] == problems(record)
    assert ("f-1", "f-1#closed-2", "Close", 200403, "Resolved") == (
        record["finding_info"]["uid"],
        record["metadata"]["uid"],
        record["activity_name"],
        record["type_uid"],
        record["status"],
    )
    assert ("resolved by ana: key revoked", round(LATER.timestamp() * 1000)) == (
        record["status_detail"],
        record["time"],
    )


@pytest.mark.parametrize(
    ("verb", "expected"),
    [
        ("ack", ("Update", "In Progress")),
        ("snooze", ("Update", "Suppressed")),
        ("false_positive", ("Close", "Suppressed")),
        ("expected", ("Close", "Resolved")),
    ],
)
def test_what_people_decide_is_the_status(verb: Any, expected: tuple[str, str]) -> None:
    incident = act(opened(), Action(verb=verb, by="ana", at=LATER), POLICY)
    record = body_of(Delivery("f-1#x-2", finding(), incident))
    assert ([], *expected) == (problems(record), record["activity_name"], record["status"])


def test_a_reopened_finding_is_an_update_that_is_new_again() -> None:
    closed = act(opened(), Action(verb="resolve", by="ana", at=LATER), POLICY)
    again = act(closed, Action(verb="reopen", by="ben", at=LATER), POLICY)
    record = body_of(Delivery("f-1#reopened-3", finding(), again))
    assert ([], "Update", "New") == (problems(record), record["activity_name"], record["status"])


def opened() -> Incident:
    return receive(None, finding(), NOON, POLICY)


@pytest.mark.parametrize("limit", [4096, 8192, 100_000])
@pytest.mark.parametrize("each", EVERY)
def test_a_record_fits_below_a_limit_and_stays_valid(each: Finding, limit: int) -> None:
    full = to_ocsf(each)
    line = fitted(full, limit)
    record = json.loads(line)
    assert (True, []) == (len(line) <= limit, problems(record))
    shortened = record["unmapped"].get("truncated", False)
    assert (len(encoded(full)) > limit) == shortened
    assert (full["severity_id"], full["metadata"]["event_code"]) == (
        record["severity_id"],
        record["metadata"]["event_code"],
    )


@pytest.mark.parametrize("each", EVERY)
def test_ids_stay_whole_however_short_a_record_has_to_be(each: Finding) -> None:
    whole = each.model_copy(update={"id": "0123456789abcdef" * 2})
    full = to_ocsf(whole, uid=f"{whole.id}#closed-12")
    short = json.loads(fitted(full, 100))  # as short as it gets
    told = (short["metadata"]["uid"], short["finding_info"]["uid"])
    assert (f"{whole.id}#closed-12", whole.id) == told


def test_findings_of_one_family_on_one_key_correlate() -> None:
    probe, spend = to_ocsf(finding("f-1")), to_ocsf(rich(id="f-2"))
    assert "llmjacking:credential:hmac:819685611e044dc4" == probe["metadata"]["correlation_uid"]
    assert probe["metadata"]["correlation_uid"] == spend["metadata"]["correlation_uid"]


def test_a_detector_on_trial_raises_no_alert() -> None:
    assert (False, True) == (
        to_ocsf(finding(mode="monitor"))["is_alert"],
        to_ocsf(finding())["is_alert"],
    )


def test_the_habit_stands_beside_what_was_seen_in_dollars() -> None:
    analysis = to_ocsf(rich())["anomaly_analyses"][0]

    def read(name: str) -> dict[str, str]:
        return {
            each["observation_parameter"]: each["observations"][0]["value"]
            for each in analysis[name]
        }

    assert {"tokens": "9000000", "cost_usd": "42"} == read("anomalies")
    assert {"tokens": "12000", "cost_usd": "0.21"} == read("baselines")


def test_an_entity_that_is_no_address_is_no_address_to_a_siem() -> None:
    record = to_ocsf(rich(evidence={"events": [{"client_address": "proxy.internal"}]}))
    assert {"name": "proxy.internal"} == record["evidences"][1]["src_endpoint"]
    assert "IP Address" not in {each["type"] for each in record["observables"]}


def test_a_record_is_one_line_of_ascii_whatever_an_attacker_writes() -> None:
    line = json.dumps(to_ocsf(hostile()))
    assert (True, 1) == (line.isascii(), len(line.splitlines()))


@pytest.mark.parametrize("odd", [10**30, "\ud800", "é", 1.5, None, True])
def test_every_value_that_json_knows_is_written_in_ascii(odd: object) -> None:
    line = encoded({"a": odd})
    assert (True, {"a": odd}) == (line.isascii(), json.loads(line))


def test_a_technique_with_a_point_is_a_sub_technique() -> None:
    attack = to_ocsf(rich())["finding_info"]["attacks"]
    expected: list[dict[str, Any]] = [
        {
            "version": "18",
            "technique": {"uid": "T1496", "name": "Resource Hijacking"},
            "sub_technique": {"uid": "T1496.004", "name": "Cloud Service Hijacking"},
        }
    ]
    assert expected == attack


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"bogus": 1}, "bogus is not in the schema"),
        ({"severity_id": "5"}, "severity_id is not a integer_t"),
        ({"severity_id": 77}, "severity_id is not one of its values"),
        ({"activity_id": 2}, "type_uid does not fit activity_id"),
        ({"evidences": [{"name": "x"}]}, "evidences[0]: at_least_one"),
        ({"device": {}}, "device needs profile host"),
    ],
)
def test_the_check_itself_finds_what_is_wrong(change: dict[str, Any], problem: str) -> None:
    found = problems({**to_ocsf(finding()), **change})
    assert [True] == [each.startswith(problem) for each in found][:1]


def test_the_check_misses_nothing_required() -> None:
    record = to_ocsf(finding(entity=Entity(lane="origin", id="203.0.113.9")))
    del record["finding_info"]["uid"]
    assert ["finding_info.uid is missing"] == problems(record)
