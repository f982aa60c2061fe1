"""Where people decide: the same deeds from the command line, from Slack and from the feed.

What hides findings (expected, a silence) is also given to `emit` as a control record, first: the
core hears of it, and a replay does, too. Then the store notes it. Both may be repeated.
"""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from alerts.incident import MAX_NAME, MAX_TOLD, Action, Incident
from alerts.silences import BadSilence, Preview, Silence, Silences, checked, keep_in
from alerts.store import AlertStore, UnknownIncident
from alerts.store_engine import writing
from alerts.store_query import Query
from schemas.finding import Entity
from schemas.records import Control

EXPECTED = timedelta(days=30)  # how long "expected" hides the like, when no end is given

Emit = Callable[[Control], object]


class Desk:
    """Acts on incidents and makes silences.

    Args:
        emit: hands a control record to the core, durably: the journal, or the `control` topic.
        now: the runner's clock.
    """

    def __init__(
        self,
        store: AlertStore,
        emit: Emit,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.store = store
        self.silences = Silences(store.engine)
        self._query = Query(store.engine)
        self._emit = emit
        self._now = now

    def act(self, id: str, action: Action) -> Incident:
        """What somebody does to an incident.

        `expected` closes it and hides the same detectors' findings on the same entity until its
        end (`EXPECTED` when none is given).

        Raises:
            UnknownIncident, NotPossible, BadSilence: nothing was changed, and why.
            sqlite3.Error, OSError: try again; whatever was done already is not done twice.
        """
        controls = self.expected(id, action) if action.verb == "expected" else []
        for control in controls:
            self._emit(control)
        incident = self.store.act(id, action)
        if controls:
            with writing(self.store.engine) as connection:
                for control in controls:
                    keep_in(connection, control, action.at)
        return incident

    def expected(self, id: str, action: Action) -> list[Control]:
        """The control records that `expected` would emit, one for each detector.

        Raises:
            UnknownIncident, BadSilence: it cannot be expected.
        """
        incident = self._query.incident(id)
        if incident is None:
            raise UnknownIncident(f"no single incident begins with {id!r}")
        return [
            checked(
                Control(
                    id=_name("expected", incident.id, detector),
                    action="expected",
                    detector=detector,
                    entity=incident.entity,
                    owner=action.by,
                    reason=action.reason[:MAX_TOLD],
                    effective=min(incident.last, action.at),  # later revisions are expected, too
                    until=action.until or action.at + EXPECTED,
                ),
                action.at,
            )
            for detector in incident.detectors
        ]

    def silence(
        self,
        *,
        owner: str,
        reason: str,
        until: datetime,
        detector: str | None = None,
        entity: Entity | None = None,
        tenant: str | None = None,
    ) -> Silence:
        """Hides matching findings from now until its end.

        Raises:
            BadSilence: it cannot be made so, and why.
            sqlite3.Error, OSError: try again.
        """
        now = self._now()
        control = self.drafted(owner, reason, until, detector, entity, tenant)
        self._emit(control)
        self.silences.keep(control, now)
        return Silence(control, now, None)

    def drafted(
        self,
        owner: str,
        reason: str,
        until: datetime,
        detector: str | None,
        entity: Entity | None,
        tenant: str | None,
    ) -> Control:
        """A silence that is not in force, for a preview.

        Raises:
            BadSilence: it cannot be made so, and why.
        """
        now = self._now()
        what = (detector or "", entity.lane if entity else "", entity.id if entity else "")
        control = Control(
            id=_name("silence", owner, *what, tenant or "", now.isoformat()),
            action="exception",
            detector=detector,
            entity=entity,
            tenant=tenant,
            owner=owner[:MAX_NAME],
            reason=reason[:MAX_TOLD],
            effective=now,
            until=until,
        )
        return checked(control, now)

    def preview(self, control: Control) -> Preview:
        """What it would have hidden in the last 30 days."""
        return self.silences.preview(control, self._now())

    def end(self, id: str, by: str) -> Silence:
        """Ends a silence, or what was expected, now.

        Raises:
            BadSilence: there is no such silence in force.
        """
        now = self._now()
        silence = self.silences.get(id)
        if silence is None or not silence.in_force(now):
            raise BadSilence(f"no single silence in force begins with {id!r}")
        reason = f"{silence.control.reason} (ended by {by})"
        control = silence.control.model_copy(update={"until": now, "reason": reason})
        self._emit(control)
        self.silences.keep(control, now)
        return Silence(control, silence.created, now)


def _name(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=10).hexdigest()
