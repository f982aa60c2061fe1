"""A finding as an Elastic Common Schema alert.

A field for everything one filters by, from a fixed list of names, so that no attacker can make
fields; the whole OCSF record stands in `event.original` as text.
"""

from datetime import UTC, datetime
from typing import Any

from alerts.base import Delivery
from alerts.evidence import values
from alerts.ocsf import body_of, is_ip
from alerts.ocsf_fit import fitted
from schemas.finding import Finding, Severity

ECS_VERSION = "9.4.0"
MAX_ORIGINAL = 256 * 1024  # bytes of the OCSF record
RISKS = {  # as Elastic's own rules grade them, of 100
    Severity.INFO: 5,
    Severity.LOW: 21,
    Severity.MEDIUM: 47,
    Severity.HIGH: 73,
    Severity.CRITICAL: 99,
}


def to_ecs(delivery: Delivery) -> dict[str, Any]:
    """The document, as plain JSON values; what is not known is left out."""
    finding, body = delivery.finding, body_of(delivery)
    risk = RISKS[finding.severity]
    addresses = [each for each in values(finding, "client_address") if is_ip(each)]
    document = {
        "@timestamp": _instant(body["time"]),
        "ecs": {"version": ECS_VERSION},
        "message": finding.summary,
        "event": {
            "kind": "alert" if finding.mode == "active" else "event",
            "category": ["intrusion_detection"],
            "type": ["info"],
            "id": delivery.key,
            "action": delivery.activity,
            "provider": "tripmeter",
            "module": "tripmeter",
            "dataset": "tripmeter.findings",
            "severity": risk,
            "risk_score": risk,
            "start": _instant(body["start_time"]),
            "end": _instant(body["end_time"]),
            "original": fitted(body, MAX_ORIGINAL).decode(),
        },
        "rule": {
            "id": finding.detector,
            "name": finding.title,
            "version": finding.provenance.detector_version,
            "category": finding.family,
        },
        "threat": _threat(finding),
        "organization": {"id": finding.tenant},
        "source": {"ip": addresses},
        "related": {"ip": addresses},
        "user_agent": {"original": values(finding, "user_agent")},
        "gen_ai": {"request": {"model": values(finding, "request_model")}},
        "tripmeter": {
            "finding": {"id": finding.id, "revision": finding.revision, "final": finding.final},
            "entity": {"lane": finding.entity.lane, "id": finding.entity.id},
            "mode": finding.mode,
            "status": body["status"],
            "status_detail": body.get("status_detail"),
            "incident": {"id": delivery.incident.id if delivery.incident else None},
            "cost_usd": finding.cost_usd,
            "probability": finding.probability,
        },
    }
    known: dict[str, Any] = _known(document)
    return known


def _threat(finding: Finding) -> dict[str, Any]:
    attacks = [each for each in finding.techniques if each.framework == "MITRE ATT&CK"]
    if not attacks:
        return {}
    parents: dict[str, str] = {}
    for each in attacks:
        parent, dot, _ = each.id.partition(".")
        name, colon, _ = each.name.partition(": ")
        if colon or not dot:  # else the name is the sub-technique's
            parents[parent] = name
        parents.setdefault(parent, "")
    sub = [each for each in attacks if "." in each.id]
    return {
        "framework": "MITRE ATT&CK",
        "technique": {
            "id": list(parents),
            "name": [name for name in parents.values() if name],
            "subtechnique": {
                "id": [each.id for each in sub],
                "name": [each.name.partition(": ")[2] or each.name for each in sub],
            },
        },
    }


def _known(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _known(each) for name, each in value.items()}
    return {name: each for name, each in inner.items() if each not in (None, [], {})}


def _instant(milliseconds: int) -> str:
    instant = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")
