"""Where `deliver` puts what it read: the store, whose outbox the destinations are fed from.

This file is all that Kafka knows of the room that tells people.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from schemas.finding import Finding
from schemas.records import Heartbeat, Rollup
from streams.delivery import Delivery
from streams.kafka.beats import Beats
from streams.settings import DAY_S, Settings
from streams.store import Findings, Keep, Store


class Outgoing:
    """The store of a data directory (or a database that several hosts share), and its threads.

    Args:
        found: told of findings that are new.
    Attributes:
        delivery: the destinations, which may be read again.
    Raises:
        BadDestinations: the configuration of a destination cannot be used.
    """

    def __init__(
        self, data: Path, settings: Settings, found: Callable[[Sequence[Finding]], None]
    ) -> None:
        self.delivery = Delivery(data, settings)
        kept = settings.store
        self._store = Store(
            data,
            url=kept.url(),
            router=self.delivery.router,
            policy=settings.incidents.policy(),
            keep=Keep(
                rollups_s=kept.rollups_keep_days * DAY_S,
                rollups=kept.max_rollups,
                findings=kept.max_findings,
                anchor_every_s=kept.anchor_every_s,
            ),
        )
        self._found = found
        self._beats = Beats()
        self._beats.load(Findings.of(self._store).heartbeats())

    def start(self) -> None:
        """Begins to deliver what waits."""
        self.delivery.start(self._store.alerts, self._record_own)

    def record(
        self,
        findings: Sequence[Finding],
        rollups: Sequence[Rollup],
        heartbeats: Sequence[Heartbeat],
        positions: Mapping[str, int],
    ) -> None:
        """Stores findings with what is to be told of them, and how far the topics were read.

        Raises:
            sqlite3.Error, OSError: nothing is promised; the same call may be repeated.
        """
        self._store.record(rollups=rollups, heartbeats=self._beats.join(heartbeats))
        new = self._store.alerts.record(findings, positions)
        if new:
            self._found(new)
            self.delivery.wake()

    def position(self, source: str) -> int | None:
        """What `record` was last given for a source."""
        return self._store.alerts.position(source)

    def nothing_waits(self) -> bool:
        """Whether every destination has taken (or for good refused) everything."""
        return not any(
            rows.get("waiting", 0) or rows.get("held", 0)
            for rows in self.delivery.status().values()
        )

    def status(self) -> dict[str, dict[str, int]]:
        """Destination -> state -> rows."""
        return self.delivery.status()

    def stop(self) -> None:
        """Gives destinations a moment to take what waits, and closes the store."""
        self.delivery.stop()
        self._store.close()

    def _record_own(self, findings: Sequence[Finding]) -> None:
        self._store.record(findings)
        self.delivery.wake()
