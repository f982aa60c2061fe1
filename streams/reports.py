"""Turns verdicts into findings: who, when, which events, what it cost, and what produced it."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from detectors.base import NANO, Detector, Verdict, Window, iso, moment
from schemas.finding import (
    MAX_FINDING_EVENTS,
    About,
    Entity,
    Finding,
    Provenance,
    Severity,
    finding_id,
)

Order = tuple[int, int, int, str, str]  # sequence, close < inspect < trip, time, entity, detector
Times = tuple[int, int, int]
DAY_MS = 86_400_000  # the same fact is told again the next day
CLOSE, INSPECT, TRIP, HEALTH = 0, 1, 2, 3


def glimpse(record: Any, time_ms: int) -> dict[str, JsonValue]:
    """The fields of an event that are copied with a finding; never contents."""
    seen: dict[str, JsonValue] = {"id": record.event_id, "time": iso(time_ms)}
    for name in (
        "event_name",
        "tenant_id",
        "request_model",
        "tool_name",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "http_status",
        "error_type",
        "status",
        "client_address",
        "user_agent",
        "conversation_id",
        "resource_id",
    ):
        value = getattr(record, name)
        if value is not None:
            seen[name] = value
    return seen


@dataclass(slots=True)
class Told:
    """A finding whose window is still open.

    Attributes:
        finding: its first revision.
        record: the deciding event.
        events: glimpses of the events behind it, the deciding one first.
        newest_ms: largest event time among them.
    """

    finding: Finding
    record: Any
    events: list[dict[str, JsonValue]] = field(default_factory=list)
    newest_ms: int = 0

    @property
    def collecting(self) -> bool:
        """Whether it still wants events."""
        return len(self.events) < MAX_FINDING_EVENTS


class Reporter:
    """Collects findings in their one stated order."""

    def __init__(self, settings: str, prices: str, state: str) -> None:
        self._versions = (settings, prices, state)
        self._found: list[tuple[Order, Finding]] = []

    def take(self) -> list[Finding]:
        """The findings since the last call, ordered."""
        found, self._found = self._found, []
        found.sort(key=lambda pair: pair[0])
        return [finding for _, finding in found]

    def provenance(self, about: About, position: int) -> Provenance:
        """What produced a finding."""
        settings, prices, state = self._versions
        return Provenance(
            detector_version=about.version,
            settings=settings,
            prices=prices,
            state=state,
            position=position,
        )

    def _add(self, sequence: int, kind: int, time: int, finding: Finding) -> Finding:
        order = (sequence, kind, time, finding.entity.id, finding.detector)
        self._found.append((order, finding))
        return finding

    def tripped(self, detector: Detector, window: Window, verdict: Verdict, times: Times) -> Told:
        """A window's first revision. `times`: the event's time, the clock, the event's number."""
        event_ms, now_ms, sequence = times
        about = detector.about
        event = glimpse(window.event, event_ms)
        finding = Finding(
            id=finding_id(about.id, window.entity, window.spec, window.start_ms),
            final=False,
            detector=about.id,
            title=about.title,
            family=about.family,
            entity=window.entity,
            tenant=window.event.tenant_id,
            time=moment(now_ms),
            since=moment(window.first_ms),
            severity=verdict.severity or about.severity,
            probability=verdict.probability,
            summary=verdict.summary,
            evidence=_evidence(window, verdict, [event]),
            event_ids=(window.event.event_id,),
            cost_usd=_cost(window, verdict),
            techniques=about.techniques,
            runbook=about.runbook,
            provenance=self.provenance(about, sequence),
        )
        end = window.start_ms + window.width_ms
        return Told(self._add(sequence, TRIP, end, finding), window.event, [event], now_ms)

    def closed(
        self, about: About, window: Window, verdict: Verdict | None, told: Told, times: Times
    ) -> None:
        """A window's final revision, from totals in which no order shows."""
        first = told.finding
        _, now_ms, sequence = times
        changes: dict[str, Any] = {
            "revision": first.revision + 1,
            "final": True,
            "time": moment(max(now_ms, told.newest_ms)),
            "event_ids": tuple(str(event["id"]) for event in told.events),
            "cost_usd": _cost(window, verdict),
            "provenance": first.provenance.model_copy(update={"position": sequence}),
        }
        if verdict is not None:
            worst = max(first.severity, verdict.severity or about.severity, key=_rank)
            changes |= {
                "summary": verdict.summary,
                "severity": worst,
                "probability": verdict.probability,
                "evidence": _evidence(window, verdict, told.events),
            }
        else:
            changes["evidence"] = {
                **first.evidence,
                "totals": dict(window.totals),
                "events": list(told.events),
            }
        end = window.start_ms + window.width_ms
        self._add(sequence, CLOSE, end, first.model_copy(update=changes))

    def inspected(
        self, detector: Detector, entity: Entity, verdict: Verdict, event: Any, times: Times
    ) -> Finding:
        """A finding about one event. `times`: its event time, the clock, its number."""
        event_ms, now_ms, sequence = times
        about = detector.about
        decisive, decisive_ms = verdict.decisive or (event.event_id, event_ms)
        others = [(id, time) for id, time in verdict.others if id != decisive]
        since = min(decisive_ms, *(time for _, time in others)) if others else decisive_ms
        finding = Finding(
            id=finding_id(about.id, entity, *verdict.parts, decisive_ms // DAY_MS),
            final=True,
            detector=about.id,
            title=about.title,
            family=about.family,
            entity=entity,
            tenant=None if entity.lane == "service" else event.tenant_id,  # many share a service
            time=moment(now_ms),
            since=moment(since),
            severity=verdict.severity or about.severity,
            probability=verdict.probability,
            summary=verdict.summary,
            evidence={**verdict.evidence, "events": [glimpse(event, event_ms)]},
            event_ids=(decisive, *(id for id, _ in others))[:MAX_FINDING_EVENTS],
            cost_usd=None if verdict.cost_nanousd is None else verdict.cost_nanousd / NANO,
            techniques=about.techniques,
            runbook=about.runbook,
            provenance=self.provenance(about, sequence),
        )
        return self._add(sequence, INSPECT, event_ms, finding)

    def health(
        self, about: About, entity: Entity, verdict: Verdict, now_ms: int, sequence: int
    ) -> None:
        """A finding about ourselves."""
        finding = Finding(
            id=finding_id(about.id, entity, *verdict.parts),
            final=True,
            detector=about.id,
            title=about.title,
            family=about.family,
            entity=entity,
            tenant=None,
            time=moment(now_ms),
            since=moment(now_ms),
            severity=verdict.severity or about.severity,
            probability=None,
            summary=verdict.summary,
            evidence=verdict.evidence,
            cost_usd=None,
            runbook=about.runbook,
            provenance=self.provenance(about, sequence),
        )
        self._add(sequence, HEALTH, now_ms, finding)


def _rank(severity: Severity) -> int:
    return severity.rank


def _cost(window: Window, verdict: Verdict | None) -> float | None:
    if verdict is not None and verdict.cost_nanousd is not None:
        return round(verdict.cost_nanousd / NANO, 9)
    total = window.totals.get("nanousd")
    return None if total is None else round(total / NANO, 9)


def _evidence(
    window: Window, verdict: Verdict, events: list[dict[str, JsonValue]]
) -> dict[str, JsonValue]:
    usual: dict[str, JsonValue] = {
        feature: {
            "typical": round(usual.typical, 3),
            "limit": round(usual.limit, 3),
            "windows": usual.windows,
        }
        for feature, usual in window.usual.items()
        if usual.windows
    }
    return {
        "window": {"spec": window.spec, "start": iso(window.start_ms), "final": window.final},
        "tripped": window.tripped,
        "totals": dict(window.totals),
        "usual": usual,
        **verdict.evidence,
        "events": list(events),
    }
