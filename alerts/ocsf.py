"""A finding as an OCSF 1.8 Detection Finding, the one body that every SIEM gets.

Pure: the same finding gives the same record. All revisions of a finding share `finding_info.uid`;
`metadata.uid` names the record.
"""

import re
from datetime import datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from ipaddress import ip_address
from typing import Any, Literal

from alerts.base import Delivery
from alerts.evidence import Comparison, comparisons, events, values
from alerts.incident import Incident
from schemas.finding import Finding, Lane, Severity, as_json

OCSF_VERSION = "1.8.0"
MAX_INTEGER = 2**31 - 1  # OCSF's integer_t
MAX_OBSERVABLES = 40

try:
    PRODUCT_VERSION = version("tripmeter")
except PackageNotFoundError:  # a checkout that was not installed
    PRODUCT_VERSION = "0"

_RULE, _STATISTICAL = (1, "Rule"), (3, "Statistical")
_IP, _RESOURCE_UID, _USER_AGENT = (2, "IP Address"), (10, "Resource UID"), (16, "HTTP User-Agent")
_ACTIVITIES = {"create": (1, "Create"), "update": (2, "Update"), "close": (3, "Close")}
_STATUSES = {
    "open": (1, "New"),
    "acked": (2, "In Progress"),
    "snoozed": (3, "Suppressed"),
    "false_positive": (3, "Suppressed"),
    "resolved": (4, "Resolved"),
}
_KINDS: dict[Lane, str] = {
    "credential": "API key",
    "session": "LLM session",
    "resource": "resource",
    "service": "service",
    "origin": "client address",
}


def body_of(delivery: Delivery) -> dict[str, Any]:
    """The record of what is to be told."""
    return to_ocsf(
        delivery.finding, uid=delivery.key, activity=delivery.activity, incident=delivery.incident
    )


def to_ocsf(
    finding: Finding,
    product_version: str = PRODUCT_VERSION,
    *,
    uid: str | None = None,
    activity: Literal["create", "update", "close"] | None = None,
    incident: Incident | None = None,
) -> dict[str, Any]:
    """The record, as plain JSON values. Times are epoch milliseconds.

    Args:
        uid: of this record; a finding's id and revision when left out.
        activity: follows from the revision when left out.
        incident: what people made of it; None while it is a finding and nothing more.
    """
    activity = activity or ("create" if finding.revision == 1 else "update")
    activity_id, activity_name = _ACTIVITIES[activity]
    status_id, status = _STATUSES[incident.state] if incident else _STATUSES["open"]
    time = _ms(incident.changed if incident else finding.time)
    record: dict[str, Any] = {
        "activity_id": activity_id,
        "activity_name": activity_name,
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": 2004,
        "class_name": "Detection Finding",
        "type_uid": 200400 + activity_id,
        "type_name": f"Detection Finding: {activity_name}",
        "severity_id": finding.severity.rank,
        "severity": severity_name(finding.severity),
        "status_id": status_id,
        "status": status,
        "time": time,
        "start_time": _ms(finding.since),
        "end_time": _ms(finding.time),
        "timezone_offset": 0,
        "message": finding.summary,
        "is_alert": finding.mode == "active",
        "metadata": _metadata(finding, product_version, uid),
        "finding_info": _finding_info(finding, time, first=activity == "create"),
        "evidences": _evidences(finding),
        "resources": [_resource(finding)],
        "observables": _observables(finding),
        "unmapped": _unmapped(finding),
    }
    calls = _calls(finding)
    if calls is not None:
        record["count"] = calls
    if compared := comparisons(finding):
        record["anomaly_analyses"] = [_analysis(finding, compared)]
    if finding.runbook:
        steps = [f"{number}. {step}" for number, step in enumerate(finding.runbook, 1)]
        record["remediation"] = {"desc": "\n".join(steps)}
    if incident:
        record["status_detail"] = _told(incident)
        record["unmapped"]["incident"] = {"id": incident.id, "revision": incident.revision}
    return record


def _told(incident: Incident) -> str:
    """Who did what last, and why."""
    entry = incident.history[-1]
    return f"{entry.change} by {entry.by}" + (f": {entry.reason}" if entry.reason else "")


def severity_name(severity: Severity) -> str:
    """OCSF's caption: `Critical`."""
    return severity.value.capitalize()


def _metadata(finding: Finding, product_version: str, uid: str | None) -> dict[str, Any]:
    entity = finding.entity
    metadata: dict[str, Any] = {
        "version": OCSF_VERSION,
        "profiles": ["security_control"],
        "product": {
            "name": "Tripmeter",
            "vendor_name": "Tripmeter",
            "version": product_version,
            "feature": {"name": finding.detector, "version": finding.provenance.detector_version},
        },
        "uid": uid or f"{finding.id}#{finding.revision}",
        "sequence": finding.revision,
        "event_code": finding.detector,
        "correlation_uid": f"{finding.family}:{entity.lane}:{entity.id}",
        "log_name": "tripmeter.findings",
        "original_time": finding.time.isoformat(),
    }
    if finding.tenant is not None:
        metadata["tenant_uid"] = finding.tenant
    return metadata


