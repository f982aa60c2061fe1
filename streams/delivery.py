"""Joins the runner to the room that tells people: what is queued for whom, and how it goes."""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from alerts.deliverer import Deliverer
from alerts.destinations import Destinations
from alerts.outbox import Outbox
from schemas.finding import Finding
from streams.own_findings import destination_held
from streams.settings import Settings

DEFAULT_DESTINATION = "findings-file"
STOP_S = 10.0  # seconds the destinations have to take what waits, on SIGTERM

log = logging.getLogger("tripmeter.serve")


class Delivery:
    """The outbox and its threads.

    Raises:
        BadDestinations: the configuration of a destination cannot be used.
    """

    def __init__(self, data: Path, settings: Settings) -> None:
        table = dict(settings.destinations)
        if settings.store.findings_file:
            path = (data / settings.store.findings_file).resolve()
            table.setdefault(DEFAULT_DESTINATION, {"type": "file", "path": path})
        self._destinations = Destinations(table, settings.base)
        self._deliverer: Deliverer | None = None

    @staticmethod
    def create_tables(connection: sqlite3.Connection) -> None:
        """The outbox's tables, in the database of the findings."""
        Outbox.create_tables(connection)

    def enqueue(self, connection: sqlite3.Connection, findings: Sequence[Finding]) -> None:
        """Queues findings inside the caller's transaction."""
        self._destinations.enqueue(connection, findings)

    def start(self, database: Path, record: Callable[[Sequence[Finding]], object]) -> None:
        """Begins to deliver; a destination that only a person can mend becomes a finding."""

        def fault(name: str, reason: str) -> None:
            record([destination_held(name, reason, datetime.now(UTC))])

        self._deliverer = Deliverer(database, self._destinations.open(database), on_fault=fault)
        self._deliverer.start()

    def wake(self) -> None:
        """Says that there are new rows."""
        if self._deliverer is not None:
            self._deliverer.wake()

    def stop(self) -> None:
        """Gives destinations a moment to take what waits; the rest comes at the next start."""
        if self._deliverer is not None:
            for name in self._deliverer.stop(STOP_S):
                log.warning("%s did not take everything; the rest is kept", name)

    def status(self) -> dict[str, dict[str, int]]:
        """Destination -> state -> rows."""
        return self._deliverer.counts() if self._deliverer is not None else {}
