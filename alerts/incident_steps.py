"""How an incident changes: a finding comes, somebody acts, time passes, a stronger one covers it.

Pure: each function takes an incident and what happened, and gives the next revision, or the same
object when nothing changed. No clock: every instant is passed in.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal

from alerts.incident import (
    MAX_FINDINGS,
    MAX_HISTORY,
    MAX_TOLD,
    RUNNER,
    Action,
    Change,
    Entry,
    Incident,
    NotPossible,
    Part,
    Policy,
    State,
    key_of,
    services_of,
)
from schemas.finding import Finding

Covered = Callable[[Incident], str | None]  # id of the incident that covers this one


def nothing_covers(incident: Incident) -> None:
    """For those who know of no other incident."""


def receive(
    current: Incident | None,
    finding: Finding,
    now: datetime,
    policy: Policy,
    covered: Covered = nothing_covers,
    *,
    seen: bool = False,
) -> Incident:
    """The incident after a finding of its key.

    A finding (or revision) it has already changes nothing. A later revision never reopens a closed
    incident: it is old news.

    Args:
        current: the newest incident of that key, if any; of a finding told before, its own.
        seen: `current` had an earlier revision of this finding, though it may not name it any more.
    """
    if current is None:
        return _open(finding, now, None, covered)
    known = next((part for part in current.findings if part.id == finding.id), None)
    if known is not None and known.revision >= finding.revision:
        return current
    seen = seen or known is not None
    merged = _merge(current, finding, known, now, seen=seen)
    if seen and not current.active:
        return _step(merged, "updated", now)
    if not current.active:
        closed = current.closed or current.changed
        if current.state == "false_positive" or now - closed > policy.reopen:
            return _open(finding, now, current, covered)
        merged = merged.model_copy(update={"severity": finding.severity, "inhibited_by": None})
        again: dict[str, Any] = {"state": "open", "closed": None, "until": None}
        again["inhibited_by"] = by = covered(merged)
        again["told"] = merged.told or (merged.mode == "active" and by is None)
        return _step(merged, "reopened", now, again, reason="it happens again")
    by = covered(merged)
    if by != current.inhibited_by:
        return inhibit(merged, by, now)
    if merged.mode == "active" and by is None and not current.told:
        return _step(merged, "opened", now, {"told": True})
    if merged.severity.rank > current.severity.rank and current.mode == "active":
        back: dict[str, Any] = {"state": "open", "until": None}
        return _step(merged, "worse", now, back, reason=f"now {merged.severity}")
    return _step(merged, "updated", now)


def act(incident: Incident, action: Action, policy: Policy) -> Incident:
    """The incident after somebody did something; doing the same again changes nothing.

    Raises:
        NotPossible: such as to acknowledge what is resolved.
    """
    now, by, why = action.at, action.by, action.reason[:MAX_TOLD]
    match action.verb:
        case "ack" | "snooze":
            if not incident.active:
                raise NotPossible(f"it is {incident.state}; reopen it first")
            until = action.until or now + (policy.ack if action.verb == "ack" else policy.snooze)
            if until <= now:
                raise NotPossible(f"its end {until.isoformat()} has passed")
            state: Literal["acked", "snoozed"] = "acked" if action.verb == "ack" else "snoozed"
            if incident.state == state and action.until in (None, incident.until):
                return incident  # pressed twice
            update: dict[str, Any] = {"state": state, "until": until}
            if state == "acked":
                update["owner"] = by
            return _step(incident, state, now, update, by=by, reason=why)
        case "resolve" | "false_positive" | "expected":
            closed: State = "false_positive" if action.verb == "false_positive" else "resolved"
            if incident.state == closed:
                return incident
            if action.verb == "expected":
                why = f"expected: {why}" if why else "expected"
            return _close(incident, closed, now, by, why)
        case "reopen":
            if incident.state == "open":
                return incident
            back = {"state": "open", "until": None, "closed": None, "touched": now}
            return _step(incident, "reopened", now, back, by=by, reason=why)
        case "assign":
            if incident.owner == action.owner:
                return incident
            return _step(incident, "noted", now, {"owner": action.owner}, by=by, reason=why)
        case "note":
            if not why:
                raise NotPossible("a note needs a text")
            return _step(incident, "noted", now, by=by, reason=why)


def due(incident: Incident, policy: Policy) -> datetime | None:
    """When `tick` will change it; None when it is closed."""
    if not incident.active:
        return None
    if incident.state == "open":
        return incident.touched + policy.quiet
    return incident.until


def tick(incident: Incident, now: datetime, policy: Policy) -> Incident:
    """The incident as time passes: quiet ones resolve, acks and snoozes run out."""
    end = due(incident, policy)
    if end is None or now < end:
        return incident
    if now - incident.touched >= policy.quiet:
        hours = policy.quiet.total_seconds() / 3600
        return _close(incident, "resolved", now, RUNNER, f"quiet for {hours:g} hours")
    what = "acknowledgement" if incident.state == "acked" else "snooze"
    back = {"state": "open", "until": None}
    return _step(incident, "woke", now, back, reason=f"the {what} ran out")


def inhibit(incident: Incident, by: str | None, now: datetime) -> Incident:
    """The incident covered by another one, or (`by` is None) by none any more."""
    if incident.inhibited_by == by:
        return incident
    if by is not None:
        update: dict[str, Any] = {"inhibited_by": by}
        return _step(incident, "inhibited", now, update, reason=f"part of {by}")
    change: Change = "released" if incident.state == "open" else "noted"
    told = incident.told or (change == "released" and incident.mode == "active")
    update = {"inhibited_by": None, "told": told}
    return _step(incident, change, now, update, reason="stands alone now")


def _open(finding: Finding, now: datetime, previous: Incident | None, covered: Covered) -> Incident:
    """A new one; its id follows from its first finding, so that a repetition gives the same."""
    key = key_of(finding.family, finding.entity)
    part = _part(finding)
    incident = Incident(
        id=hashlib.blake2b(f"{key}\0{finding.id}".encode(), digest_size=10).hexdigest(),
        entity=finding.entity,
        family=finding.family,
        tenant=finding.tenant,
        severity=finding.severity,
        mode=finding.mode,
        title=finding.title,
        summary=finding.summary,
        detectors=(finding.detector,),
        services=services_of(finding),
        since=finding.since,
        last=finding.time,
        opened=now,
        changed=now,
        touched=now,
        findings=(part,),
        costs={} if part.cost_usd is None else {part.source: part.cost_usd},
        previous=previous.id if previous else None,
    )
    by = covered(incident)
    reasons = [f"before it: {previous.id} ({previous.state})"] if previous else []
    reasons += [f"part of {by}"] if by else []
    entry = Entry(at=now, by=RUNNER, change="opened", reason="; ".join(reasons))
    told = finding.mode == "active" and by is None
    return incident.model_copy(update={"history": (entry,), "inhibited_by": by, "told": told})


def _merge(
    current: Incident, finding: Finding, known: Part | None, now: datetime, *, seen: bool
) -> Incident:
    part = _part(finding)
    costs = dict(current.costs)
    if part.cost_usd is not None and (known or not seen):  # else it was added long ago
        before = known.cost_usd if known and known.cost_usd else 0.0
        costs[part.source] = max(0.0, costs.get(part.source, 0.0) - before) + part.cost_usd
    rest = tuple(each for each in current.findings if each.id != finding.id)
    update: dict[str, Any] = {
        "findings": (*rest, part)[-MAX_FINDINGS:],
        "count": current.count + (not seen),
        "costs": costs,
        "detectors": tuple(dict.fromkeys((*current.detectors, finding.detector))),
        "services": tuple(dict.fromkeys((*current.services, *services_of(finding))))[:20],
        "since": min(current.since, finding.since),
        "last": max(current.last, finding.time),
    }
    if not seen:
        update["touched"] = now
    if finding.mode == "active":
        update["mode"] = "active"
    speaks = finding.mode == "active" or current.mode == "monitor"
    if speaks and finding.severity.rank >= current.severity.rank:
        update |= {
            "severity": finding.severity,
            "title": finding.title,
            "summary": finding.summary,
        }
    return current.model_copy(update=update)


def _part(finding: Finding) -> Part:
    window = finding.evidence.get("window")
    spec = window.get("spec") if isinstance(window, dict) else None
    source = f"{finding.detector} {spec}" if isinstance(spec, str) else finding.detector
    return Part(id=finding.id, revision=finding.revision, source=source, cost_usd=finding.cost_usd)


def _close(incident: Incident, state: State, now: datetime, by: str, reason: str) -> Incident:
    change: Change = "false_positive" if state == "false_positive" else "resolved"
    update = {"state": state, "until": None, "closed": now}
    return _step(incident, change, now, update, by=by, reason=reason)


def _step(
    incident: Incident,
    change: Change,
    now: datetime,
    update: dict[str, Any] | None = None,
    *,
    by: str = RUNNER,
    reason: str = "",
) -> Incident:
    update = update or {}
    history = incident.history
    if change != "updated":  # findings speak for themselves
        entry = Entry(at=now, by=by, change=change, reason=reason, until=update.get("until"))
        history = (*history[:1], *(*history[1:], entry)[-(MAX_HISTORY - 1) :])
    return incident.model_copy(
        update={
            **update,
            "revision": incident.revision + 1,
            "change": change,
            "changed": now,
            "history": history,
        }
    )