def _finding_info(finding: Finding, modified: int, *, first: bool) -> dict[str, Any]:
    kind_id, kind = _RULE if finding.probability is None else _STATISTICAL
    time, since = _ms(finding.time), _ms(finding.since)
    info: dict[str, Any] = {
        "uid": finding.id,
        "title": finding.title,
        "desc": finding.summary,
        "types": [finding.family],
        "modified_time": modified,
        "first_seen_time": since,
        "last_seen_time": time,
        "analytic": {
            "type_id": kind_id,
            "type": kind,
            "uid": finding.detector,
            "name": finding.detector,
            "version": finding.provenance.detector_version,
        },
    }
    if first:
        info["created_time"] = time
    if finding.event_ids:
        info["related_events"] = [{"uid": id} for id in finding.event_ids]
        info["related_events_count"] = _calls(finding) or len(finding.event_ids)
    if attacks := _attacks(finding):
        info["attacks"] = attacks
    return info


def _attacks(finding: Finding) -> list[dict[str, Any]]:
    attacks = []
    for technique in finding.techniques:
        if technique.framework != "MITRE ATT&CK":
            continue
        parent, dot, _ = technique.id.partition(".")
        name, colon, sub_name = technique.name.partition(": ")
        attack: dict[str, Any] = {
            "version": technique.version,
            "technique": {"uid": parent, "name": name},
        }
        if dot:
            attack["sub_technique"] = {
                "uid": technique.id,
                "name": sub_name if colon else technique.name,
            }
            if not colon:
                del attack["technique"]["name"]  # the name given is the sub-technique's
        attacks.append(attack)
    return attacks


def _evidences(finding: Finding) -> list[dict[str, Any]]:
    rest = {name: value for name, value in finding.evidence.items() if name != "events"}
    found: list[dict[str, Any]] = [{"name": "what was seen", "data": rest}]
    for event in events(finding):
        evidence: dict[str, Any] = {"name": "event", "data": event}
        if isinstance(id := event.get("id"), str):
            evidence["uid"] = id
        address = event.get("client_address")
        if isinstance(address, str) and address:
            evidence["src_endpoint"] = _endpoint(address)
        if isinstance(agent := event.get("user_agent"), str):
            evidence["http_request"] = {"user_agent": agent}
        found.append(evidence)
    return found


def _endpoint(address: str) -> dict[str, Any]:
    return {"name": address, "ip": address} if is_ip(address) else {"name": address}


def _resource(finding: Finding) -> dict[str, Any]:
    resource: dict[str, Any] = {"uid": finding.entity.id, "type": _KINDS[finding.entity.lane]}
    if finding.tenant is not None:
        resource["owner"] = {"uid": finding.tenant, "org": {"uid": finding.tenant}}
    return resource


def _observables(finding: Finding) -> list[dict[str, Any]]:
    found = [("resources.uid", finding.entity.id, _RESOURCE_UID)]
    addresses = filter(is_ip, values(finding, "client_address"))
    found += [("evidences.src_endpoint.ip", address, _IP) for address in addresses]
    agents = values(finding, "user_agent")
    found += [("evidences.http_request.user_agent", agent, _USER_AGENT) for agent in agents]
    return [
        {"name": name, "value": value, "type_id": number, "type": caption}
        for name, value, (number, caption) in found[:MAX_OBSERVABLES]
    ]


def _analysis(finding: Finding, compared: list[Comparison]) -> dict[str, Any]:
    def observed(value: float, pattern: str, each: Comparison) -> dict[str, Any]:
        return {
            "observation_parameter": each.feature,
            "observation_type": pattern,
            "observations": [{"value": f"{value:.9g}"}],
        }

    return {
        "analysis_targets": [
            {"name": finding.entity.id, "type": _KINDS[finding.entity.lane]},
        ],
        "anomalies": [observed(each.seen, "total of the window", each) for each in compared],
        "baselines": [observed(each.usual, "usual total", each) for each in compared],
    }


def _unmapped(finding: Finding) -> dict[str, Any]:
    """What OCSF has no place for."""
    others = [t for t in finding.techniques if t.framework != "MITRE ATT&CK"]
    return {
        "revision": finding.revision,
        "final": finding.final,
        "mode": finding.mode,
        "probability": finding.probability,
        "cost_usd": finding.cost_usd,
        "techniques": [as_json(technique) for technique in others],
        "provenance": as_json(finding.provenance),
    }


def _calls(finding: Finding) -> int | None:
    totals = finding.evidence.get("totals")
    calls = totals.get("calls") if isinstance(totals, dict) else None
    return calls if isinstance(calls, int) and 0 < calls <= MAX_INTEGER else None


@lru_cache(maxsize=4096)  # the same few addresses come up in finding after finding
def is_ip(text: str) -> bool:
    """Whether a SIEM takes a text as an address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return not re.search("[%/]", text)  # a scoped address is not an ip_t


def _ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)
