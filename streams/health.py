"""Findings about ourselves: what had to be forgotten or refused, and what to do about it."""

from collections.abc import Callable, Iterable
from typing import Any

from pydantic import JsonValue

from detectors.base import Verdict
from detectors.features import MINUTE_MS
from schemas.finding import About, Entity, Lane, Severity
from streams.reports import DAY_MS, Reporter


class Health:
    """One kind of health finding."""

    def __init__(self, about: About, summary: str) -> None:
        self.about = about
        self.summary = summary

    def report(
        self,
        reporter: Reporter,
        lane: Lane,
        day: int,
        now_ms: int,
        sequence: int,
        what: Any,
        place: str = "tripmeter",
    ) -> None:
        """Tells it for a lane, or for a place, and a day."""
        evidence: dict[str, JsonValue] = {"count": what} if isinstance(what, int) else _keys(what)
        verdict = Verdict(self.summary.format(**evidence), evidence, parts=(day,))
        entity = Entity(lane=lane, id=place)
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

MEMORY_FULL = Health(
    About(
        id="memory-full",
        title="A memory was full, and something was forgotten early",
        family="health",
        severity=Severity.LOW,
        runbook=(
            "See whether somebody invents names: many keys, sessions, resources or models of few"
            " calls each.",
            "If they are real, split the load; a detector named here may miss what it compares"
            " with older events.",
        ),
        blind_spot="none: it is counted",
    ),
    "it was full {count} times since this was last said, and forgot early or left out",
)


class Overflows:
    """How often memories were full, by place, and what of it was told.

    Reading all of them takes longer than judging an event, so it is done once a minute of event
    time, at the end of a block. So the moment and the count depend on where blocks end; the id, of
    day and place, does not, but for a memory that is full within a minute of midnight.
    """

    def __init__(self, counts: Callable[[], Iterable[tuple[str, int]]]) -> None:
        self._counts = counts
        self._minute = 0
        self._told: dict[str, tuple[int, int]] = {}  # place -> day, count

    def report(self, reporter: Reporter, now_ms: int, sequence: int) -> None:
        """Tells of each place once a day, if it was full since it was last told of."""
        if now_ms // MINUTE_MS == self._minute:
            return
        self._minute = now_ms // MINUTE_MS
        today = now_ms // DAY_MS
        for place, count in self._counts():
            day, told = self._told.get(place, (0, 0))
            if count > told and today != day:
                self._told[place] = (today, count)
                new = count - told
                MEMORY_FULL.report(reporter, "service", today, now_ms, sequence, new, place)

    def state(self) -> dict[str, Any]:
        """Everything it holds, as plain values."""
        return {"minute": self._minute, "told": {p: list(v) for p, v in self._told.items()}}

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        self._minute = state["minute"]
        self._told = {place: (day, count) for place, (day, count) in state["told"].items()}
