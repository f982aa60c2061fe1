"""What operators decided that hides findings: who, why, until when, and what it would have hidden.

The core applies these decisions (they travel as control records); the store keeps them for people.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, true

from alerts.incident import RUNNER
from alerts.store_engine import Target, open_store, reading, replace, writing
from alerts.tables import FINDINGS, HISTORY, INCIDENTS, SILENCES
from schemas.finding import Entity, Severity
from schemas.records import Control

PREVIEW = timedelta(days=30)
MAX_EXAMPLES = 5
MAX_LENGTH = timedelta(days=366)  # a silence nobody renews in a year is forgotten, not meant

_F, _N, _H, _S = FINDINGS.c, INCIDENTS.c, HISTORY.c, SILENCES.c


class BadSilence(ValueError):
    """It cannot be made so; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Silence:
    """A decision and what became of it."""

    control: Control
    created: datetime
    ended: datetime | None

    def in_force(self, now: datetime) -> bool:
        """Whether it hides findings of this moment."""
        control = self.control
        return self.ended is None and (control.until is None or now < control.until)

    def as_json(self, now: datetime) -> dict[str, Any]:
        """Plain values."""
        return {
            **self.control.model_dump(mode="json"),
            "created": self.created.isoformat(),
            "ended": self.ended.isoformat() if self.ended else None,
            "in_force": self.in_force(now),
        }


@dataclass(frozen=True, slots=True)
class Preview:
    """What a decision would have hidden in the time before it.

    Attributes:
        findings: how many, each counted once.
        incidents: how many incidents would have had fewer findings, or none.
        true_alarms: of these, incidents that people acknowledged, or resolved themselves.
        worst: the highest severity among the findings.
        examples: incidents, the most severe and newest first.
    """

    days: float
    findings: int
    incidents: int
    true_alarms: int
    worst: Severity | None
    states: dict[str, int]
    examples: Sequence[dict[str, Any]]

    @property
    def told(self) -> str:
        """One sentence for people."""
        if not self.findings:
            return f"It would have hidden nothing in the last {self.days:g} days."
        people = f", {self.true_alarms} of which people took seriously" if self.true_alarms else ""
        return (
            f"It would have hidden {self.findings} findings in the last {self.days:g} days:"
            f" {self.incidents} incidents{people}; the worst was {self.worst}."
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "days": self.days,
            "findings": self.findings,
            "incidents": self.incidents,
            "true_alarms": self.true_alarms,
            "worst": self.worst,
            "states": self.states,
            "examples": list(self.examples),
            "told": self.told,
        }


def checked(control: Control, now: datetime) -> Control:
    """The same, when it is a silence somebody can stand up for.

    Raises:
        BadSilence: no owner, reason or end; an end that has passed or is too far; or it would hide
            everything.
    """
    if not control.owner.strip() or not control.reason.strip():
        raise BadSilence("a silence needs an owner and a reason")
    if control.until is None:
        raise BadSilence("a silence needs an end")
    if control.until <= now:
        raise BadSilence(f"its end {control.until.isoformat()} has passed")
    if control.until - now > MAX_LENGTH:
        raise BadSilence("its end is more than a year away; choose one within a year")
    if control.detector is None and control.entity is None and control.tenant is None:
        raise BadSilence("it would hide everything; name a detector, an entity or a tenant")
    return control


class Silences:
    """The decisions of a store."""

    def __init__(self, target: Target) -> None:
        self._engine = open_store(target)

    def keep(self, control: Control, now: datetime) -> None:
        """Notes a decision; a later one with the same id replaces it."""
        with writing(self._engine) as connection:
            keep_in(connection, control, now)

    def list(self, now: datetime, *, all: bool = False) -> list[Silence]:
        """Those in force, the newest first; with `all` also those that are over."""
        query = select(_S.json, _S.created, _S.ended).order_by(_S.created.desc(), _S.id)
        if not all:
            query = query.where(_S.ended.is_(None))
            query = query.where(_S.until.is_(None) | (_S.until > now.timestamp()))
        with reading(self._engine) as connection:
            return [_silence(row) for row in connection.execute(query)]

    def get(self, id: str) -> Silence | None:
        """One by its id or an unambiguous beginning of it."""
        begins = func.substr(_S.id, 1, len(id)) == id
        query = select(_S.json, _S.created, _S.ended).where(begins).limit(2)
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return _silence(rows[0]) if id and len(rows) == 1 else None

    def preview(self, control: Control, now: datetime, over: timedelta = PREVIEW) -> Preview:
        """What it would have hidden in the time before now."""
        where = (_F.time >= (now - over).timestamp()) & _matches(control)
        hidden = select(_F.incident).where(where).distinct().scalar_subquery()
        count = select(func.count(_F.id.distinct()), func.max(_F.rank)).where(where)
        concerned = _N.id.in_(hidden)
        counted = select(_N.state, func.count()).where(concerned).group_by(_N.state)
        by_people = _H.change.in_(("acked", "resolved")) & (_H.by != RUNNER)
        meant = select(_H.incident).where(
            _H.incident == _N.id, by_people, ~_H.reason.startswith("expected")
        )
        serious = select(func.count()).where(
            concerned, _N.state != "false_positive", meant.exists()
        )
        worst = select(_N.json).where(concerned).order_by(_N.rank.desc(), _N.last.desc())
        names = ("id", "title", "severity", "state", "last")
        with reading(self._engine) as connection:
            findings, rank = connection.execute(count).one()
            states = {str(state): int(many) for state, many in connection.execute(counted)}
            taken = int(connection.execute(serious.select_from(INCIDENTS)).scalar() or 0)
            bodies = connection.execute(worst.limit(MAX_EXAMPLES)).scalars()
            shown = [json.loads(body) for body in bodies]
        examples = [{name: incident[name] for name in names} for incident in shown]
        return Preview(
            days=over / timedelta(days=1),
            findings=findings,
            incidents=sum(states.values()),
            true_alarms=taken,
            worst=list(Severity)[rank - 1] if rank else None,
            states=states,
            examples=examples,
        )


def keep_in(connection: Connection, control: Control, now: datetime) -> None:
    """As `Silences.keep`, inside the caller's transaction."""
    was = connection.execute(select(_S.created).where(_S.id == control.id)).scalar()
    over = was is not None and control.until is not None and control.until <= now
    row = {
        "id": control.id,
        "action": control.action,
        "owner": control.owner,
        "reason": control.reason,
        "created": was if was is not None else now.timestamp(),
        "until": control.until.timestamp() if control.until else None,
        "ended": now.timestamp() if over else None,
        "json": control.model_dump_json().encode(),
    }
    replace(connection, SILENCES, [row])


def _matches(control: Control) -> ColumnElement[bool]:
    """The findings it concerns; as the core decides it."""
    found: ColumnElement[bool] = true()
    if control.detector is not None:
        found = found & (_F.detector == control.detector)
    if control.entity is not None:
        entity: Entity = control.entity
        found = found & (_F.lane == entity.lane) & (_F.entity == entity.id)
    if control.tenant is not None:
        found = found & (_F.tenant == control.tenant)
    return found


def _silence(row: Any) -> Silence:
    from datetime import UTC

    ended = datetime.fromtimestamp(row.ended, UTC) if row.ended is not None else None
    control = Control.model_validate_json(row.json)
    return Silence(control, datetime.fromtimestamp(row.created, UTC), ended)
