"""Joins the runner to the room that tells people: what is queued for whom, and how it goes."""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from alerts.deliverer import Deliverer
from alerts.destinations import Destinations
from alerts.incident import RUNNER, Action, key_of
from alerts.incident_desk import Desk
from alerts.retry import Retry
from alerts.slack_listen import Listener, listeners
from alerts.store import AlertStore
from schemas.finding import Finding
from streams.decide import Emit, from_outside
from streams.own_findings import (
    destination_entity,
    destination_full,
    destination_held,
    findings_dropped,
)
from streams.settings import Settings

DEFAULT_DESTINATION = "findings-file"
STOP_S = 10.0  # seconds the destinations have to take what waits, on SIGTERM

log = logging.getLogger("tripmeter.serve")


class Delivery:
    """The outbox and its threads.

    Args:
        retry: how patiently destinations are tried.
    Attributes:
        router: who wants what, for the store.
    Raises:
        BadDestinations: the configuration of a destination cannot be used.
    """

    def __init__(self, data: Path, settings: Settings, retry: Retry | None = None) -> None:
        self._data = data
        self._retry = retry
        self._settings = settings
        self.router = _destinations(data, settings)
        self._deliverer: Deliverer | None = None
        self._alerts: AlertStore | None = None
        self._listeners: list[Listener] = []
        self._make: Callable[[Destinations], Deliverer] | None = None

    def start(
        self,
        alerts: AlertStore,
        record: Callable[[Sequence[Finding]], object],
        emit: Emit | None = None,
    ) -> None:
        """Begins to deliver; a destination that only a person can mend becomes a finding.

        Args:
            record: stores findings of the runner itself.
            emit: hands what people decide to the core.
        """
        desk = Desk(alerts, emit or from_outside(self._data, self._settings))

        def fault(name: str, reason: str) -> None:
            record([destination_held(name, reason, datetime.now(UTC))])

        def recovered(name: str) -> None:
            key = key_of("health", destination_entity(name))
            at = datetime.now(UTC)
            action = Action(verb="resolve", by=RUNNER, at=at, reason="it takes findings again")
            alerts.settle(key, action)
            self.wake()

        def chores() -> None:
            changed = alerts.tick()
            for trouble in alerts.troubles():
                now = datetime.now(UTC)
                if trouble.destination is not None:
                    record([destination_full(trouble.destination, now)])
                else:
                    record([findings_dropped(trouble.lost, now)])
            if changed:
                self.wake()

        def make(destinations: Destinations) -> Deliverer:
            sinks = destinations.open(alerts.engine, desk)
            self._listeners = listeners(sinks, desk, self.wake)
            for listener in self._listeners:
                listener.start()
            return Deliverer(
                alerts.engine,
                sinks,
                retry=self._retry,
                on_fault=fault,
                on_recovered=recovered,
                chores=chores,
            )

        self._alerts, self._make = alerts, make
        self._deliverer = make(self.router)
        self._deliverer.start()

    def reload(self, settings: Settings) -> None:
        """Goes on with the destinations and routes of other settings.

        What waits stays queued, also for a destination that is gone. Takes up to `STOP_S`; a
        destination that is still busy then is left to its old thread until that gives up its lease.

        Raises:
            BadDestinations: they cannot be used; nothing has changed.
        """
        router = _destinations(self._data, settings)
        if self._alerts is None or self._make is None:
            self.router = router
            return
        self.router = self._alerts.router = router
        self.stop()
        self._deliverer = self._make(router)
        self._deliverer.start()

    def wake(self) -> None:
        """Says that there are new rows."""
        if self._deliverer is not None:
            self._deliverer.wake()

    def stop(self) -> None:
        """Gives destinations a moment to take what waits; the rest comes at the next start."""
        for listener in self._listeners:
            listener.stop()
        if self._deliverer is not None:
            for name in self._deliverer.stop(STOP_S):
                log.warning("%s did not take everything; the rest is kept", name)

    def status(self) -> dict[str, dict[str, int]]:
        """Destination -> state -> rows."""
        return self._deliverer.counts() if self._deliverer is not None else {}


def _destinations(data: Path, settings: Settings) -> Destinations:
    table = dict(settings.destinations)
    if settings.store.findings_file:
        path = (data / settings.store.findings_file).resolve()
        table.setdefault(DEFAULT_DESTINATION, {"type": "file", "path": path})
    return Destinations(table, settings.base, settings.routes)
