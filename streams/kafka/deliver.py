"""`tripmeter deliver`: findings from their topic into the outbox, and from there to the sinks.

Several may run; one reads (`lease`), the others stand by. A position moves on only after the outbox
has the rows: in the same transaction, where the reader itself starts again from. The group's own
position moves on only when nothing waits in the outbox, so that a standby with a database of its
own begins before anything that may be undelivered.
"""

import logging
import signal
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from schemas.finding import Finding
from schemas.records import Heartbeat, Rollup
from streams.kafka import clients, installation
from streams.kafka.arrivals import sort, source, topic_ids
from streams.kafka.lag_watch import LagWatch
from streams.kafka.monitor import Monitor
from streams.kafka.outgoing import Outgoing
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import MAX_RECORD_BYTES, Names
from streams.metrics import Metrics
from streams.quarantine import Quarantine, Refused
from streams.reload import Reload
from streams.settings import Settings
from streams.web import listen

POLL_MS = 300
MAX_POLL = 500  # records of one transaction
SESSION_MS = 10_000  # until a standby takes over from one that vanished
HEARTBEAT_MS = 3_000
RETRY_S = 1.0  # after a store that could not write
COMMIT_S = 1.0

log = logging.getLogger("tripmeter.deliver")

Record = Callable[
    [Sequence[Finding], Sequence[Rollup], Sequence[Heartbeat], Mapping[str, int]], None
]


