"""What we think of it: one conclusion a detector reached, with everything needed to act on it."""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MaxLen
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from schemas.event import EventName

MAX_FINDING_EVENTS = 20  # event ids (and copies of their fields) one finding carries

Lane = Literal["credential", "session", "resource", "service", "origin"]
Family = Literal["llmjacking", "cross-tenant", "retry-storm", "health"]
LANES: tuple[Lane, ...] = ("credential", "session", "resource", "service", "origin")
FAMILIES: tuple[Family, ...] = ("llmjacking", "cross-tenant", "retry-storm", "health")


class Severity(StrEnum):
    """How bad, in OCSF's words; `rank` orders them."""

    INFO = "informational"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """1 (informational) to 5 (critical): OCSF's `severity_id`."""
        return list(Severity).index(self) + 1


class Technique(BaseModel):
    """A versioned mapping to a public catalogue, such as ATLAS 5.6.0 AML.T0034."""

    model_config = ConfigDict(frozen=True)

    framework: Literal["MITRE ATLAS", "MITRE ATT&CK", "OWASP LLM Top 10"]
    version: str
    id: str
    name: str


class About(BaseModel):
    """What a detector says about itself.

    `id` is permanent: it is part of every finding's id. `version` changes when its opinions do.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    version: str = "1"
    title: str
    family: Family
    severity: Severity
    techniques: tuple[Technique, ...] = ()
    runbook: tuple[str, ...]
    blind_spot: str
    needs: tuple[str, ...] = Field(
        (), description="wire names of the event fields it cannot work without"
    )
    helps: tuple[str, ...] = Field(
        (), description="wire names of further fields it looks at where a source has them"
    )
    kinds: tuple[EventName, ...] = Field(
        (), description="kinds of events beside calls that it cannot work without"
    )


class Entity(BaseModel):
    """The key a finding is about."""

    model_config = ConfigDict(frozen=True)

    lane: Lane
    id: str


class Provenance(BaseModel):
    """What produced a finding, so that it can be re-derived."""

    model_config = ConfigDict(frozen=True)

    detector_version: str
    settings: str = Field(description="fingerprint of the settings in force")
    prices: str = Field(description="date of the price table")
    state: str = Field(description="version of the state schema")
    position: int = Field(description="number of the deciding event in its source")


class Finding(BaseModel):
    """One conclusion. The same events give the same `id` and `revision`, whatever the runner."""

    model_config = ConfigDict(frozen=True)

    id: str
    revision: Annotated[int, Ge(1)] = 1
    final: bool = Field(False, description="no later revision will come")
    detector: str
    title: str
    family: Family
    mode: Literal["active", "monitor"] = "active"
    entity: Entity
    tenant: str | None
    time: datetime = Field(description="event time of the decision")
    since: datetime = Field(description="event time of the first event behind it")
    severity: Severity
    probability: Annotated[float, Ge(0.0), Le(1.0)] | None = Field(
        None, description="how likely this is under the key's own habit; null for facts"
    )
    summary: str
    evidence: dict[str, JsonValue] = {}
    event_ids: Annotated[tuple[str, ...], MaxLen(MAX_FINDING_EVENTS)] = ()
    cost_usd: float | None = Field(None, description="estimated dollars behind it so far")
    techniques: tuple[Technique, ...] = ()
    runbook: tuple[str, ...] = ()
    provenance: Provenance

    def to_json(self) -> bytes:
        """One line of JSON, stable byte for byte."""
        return self.model_dump_json().encode()


def finding_id(detector: str, entity: Entity, *parts: str | int) -> str:
    """A name-based id: detector, entity and a window or an unordered set of events.

    >>> finding_id("d", Entity(lane="session", id="s"), 3)
    '40c4133858574bd11f81466eda6fb0b0'
    """
    text = "\0".join((detector, entity.lane, entity.id, *map(str, parts)))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def as_json(value: Any) -> dict[str, Any]:
    """A model as plain JSON values."""
    result: dict[str, Any] = value.model_dump(mode="json")
    return result
