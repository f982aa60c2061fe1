"""Findings about ourselves: what had to be forgotten or refused, and what to do about it."""

from typing import Any

from pydantic import JsonValue

from detectors.base import Verdict
from schemas.finding import About, Entity, Lane, Severity
from streams.reports import Reporter


class Health:
    """One kind of health finding."""

    def __init__(self, about: About, summary: str) -> None:
        self.about = about
        self.summary = summary

    def report(
        self, reporter: Reporter, lane: Lane, day: int, now_ms: int, sequence: int, what: Any
    ) -> None:
        """Tells it for a lane and a day."""
        evidence: dict[str, JsonValue] = {"count": what} if isinstance(what, int) else _keys(what)
        verdict = Verdict(self.summary.format(**evidence), evidence, parts=(day,))
        entity = Entity(lane=lane, id="tripmeter")
        reporter.health(self.about, entity, verdict, now_ms, sequence)


def _keys(keys: Any) -> dict[str, Any]:
    return {
        "limit": keys.limit,
        "keys": len(keys),
        "evicted": keys.evicted,
        "refused": keys.refused,
    }


FLOOD = Health(
    About(
        id="key-flood",
        title="More keys than there is room for",
        family="health",
        severity=Severity.MEDIUM,
        runbook=(
            "See whether somebody invents keys: many keys with one call each from few addresses.",
            "If the keys are real, raise max_keys (about 500 bytes a key and lane).",
        ),
        blind_spot="none: it is counted",
    ),
    "a lane is full at {limit} keys: {evicted} quiet keys were forgotten, {refused} refused",
)

IDS_FORGOTTEN = Health(
    About(
        id="redelivery-memory-full",
        title="Event ids are forgotten early",
        family="health",
        severity=Severity.LOW,
        runbook=("Redelivered events may be judged twice; lower the lateness or split the load.",),
        blind_spot="none: it is counted",
    ),
    "{count} event ids were forgotten before their redelivery would have been late",
)
