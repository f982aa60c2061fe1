"""An incident: findings on one entity and family that people handle as one thing.

One incident is a chain of revisions; `alerts/incident_steps.py` has the pure functions that make
the next one. Deadlines (quiet, acks, snoozes) count in the runner's time; `since` and `last` are
event time.
"""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from annotated_types import Ge, MaxLen
from pydantic import BaseModel, ConfigDict, Field

from schemas.finding import Entity, Family, Finding, Severity

MAX_FINDINGS = 50  # findings an incident names; older ones are only counted
MAX_HISTORY = 50  # entries it carries: the first, then the newest; the store has them all
MAX_TOLD = 500  # characters of a reason
MAX_NAME = 128  # characters of who did something
RUNNER = "tripmeter"  # who did what no person did

State = Literal["open", "acked", "snoozed", "resolved", "false_positive"]
Change = Literal[
    "opened",  # a new incident
    "reopened",  # a closed one, by a new finding or a person
    "worse",  # the severity rose; ends an ack or a snooze
    "woke",  # an ack or a snooze ran out, and it still goes on
    "released",  # what inhibited it is over
    "updated",  # more findings, or later revisions
    "acked",
    "snoozed",
    "resolved",
    "false_positive",
    "inhibited",  # a stronger incident covers it
    "noted",  # a note, or another owner
]
Verb = Literal["ack", "snooze", "resolve", "false_positive", "expected", "reopen", "note", "assign"]
ACTIVE: frozenset[State] = frozenset({"open", "acked", "snoozed"})
LOUD: frozenset[Change] = frozenset({"opened", "reopened", "worse", "woke", "released"})


class Policy(BaseModel):
    """How long is what. All in the runner's time.

    Attributes:
        quiet: an open incident without a new finding for this long resolves itself.
        ack: an acknowledgement without an end of its own expires after this.
        snooze: as `ack`, for a snooze.
        reopen: a new finding within this of the closing reopens the incident; later, or after a
            false positive, it opens another one that names this one as its `previous`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    quiet: timedelta = timedelta(hours=6)
    ack: timedelta = timedelta(hours=24)
    snooze: timedelta = timedelta(hours=4)
    reopen: timedelta = timedelta(days=7)


class Entry(BaseModel):
    """One line of the history: who did what when, and why."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    by: str
    change: Change
    reason: str = ""
    until: datetime | None = None


class Part(BaseModel):
    """One finding of an incident, in its last revision."""

    model_config = ConfigDict(frozen=True)

    id: str
    revision: int
    source: str = Field(description="detector and window, whose costs may be added up")
    cost_usd: float | None = None


class Action(BaseModel):
    """What a person (or `RUNNER`) does to an incident."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verb: Verb
    by: Annotated[str, MaxLen(MAX_NAME)]
    at: datetime
    reason: str = ""
    until: datetime | None = Field(None, description="end of an ack or a snooze")
    owner: str | None = Field(None, description="with `assign`")


class NotPossible(ValueError):
    """This cannot be done to the incident as it stands; the text says why."""


class Incident(BaseModel):
    """One revision of an incident.

    `change` says what made this revision; `told` whether people were ever notified of it. `count`
    counts findings, `findings` names the newest `MAX_FINDINGS`. `cost_usd` is an estimate: costs of
    one detector's windows are added, and the largest of those sums is given, because detectors see
    the same calls.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    revision: Annotated[int, Ge(1)] = 1
    change: Change = "opened"
    state: State = "open"
    entity: Entity
    family: Family
    tenant: str | None
    severity: Severity
    mode: Literal["active", "monitor"] = Field(
        "active", description="monitor: only findings of detectors in monitor mode"
    )
    title: str
    summary: str
    detectors: tuple[str, ...] = ()
    services: tuple[str, ...] = Field((), description="models and tools its findings name")
    since: datetime = Field(description="event time of the first event behind it")
    last: datetime = Field(description="event time of its newest finding")
    opened: datetime
    changed: datetime
    touched: datetime = Field(description="when the newest finding came")
    findings: tuple[Part, ...] = ()
    count: int = 1
    costs: dict[str, float] = Field({}, description="dollars by source")
    owner: str | None = None
    until: datetime | None = Field(None, description="end of the ack or snooze")
    closed: datetime | None = None
    previous: str | None = Field(None, description="the incident before it, of the same key")
    inhibited_by: str | None = None
    told: bool = False
    history: tuple[Entry, ...] = ()

    @property
    def key(self) -> str:
        """What findings are grouped by: family, lane and entity."""
        return key_of(self.family, self.entity)

    @property
    def active(self) -> bool:
        """Neither resolved nor a false positive."""
        return self.state in ACTIVE

    @property
    def cost_usd(self) -> float | None:
        """Estimated dollars so far; None when no finding knows."""
        return max(self.costs.values()) if self.costs else None

    @property
    def loud(self) -> bool:
        """Whether this revision is news that notifies people, not an edit of what they know."""
        return self.change in LOUD and self.inhibited_by is None and self.mode == "active"

    @property
    def shown(self) -> bool:
        """Whether this revision is for people at all (an inhibited one that nobody saw is not)."""
        if self.inhibited_by is not None:
            return self.told and self.change != "updated"
        return not (self.state == "snoozed" and self.change == "updated")

    def to_json(self) -> bytes:
        """One line of JSON, stable byte for byte."""
        return self.model_dump_json().encode()


def key_of(family: str, entity: Entity) -> str:
    """The dedup key.

    >>> key_of("llmjacking", Entity(lane="credential", id="hmac:1"))
    'llmjacking:credential:hmac:1'
    """
    return f"{family}:{entity.lane}:{entity.id}"


def services_of(finding: Finding) -> tuple[str, ...]:
    """Models and tools a finding names (at most 20), to match it with a service's incident."""
    if finding.entity.lane == "service":
        return (finding.entity.id,)
    told = finding.evidence.get("services")
    names = [str(name) for name in told] if isinstance(told, list) else []
    events = finding.evidence.get("events")
    for event in events if isinstance(events, list) else []:
        if isinstance(event, dict):
            names += [str(event[n]) for n in ("request_model", "tool_name") if event.get(n)]
    return tuple(dict.fromkeys(names))[:20]
