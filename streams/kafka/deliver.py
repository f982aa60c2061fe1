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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from schemas.finding import Finding
from schemas.records import Heartbeat, Rollup
from streams.kafka import clients, installation
from streams.kafka.lag_watch import LagWatch
from streams.kafka.monitor import Monitor
from streams.kafka.outgoing import Outgoing
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import MAX_RECORD_BYTES, Names
from streams.metrics import Metrics
from streams.quarantine import Quarantine, Refused
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


@dataclass
class Sorted:
    """Records of one poll by what they are."""

    findings: list[Finding] = field(default_factory=list)
    rollups: list[Rollup] = field(default_factory=list)
    heartbeats: list[Heartbeat] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    positions: dict[str, int] = field(default_factory=dict)


def sort(names: Names, batches: Mapping[Any, Sequence[Any]]) -> Sorted:
    """Reads records; one that is not what its topic holds is refused, and passed over."""
    found = Sorted()
    kinds: dict[str, tuple[type[BaseModel], list[Any]]] = {
        names.findings: (Finding, found.findings),
        names.rollups: (Rollup, found.rollups),
        names.health: (Heartbeat, found.heartbeats),
    }
    for part, records in batches.items():
        kind, into = kinds[part.topic]
        for record in records:
            try:
                into.append(kind.model_validate_json(record.value or b""))
            except ValidationError as error:
                if kind is Heartbeat:
                    continue  # the health topic holds other signs of life, too
                place = f"{part.topic}[{part.partition}]@{record.offset}"
                reason = f"no {kind.__name__.lower()}: {error.errors()[0]['msg']}"
                raw = record.value or b""
                found.refused.append(Refused(part.topic, place, "json", "", reason, raw))
        found.positions[source(part)] = records[-1].offset + 1
    return found


def source(part: Any) -> str:
    """The name of a partition among the positions of the store."""
    return f"{part.topic}[{part.partition}]"


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
                except KafkaError as error:
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
        if self._fresh:
            for part in self._begin(self._take_fresh()):
                batches.pop(part, None)  # read from where the group stands; ours is further on
        if batches:
            self._store(batches)
        if self._done:
            self._commit()

    def _take_fresh(self) -> list[Any]:
        fresh, self._fresh = self._fresh, []
        return fresh

    def _begin(self, parts: Sequence[Any]) -> list[Any]:
        """Goes to where our own store says; gives the partitions where that is further on."""
        moved = []
        for part in parts:
            mine, group = self._position(source(part)), self._consumer.committed(part)
            if mine is not None and mine > (group or 0):
                self._consumer.seek(part, mine)
                moved.append(part)
        return moved

    def _store(self, batches: Mapping[Any, Sequence[Any]]) -> None:
        found = sort(self._names, batches)
        try:
            if found.refused:
                self._refuse(found.refused)
            self._record(found.findings, found.rollups, found.heartbeats, found.positions)
        except (sqlite3.Error, OSError) as error:
            if not self.blocked:
                log.error("findings cannot be stored; trying again: %s", error)
            self.blocked = type(error).__name__
            for part, records in batches.items():
                self._consumer.seek(part, records[0].offset)
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


def deliver(data: Path, settings: Settings) -> int:
    """Delivers until SIGTERM or SIGINT; gives the exit code.

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
