"""Findings about the pipeline itself, made by the runner for what the core never sees."""

import threading
from datetime import datetime

from schemas.event import SCHEMA_VERSION
from schemas.finding import Entity, Finding, Provenance, Severity, finding_id
from streams.aside import Aside, Muted
from streams.seal import label

HOUR_S = 3600
MAX_MISMATCHES_AN_HOUR = 20  # tenants named per token and hour; further ones share one finding
OTHER_TENANTS = "(others)"


class Mismatches:
    """Turns events of forbidden tenants into one finding per token, tenant and hour.

    Usable from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hour = 0
        self._seen: set[tuple[str, str]] = set()

    def finding(self, token: str, tenant: str, observed: datetime) -> Finding | None:
        """The finding to record, or None when this hour already has it."""
        with self._lock:
            told = self._told_as(token, tenant, int(observed.timestamp()) // HOUR_S)
        return None if told is None else tenant_mismatch(token, told, observed)

    def _told_as(self, token: str, tenant: str, hour: int) -> str | None:
        if hour != self._hour:
            self._hour = hour
            self._seen.clear()
        if (token, tenant) in self._seen:
            return None
        if sum(1 for name, _ in self._seen if name == token) >= MAX_MISMATCHES_AN_HOUR:
            tenant = OTHER_TENANTS
            if (token, tenant) in self._seen:
                return None
        self._seen.add((token, tenant))
        return tenant


def tenant_mismatch(token: str, tenant: str, observed: datetime) -> Finding:
    """A sender named a tenant its token may not write; the event was not accepted."""
    return _health(
        "tenant-mismatch",
        "Events for a tenant the sender may not write",
        Entity(lane="service", id=f"token:{token}"),
        (tenant, int(observed.timestamp()) // HOUR_S),
        observed,
        Severity.HIGH,
        f"The ingest token {label(token)!r} sent events of a tenant it may not write;"
        " they are in the quarantine.",
        {"token": token, "tenant": tenant},
        (
            "Find out who holds this token and what they run.",
            "If the sender is right, add the tenant to the token's `tenants` and run"
            " `tripmeter dlq retry`.",
            "If not, replace the token: it may be stolen, or a tenant tries to write as another.",
        ),
    )


def journal_gap(wanted: int, oldest: int, observed: datetime) -> Finding:
    """Accepted events were dropped before they were judged, or the core's state was lost."""
    return _health(
        "journal-gap",
        "Accepted events were not judged",
        Entity(lane="service", id="journal"),
        (wanted, oldest),
        observed,
        Severity.HIGH,
        f"Events {wanted} to {oldest - 1} are no longer in the journal and were not judged.",
        {"wanted": wanted, "oldest": oldest, "lost": oldest - wanted},
        (
            "Find out whether files of the data directory were deleted or restored from a backup.",
            "Replay the sender's own records of that time with `tripmeter replay`.",
        ),
        position=oldest,
    )


def event_set_aside(aside: Aside, observed: datetime) -> Finding:
    """An event made judging fail; it is in the quarantine, and judging went on without it."""
    return _health(
        "event-set-aside",
        "An event could not be judged",
        Entity(lane="service", id="journal"),
        (aside.position,),
        observed,
        Severity.HIGH,
        f"An event made {aside.detector or 'judging'} fail ({aside.error}); it is in the"
        " quarantine, and judging went on without it.",
        {
            "position": aside.position,
            "detector": aside.detector or "",
            "error": aside.error,
        },
        (
            "Look at its fields with `tripmeter dlq list` and `tripmeter dlq show`.",
            "Report the error: no event may do this.",
        ),
        position=aside.position,
    )


def detector_muted(muted: Muted, observed: datetime) -> Finding:
    """A detector failed again and again; it is not asked until the next start."""
    return _health(
        "detector-muted",
        "A detector fails and is not asked any more",
        Entity(lane="service", id=f"detector:{muted.detector}"),
        (muted.position,),
        observed,
        Severity.HIGH,
        f"{muted.detector} failed again and again ({muted.error}); it is not asked until"
        " `tripmeter serve` is started again. All others go on.",
        {"position": muted.position, "detector": muted.detector, "error": muted.error},
        (
            "Report the error, or turn the detector off under `[detectors]`.",
            "After an upgrade, replay the senders' own records of the time since.",
        ),
        position=muted.position,
    )


def destination_held(name: str, reason: str, observed: datetime) -> Finding:
    """Findings wait for a destination that only a person can mend; the others still get this."""
    return _health(
        "destination-held",
        "A destination takes no findings",
        destination_entity(name),
        (int(observed.timestamp()) // HOUR_S,),
        observed,
        Severity.HIGH,
        f"Findings wait for {label(name)}: {label(reason)}",
        {"destination": name, "reason": reason},
        (
            "Correct what the reason names: token, address, index, channel or certificate.",
            "Nothing is lost: what waits is sent as soon as the destination takes it.",
        ),
    )


def destination_entity(name: str) -> Entity:
    """What findings about a destination are about."""
    return Entity(lane="service", id=f"destination:{name}")


def destination_full(name: str, observed: datetime) -> Finding:
    """So many findings wait for a destination that further ones are not queued one by one."""
    return _health(
        "destination-full",
        "Too much waits for a destination",
        destination_entity(name),
        (int(observed.timestamp()) // HOUR_S,),
        observed,
        Severity.HIGH,
        f"The queue of {label(name)} is full; new findings are kept in the store and queued"
        " when there is room. Others are told as before.",
        {"destination": name},
        (
            "See `tripmeter outbox` for what it says, and mend it or remove it.",
            "Do so before the store lets old findings go (`store.max_findings`).",
        ),
    )


def findings_dropped(lost: int, observed: datetime) -> Finding:
    """The store let findings go before a full destination could be told of them."""
    return _health(
        "findings-dropped",
        "Old findings went before a destination was told",
        Entity(lane="service", id="store"),
        (int(observed.timestamp()),),
        observed,
        Severity.HIGH,
        f"{lost} findings reached `store.max_findings` while a destination had no room for them.",
        {"lost": lost},
        ("Mend the destination, or raise `store.max_findings`.",),
    )


def _health(
    detector: str,
    title: str,
    entity: Entity,
    parts: tuple[str | int, ...],
    time: datetime,
    severity: Severity,
    summary: str,
    evidence: dict[str, str | int],
    runbook: tuple[str, ...],
    position: int = 0,
) -> Finding:
    return Finding(
        id=finding_id(detector, entity, *parts),
        final=True,
        detector=detector,
        title=title,
        family="health",
        entity=entity,
        tenant=None,
        time=time,
        since=time,
        severity=severity,
        probability=None,
        summary=summary,
        cost_usd=None,
        evidence=dict(evidence),
        runbook=runbook,
        provenance=Provenance(
            detector_version="1", settings="", prices="", state=SCHEMA_VERSION, position=position
        ),
    )
