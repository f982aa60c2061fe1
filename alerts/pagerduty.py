"""Incidents to PagerDuty, through its Events API v2: trigger, acknowledge, resolve.

One PagerDuty alert per incident, by `dedup_key`; a repetition changes nothing. Raw HTTP: it is one
request, and the official client refuses every address but PagerDuty's own, so nobody could test it.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from alerts.base import Delivery, Rejected, RetryLater
from alerts.destination_base import HttpSettings, Line, Place, Takes, TokenSettings
from alerts.incident import Incident
from alerts.posting import Poster, judge
from alerts.text import plain
from schemas.finding import Finding, Severity

MAX_SUMMARY, MAX_TEXT = 1024, 255  # characters
MAX_STEPS = 20  # of the runbook
SEVERITIES = {
    Severity.INFO: "info",
    Severity.LOW: "info",
    Severity.MEDIUM: "warning",
    Severity.HIGH: "error",
    Severity.CRITICAL: "critical",
}
HINT = "is the token an integration key of Events API v2?"

Action = Literal["trigger", "acknowledge", "resolve"]


class PagerDutySettings(HttpSettings, TokenSettings):
    """A PagerDuty service; the token is its integration key for Events API v2."""

    type: Literal["pagerduty"]
    takes: ClassVar[Takes] = "incidents"
    url: Line = Field(default="https://events.pagerduty.com", description="or your region's")
    min_severity: Severity = Field(
        default=Severity.HIGH, description="incidents below it are not sent here"
    )
    monitor: bool = Field(
        default=False, description="also send incidents of detectors in monitor mode"
    )

    def sink(self, name: str, place: Place) -> "PagerDutySink":
        """Its sink."""
        return PagerDutySink(
            name, self.url, self.secret(place.base).read, poster=self.poster(place)
        )


class PagerDutySink:
    """One service.

    Args:
        token: reads the integration key; an incident has to be resolved with the key that
            triggered it, so change it only when PagerDuty does.
    """

    batch: ClassVar[int] = 1

    def __init__(self, name: str, url: str, token: Callable[[], str], *, poster: Poster) -> None:
        self.name = name
        self._url = url.rstrip("/") + "/v2/enqueue"
        self._token = token
        self._poster = poster

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Posts one event.

        Raises:
            RetryLater, Rejected: as PagerDuty's status says.
        """
        for each in deliveries:
            self._post(to_event(each, self._token()))

    def probe(self) -> str:
        """Posts an event that says nothing, which PagerDuty refuses; the key is not looked at.

        Raises:
            RetryLater: there is no such answer.
        """
        try:
            self._post({"routing_key": self._token()})
        except Rejected:
            return "answers (nothing was triggered; the key was not tried)"
        except RetryLater as error:
            if "routing_key" in str(error) and "HTTP 400" in str(error):
                raise RetryLater(f"refuses the key: {error}", operator=True) from None
            raise
        return "answers"

    def close(self) -> None:
        """Closes the connections."""
        self._poster.close()

    def _post(self, event: dict[str, Any]) -> None:
        body = json.dumps(event, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json"}
        answer = self._poster.post(self._url, body, headers, hide=event["routing_key"])
        if answer.status == 400 and b"routing_key" in answer.body:  # the key, not the event
            raise RetryLater(f"{answer.told}; {HINT}", operator=True)
        judge(answer, HINT)


def action_of(incident: Incident | None) -> Action:
    """What PagerDuty has to do: an incident that others cover, or that is closed, is resolved."""
    if incident is None:
        return "trigger"
    if not incident.active or incident.inhibited_by is not None:
        return "resolve"
    return "trigger" if incident.state == "open" else "acknowledge"


def to_event(delivery: Delivery, routing_key: str) -> dict[str, Any]:
    """The event. Texts are plain: PagerDuty shows them as they are, in mails and messages too."""
    incident, finding = delivery.incident, delivery.finding
    action = action_of(incident)
    event: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": plain(incident.id if incident else finding.id, MAX_TEXT),
    }
    if action == "trigger":
        event["client"] = "Tripmeter"
        event["payload"] = _payload(finding, incident)
    return event


def _payload(finding: Finding, incident: Incident | None) -> dict[str, Any]:
    told = incident or finding
    entity = plain(f"{told.entity.lane} {told.entity.id}", MAX_TEXT)
    payload = {
        "summary": plain(f"{told.title}: {told.summary}", MAX_SUMMARY),
        "source": entity,
        "severity": SEVERITIES[told.severity],
        "timestamp": (incident.last if incident else finding.time).isoformat(),
        "component": entity,
        "group": plain(told.tenant or "", MAX_TEXT),
        "class": told.family,
        "custom_details": {
            "finding": finding.id,
            "detectors": ", ".join(incident.detectors if incident else (finding.detector,)),
            "since": told.since.isoformat(),
            "cost_usd": told.cost_usd,
            "findings": incident.count if incident else 1,
            "runbook": [plain(step, MAX_SUMMARY) for step in finding.runbook[:MAX_STEPS]],
        },
    }
    return {name: value for name, value in payload.items() if value != ""}
