"""Many incidents in one message: the most severe by name, all of them by number. Pure.

A digest grows while a flood lasts, and is edited in place. Criticals stand first, then the worst of
each family; the rest is "N more", with a link to the feed where there is one.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from alerts.incident import Incident
from alerts.slack_message import COLORS, GREY, QUIET, WHO, Look
from alerts.slack_text import (
    code,
    context,
    lasting,
    link,
    mrkdwn,
    plain_text,
    prose,
    section,
    words,
)
from alerts.slack_told import Place, Told
from schemas.finding import Lane, Severity

MAX_KEPT = 40  # incidents a digest knows by name, to name others when some are over
MAX_LINES = 10  # of those, how many it shows
OF_FAMILY = 2  # of each family at least, where there are so many
MAX_LINE = 200
MAX_NAME = 60
MAX_NAMES = 50  # tenants it counts by name
MAX_SHOWN = 3
FLOOD = 10  # incidents from which on it is called one
PAUSE = timedelta(minutes=10)  # after which another digest begins
LENGTH = timedelta(hours=1)  # at most, so that a long flood notifies again
EVENT = "tripmeter_digest"
OTHERS = "others"
_FAMILIES = {"llmjacking": "stolen keys", "cross-tenant": "leaking tenants",
             "retry-storm": "retry storms", "health": "Tripmeter itself"}  # fmt: skip


Kind = Literal["flood", "quiet"]


class Line(BaseModel):
    """One incident by name."""

    model_config = ConfigDict(frozen=True)

    id: str
    severity: Severity
    family: str
    title: str
    tenant: str | None
    lane: Lane
    entity: str
    active: bool
    state: str


class Digest(BaseModel):
    """Where it is, and what it says.

    Attributes:
        version: counts its changes.
        edited: epoch seconds, when people last saw it change.
        started: epoch seconds, when it was about to be posted; until `place` is known.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    kind: Kind
    begun: datetime
    changed: datetime
    place: Place | None = None
    started: float | None = None
    edited: float = 0.0
    version: int = 0
    severities: dict[Severity, int] = {}
    families: dict[str, int] = {}
    tenants: dict[str, int] = {}
    over: int = 0
    lines: tuple[Line, ...] = ()

    @property
    def count(self) -> int:
        """How many incidents it stands for."""
        return sum(self.severities.values())

    def grows(self, kind: str, now: datetime) -> bool:
        """Whether further incidents belong into it."""
        recent = now - self.changed < PAUSE and now - self.begun < LENGTH
        return self.kind == kind and (recent or (kind == "quiet" and self.place is None))


def absorb(
    digest: Digest, incidents: Iterable[tuple[Incident, Told | None]], now: datetime
) -> tuple[Digest, dict[str, Told]]:
    """The digest with these incidents in it, each counted once, and what it counted of each.

    Args:
        incidents: each with what is known of it.
    """
    severities, families = dict(digest.severities), dict(digest.families)
    tenants, over = dict(digest.tenants), digest.over
    lines = {line.id: line for line in digest.lines}
    members: dict[str, Told] = {}
    for incident, told in incidents:
        counted = told if told is not None and told.digest == digest.id else None
        if counted is None:
            _count(families, incident.family)
            name = incident.tenant or "no tenant"
            _count(tenants, name if name in tenants or len(tenants) < MAX_NAMES else OTHERS)
        else:
            _count(severities, counted.severity, -1)
            over -= not counted.active
        _count(severities, incident.severity)
        over += not incident.active
        lines[incident.id] = _line(incident)
        members[incident.id] = (told or Told()).but(
            digest=digest.id,
            revision=incident.revision,
            severity=incident.severity,
            active=incident.active,
        )
    kept = sorted(lines.values(), key=lambda line: (not line.active, -line.severity.rank))
    update = {
        "severities": severities,
        "families": families,
        "tenants": tenants,
        "over": over,
        "lines": _fair(kept, MAX_KEPT),
        "changed": now,
        "version": digest.version + 1,
    }
    return digest.model_copy(update=update), members


def to_digest_message(digest: Digest, look: Look) -> dict[str, Any]:
    """The arguments of `chat.postMessage` and `chat.update`, but for channel and timestamp."""
    worst = max((s for s, n in digest.severities.items() if n), key=lambda s: s.rank, default=None)
    title = _title(digest)
    color = GREY if worst is None or digest.over == digest.count else COLORS[worst]
    return {
        "text": f"{title}: {_numbers(digest)}",
        **QUIET,
        "metadata": {
            "event_type": EVENT,
            "event_payload": {
                "uid": digest.id,
                "revision": digest.version,
                "incidents": digest.count,
            },
        },
        "blocks": [{"type": "header", "block_id": "title", "text": plain_text(title)}],
        "attachments": [{"color": color, "fallback": title, "blocks": _blocks(digest, look)}],
    }


