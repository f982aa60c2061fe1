"""What the Slack sink must not forget of an incident: where its message is, and what that says.

It is on the disk before anything is posted. One that is `begun` and has no answer yet is looked up
in the channel, by its metadata, before anything is posted again.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from alerts.memory import Memory
from schemas.finding import Severity

MAX_PARTS = 100  # replies of a thread that are remembered; an incident's history has fewer


class Place(NamedTuple):
    """Where a message is."""

    channel: str
    ts: str


class Told(BaseModel):
    """What people know of one incident.

    Attributes:
        place: of its own message; None when it has none (yet).
        revision: of the incident, as its message or its digest says it.
        edited: epoch seconds of the last edit.
        begun: epoch seconds, when something was about to be posted whose fate is not known.
        part: what that is: "" for the message itself, or the name of a reply.
        parts: the replies its thread has.
        findings: how many findings the thread tells of.
        replied: epoch seconds of the last reply about findings.
        digest: id of the digest that stands for it; it has no message of its own.
        severity, active: as the digest counts it.
    """

    model_config = ConfigDict(frozen=True)

    place: Place | None = None
    revision: int = 0
    begun: float | None = None
    edited: float = 0.0
    part: str = ""
    parts: tuple[str, ...] = ()
    findings: int = 0
    replied: float = 0.0
    digest: str = ""
    severity: Severity = Severity.INFO
    active: bool = True

    def but(self, **changes: Any) -> "Told":
        """The same with other values."""
        return self.model_copy(update=changes)

    def has(self, part: str) -> bool:
        """Whether the thread has this reply."""
        return part in self.parts

    def with_parts(self, *parts: str) -> "Told":
        """The same with more replies."""
        return self.but(parts=(*self.parts, *parts)[-MAX_PARTS:])


def recall(memory: Memory, ids: Iterable[str]) -> dict[str, Told]:
    """What is known of these incidents."""
    return {id: _read(text) for id, text in memory.get_all(ids).items()}


def keep(memory: Memory, told: Mapping[str, Told], also: Mapping[str, str] | None = None) -> None:
    """Notes it; on the disk when this returns."""
    texts = {id: each.model_dump_json(exclude_defaults=True) for id, each in told.items()}
    memory.put_all({**texts, **(also or {})})


def _read(text: str) -> Told:
    value = json.loads(text)
    if isinstance(value, list):  # of an older version: channel, ts, revision
        return Told(place=Place(value[0], value[1]), revision=value[2])
    return Told.model_validate(value)
