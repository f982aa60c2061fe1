"""What somebody who may see only some tenants sees of a finding: nobody else's name or events."""

import re
from collections.abc import Collection
from typing import Any

from pydantic import JsonValue

from alerts.feed.identity import Identity
from alerts.incident import Incident
from schemas.finding import Finding

ANOTHER = "another tenant"
_NAMES_A_TENANT = re.compile("tenant|owner|_by$|_under$")


def finding_for(who: Identity, finding: Finding, tenants: Collection[str]) -> Finding:
    """The finding without other tenants' names and events.

    Args:
        tenants: every tenant that is known.
    """
    if who.tenants is None:
        return finding
    hidden = _hidden(who, tenants, finding.evidence)
    evidence = {name: _clean(value, hidden, who) for name, value in finding.evidence.items()}
    events = evidence.get("events")
    if isinstance(events, list):
        evidence["events"] = [e for e in events if not isinstance(e, dict) or _own(e, who)]
    events = evidence.get("events")
    kept = {e.get("id") for e in events or () if isinstance(e, dict)}
    return finding.model_copy(
        update={
            "evidence": evidence,
            "summary": _text(finding.summary, hidden),
            "title": _text(finding.title, hidden),
            "event_ids": tuple(id for id in finding.event_ids if id in kept),
        }
    )


def incident_for(who: Identity, incident: Incident, tenants: Collection[str]) -> Incident:
    """The incident without other tenants' names."""
    if who.tenants is None:
        return incident
    hidden = set(tenants) - who.tenants
    history = tuple(
        e.model_copy(update={"reason": _text(e.reason, hidden)}) for e in incident.history
    )
    return incident.model_copy(
        update={
            "summary": _text(incident.summary, hidden),
            "title": _text(incident.title, hidden),
            "history": history,
        }
    )


def _hidden(who: Identity, tenants: Collection[str], evidence: dict[str, JsonValue]) -> set[str]:
    found = set(tenants)

    def look(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, each in value.items():
                look(key, each)
        elif isinstance(value, list):
            for each in value:
                look(name, each)
        elif isinstance(value, str) and _NAMES_A_TENANT.search(name):
            found.add(value)

    look("", evidence)
    return found - (who.tenants or frozenset()) - {""}


def _own(event: dict[str, Any], who: Identity) -> bool:
    tenant = event.get("tenant_id")
    return tenant is None or tenant == ANOTHER or who.sees(str(tenant))


def _clean(value: Any, hidden: set[str], who: Identity) -> Any:
    if isinstance(value, str):
        return _text(value, hidden)
    if isinstance(value, list):
        own = [v for v in value if not isinstance(v, dict) or _own(v, who)]
        return [_clean(each, hidden, who) for each in own]
    if isinstance(value, dict):
        return {_text(name, hidden): _clean(each, hidden, who) for name, each in value.items()}
    return value


def _text(text: str, hidden: Collection[str]) -> str:
    if text in hidden:
        return ANOTHER
    for name in hidden:
        if name in text:
            text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", ANOTHER, text)
    return text