def _title(digest: Digest) -> str:
    several = f"{digest.count:,} incident{'s' if digest.count != 1 else ''}"
    if digest.kind == "quiet":
        return f"{several} while it was quiet"
    length = digest.changed - digest.begun
    within = f" within {lasting(length)}" if length >= timedelta(seconds=2) else " at once"
    return f"{'Flood' if digest.count >= FLOOD else 'More'}: {several}{within}"


def _numbers(digest: Digest) -> str:
    found = [
        f"{digest.severities[each]:,} {each.value}"
        for each in sorted(Severity, key=lambda s: -s.rank)
        if digest.severities.get(each)
    ]
    return ", ".join(found) + (f"; {digest.over:,} are over" if digest.over else "")


def _blocks(digest: Digest, look: Look) -> list[dict[str, Any]]:
    named = {_FAMILIES.get(name, name): number for name, number in digest.families.items()}
    blocks = [section("what", words(f"{_numbers(digest)}. By kind: {_largest(named)}.", 500))]
    shown = _fair(digest.lines, MAX_LINES)
    for number, line in enumerate(shown):
        what = prose(f"{line.severity.value.upper()}: {line.title}", MAX_LINE)
        whose = f"{code(line.tenant, MAX_NAME)} · " if line.tenant else ""
        text = f"*{what}*\n{whose}{WHO[line.lane]} {code(line.entity, MAX_NAME)}"
        if line.state != "open":
            text += f" · {line.state.replace('_', ' ')}"
        row: dict[str, Any] = {"type": "section", "block_id": f"line-{number}"}
        row["text"] = mrkdwn(text)
        if look.buttons and line.active:
            row["accessory"] = _menu(line.id)
        blocks.append(row)
    more = digest.count - len(shown)
    notes = [f"and {more:,} more" if more else "That is all of them."]
    if most := _largest(digest.tenants):
        notes.append(words(f"Tenants: {most}", 300))
    if not look.feed_url:
        notes.append("tripmeter incidents lists all of them")
    blocks.append(context("more", *notes))
    if look.feed_url:
        label = f"{more:,} more in the feed" if more else "Open the feed"
        open_it = link("tm_open", label, f"{look.feed_url.rstrip('/')}/")
        blocks.append({"type": "actions", "block_id": "do", "elements": [open_it]})
    return blocks


def _fair(lines: Iterable[Line], limit: int) -> tuple[Line, ...]:
    """The first of them, but `OF_FAMILY` of each family before any crowds the others out.

    Criticals come before everything.
    """
    ordered = list(lines)
    taken: dict[str, int] = {}
    first: list[Line] = []
    rest: list[Line] = []
    for line in ordered:
        taken[line.family] = taken.get(line.family, 0) + 1
        urgent = line.active and line.severity is Severity.CRITICAL
        (first if urgent or taken[line.family] <= OF_FAMILY else rest).append(line)
    first.sort(key=lambda line: (not line.active, -line.severity.rank))
    return tuple((first + rest)[:limit])


def _menu(incident: str) -> dict[str, Any]:
    names = (
        ("Acknowledge", "tm_ack"),
        ("Snooze", "tm_snooze"),
        ("Expected", "tm_expected"),
        ("False positive", "tm_false"),
        ("Runbook", "tm_runbook"),
    )
    options = [{"text": plain_text(label), "value": f"{do}|{incident}"} for label, do in names]
    return {"type": "overflow", "action_id": "tm_menu", "options": options}


def _largest(table: dict[str, int]) -> str:
    most = sorted(table.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = ", ".join(f"{name[:MAX_NAME]} {number:,}" for name, number in most[:MAX_SHOWN])
    rest = sum(number for _, number in most[MAX_SHOWN:])
    return f"{shown}, others {rest:,}" if rest else shown


def _count(table: dict[Any, int], name: Any, by: int = 1) -> None:
    table[name] = table.get(name, 0) + by


def _line(incident: Incident) -> Line:
    return Line(
        id=incident.id,
        severity=incident.severity,
        family=incident.family,
        title=incident.title[:MAX_LINE],
        tenant=incident.tenant[:MAX_LINE] if incident.tenant else None,
        lane=incident.entity.lane,
        entity=incident.entity.id[:MAX_LINE],
        active=incident.active,
        state=incident.state,
    )