class Reader:
    """Reads the topics while it holds the lease.

    Args:
        record: stores everything of one poll, or raises sqlite3.Error or OSError.
        position: where a partition goes on, as `record` was told; None when it never was.
        nothing_waits: whether every destination has taken everything.
        refuse: keeps records that cannot be read.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        base: Path,
        *,
        record: Record,
        position: Callable[[str], int | None],
        nothing_waits: Callable[[], bool],
        refuse: Callable[[Sequence[Refused]], object],
    ) -> None:
        from streams.kafka.lease import OneReader

        self._kafka = kafka
        self._base = base
        self._ids: dict[str, str] = {}
        self._names = Names(kafka.prefix)
        self._record = record
        self._position = position
        self._nothing_waits = nothing_waits
        self._refuse = refuse
        self._stopping = threading.Event()
        self._done: dict[Any, int] = {}
        self._fresh: list[Any] = []
        self.active = False
        self.blocked = ""  # why nothing can be stored now
        self.broken = ""  # why the broker does not answer
        self.read = self.refused = 0
        self._consumer = clients.consumer(
            kafka,
            base,
            client="deliver",
            group_id=self._names.deliver_group,
            partition_assignment_strategy=[OneReader],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            max_poll_interval_ms=120_000,
            max_poll_records=MAX_POLL,
            max_partition_fetch_bytes=MAX_RECORD_BYTES,
        )

    def run(self) -> None:
        """Reads until `stop`."""
        from kafka.errors import KafkaError

        topics = [self._names.findings, self._names.rollups, self._names.health]
        self._consumer.subscribe(topics, listener=_listener(self._assigned, self._revoked))
        try:
            while not self._stopping.is_set():
                try:
                    self._step()
                    self.broken = ""
                except (KafkaError, clients.BrokerAway) as error:
                    self.broken = type(error).__name__
                    log.warning("Kafka: %s; going on", self.broken)
                    self._stopping.wait(RETRY_S)
            self._commit()
        finally:
            self._consumer.close()

    def stop(self) -> None:
        """Ends `run`, and gives the lease back."""
        self._stopping.set()

    def _step(self) -> None:
        batches = dict(self._consumer.poll(timeout_ms=POLL_MS))
        try:
            fresh = self._fresh
            for part in self._begin(fresh):
                batches.pop(part, None)  # read from where the group stands; ours is further on
            if self._fresh is fresh:
                self._fresh = []
            if batches:
                self._store(batches)
        except BaseException:
            self._back(batches)
            raise
        if self._done:
            self._commit()

    def _back(self, batches: Mapping[Any, Sequence[Any]]) -> None:
        """Reads these again."""
        assigned = self._consumer.assignment()
        for part, records in batches.items():
            if part in assigned:
                self._consumer.seek(part, records[0].offset)

    def _begin(self, parts: Sequence[Any]) -> list[Any]:
        """Goes to where our own store says; gives the partitions where that is further on."""
        if parts:
            self._ids = topic_ids(self._kafka, self._base, {part.topic for part in parts})
        moved = []
        for part in parts:
            mine = self._position(source(part, self._ids))
            group = self._consumer.committed(part)
            if mine is not None and mine > (group or 0):
                self._consumer.seek(part, mine)
                moved.append(part)
        return moved

    def _store(self, batches: Mapping[Any, Sequence[Any]]) -> None:
        found = sort(self._names, batches, self._ids)
        try:
            if found.refused:
                self._refuse(found.refused)
            self._record(found.findings, found.rollups, found.heartbeats, found.positions)
        except (sqlite3.Error, OSError) as error:
            if not self.blocked:
                log.error("findings cannot be stored; trying again: %s", error)
            self.blocked = type(error).__name__
            self._back(batches)
            self._stopping.wait(RETRY_S)
            return
        self.blocked = ""
        self.read += sum(map(len, batches.values()))
        self.refused += len(found.refused)
        self._done.update({part: records[-1].offset + 1 for part, records in batches.items()})

    def _commit(self) -> None:
        from kafka.errors import KafkaError
        from kafka.structs import OffsetAndMetadata

        if not self._done or not self._nothing_waits():
            return
        try:
            self._consumer.commit(
                {part: OffsetAndMetadata(at, "", -1) for part, at in self._done.items()}
            )
        except KafkaError as error:  # another holds the lease now, or the broker is away
            log.warning("a position was not committed: %s", type(error).__name__)
            return
        self._done = {}

    def _assigned(self, parts: Sequence[Any]) -> None:  # in the client's own thread: only notes
        self.active = bool(parts)
        self._fresh = list(parts)
        log.info("reading" if self.active else "standing by")

    def _revoked(self, _: Sequence[Any]) -> None:
        self._done = {}
        self.active = False


def _listener(
    assigned: Callable[[Sequence[Any]], None], revoked: Callable[[Sequence[Any]], None]
) -> Any:
    from kafka import ConsumerRebalanceListener

    class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
        def on_partitions_assigned(self, parts: Any) -> None:
            assigned(list(parts))

        def on_partitions_revoked(self, parts: Any) -> None:
            revoked(list(parts))

    return Listener()


def deliver(data: Path, settings: Settings, load: Callable[[], Settings] | None = None) -> int:
    """Delivers until SIGTERM or SIGINT; gives the exit code.

    Args:
        load: reads the configuration again, on SIGHUP; without it nobody listens to that.
    Raises:
        BadConfig: before anything is read.
        BrokerAway: no broker answered.
    """
    kafka, base = settings.kafka, settings.base
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    installation.agree(kafka, base, installation.find_pepper(kafka, base, data))
    metrics = Metrics()

    def found(findings: Sequence[Finding]) -> None:
        for one in findings:
            metrics.found(one.detector, one.severity)
            log.info("finding %s revision %d: %s", one.id, one.revision, one.detector)

    with ExitStack() as closing:
        listener = listen(settings)
        closing.callback(listener.close)
        outgoing = Outgoing(data, settings, found)
        closing.callback(outgoing.stop)
        quarantine = Quarantine(data)
        closing.callback(quarantine.close)
        reader = Reader(
            kafka,
            base,
            record=outgoing.record,
            position=outgoing.position,
            nothing_waits=outgoing.nothing_waits,
            refuse=quarantine.add_all,
        )
        watch = LagWatch(kafka, base)
        metrics.watch(lambda: _reading(reader, outgoing, watch))
        monitor = Monitor(listener, lambda: _not_ready(reader), metrics.text)
        for which in (signal.SIGTERM, signal.SIGINT):
            signal.signal(which, lambda *_: reader.stop())
        outgoing.start()
        if load is not None:
            Reload(load, outgoing.delivery, settings).on_hangup()
        monitor.start()
        closing.callback(monitor.stop)
        watch.start()
        closing.callback(watch.stop)
        reader.run()
    return 0


def _not_ready(reader: Reader) -> list[str]:
    reasons = []
    if reader.blocked:
        reasons.append(f"findings cannot be stored: {reader.blocked}")
    if reader.broken:
        reasons.append(f"Kafka does not answer: {reader.broken}")
    return reasons


def _reading(reader: Reader, outgoing: Outgoing, watch: LagWatch) -> dict[str, Any]:
    return {
        "counts": {"deliver_read": reader.read, "deliver_refused": reader.refused},
        "gauges": {"deliver_active": int(reader.active), **watch.gauges()},
        "outbox": outgoing.status(),
    }
