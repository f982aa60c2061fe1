"""Faust's transport, made to hand over one fetch of a partition as one message.

Faust costs 55 to 110 us a message, whatever an agent does with it; so its message is a *slab*: all
records that one fetch brought for a partition. Where a partition is read from, and how far it may
be committed, is what the worker says: its snapshots decide, not the offsets of the consumer group.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, Protocol

from faust.transport import drivers
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

SCHEME = "slab"
FETCH_WAIT_MS = 100  # what is new in one partition waits at most this long for an idle fetch


class Slab(list[Any]):
    """The records of one fetch; `turn` counts how often the partition was rewound before."""

    turn = 0


class End(NamedTuple):
    """The end of a partition.

    Attributes:
        end: offset after its last record, as the broker last said.
        when_ms: when it said so, wall clock.
        position: offset to fetch next.
        delivered: last offset that was handed over; -1 for none.
    """

    end: int
    when_ms: int
    position: int
    delivered: int


class Positions(Protocol):
    """What the transport asks the worker."""

    def begin(self, assigned: Collection[TP]) -> Mapping[TP, int]:
        """Offsets to read from."""

    def committable(self, tp: TP) -> int | None:
        """Offset before which everything is done; None when nobody knows."""


class _Thread(driver.AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def committed(self, wanted: Collection[TP]) -> Mapping[TP, int]:
        """Offsets the group committed, in one question; only those that there are."""
        coordinator = self._ensure_consumer()._coordinator
        parts = [driver.ensure_aiokafka_TP(tp) for tp in wanted]
        found = await coordinator.fetch_committed_offsets(parts)
        return {TP(part.topic, part.partition): at.offset for part, at in found.items()}

    def end_seen(self, tp: TP) -> End | None:
        """What the broker last said about the end of a partition."""
        assignment = self._ensure_consumer()._subscription.subscription.assignment
        part = driver.ensure_aiokafka_TP(tp)
        if assignment is None or part not in assignment.tps:
            return None
        state = assignment.state_value(part)
        if state is None or state.highwater is None or state.timestamp is None:
            return None
        position = int(state.position) if state.has_valid_position else -1
        consumer: Any = self.consumer
        delivered = consumer.delivered.get(tp, -1)
        return End(int(state.highwater), int(state.timestamp), position, delivered)


class Consumer(driver.Consumer):
    """Delivers slabs; commits what the worker says."""

    _thread: _Thread

    def __init__(self, *args: Any, **options: Any) -> None:
        self.turns: dict[TP, int] = {}
        self.delivered: dict[TP, int] = {}  # last offset that was handed over
        self._known: Mapping[TP, int] = {}  # what the group had committed
        super().__init__(*args, **options)

    @property
    def _positions(self) -> Positions:
        app: Any = self.app
        positions: Positions = app.positions
        return positions

    def _new_consumer_thread(self) -> Any:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:
        found = await self._thread.getmany(active_partitions, timeout)
        slabs = {}
        for tp, records in (found or {}).items():
            if records:
                slab = Slab(records)
                slab.turn = self.turns.get(tp, 0)
                self.delivered[tp] = records[-1].offset
                slabs[tp] = [slab]
        return slabs

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        last = record[-1]
        return ConsumerMessage(
            last.topic,
            last.partition,
            last.offset,
            (last.timestamp or 0) / 1000.0,
            last.timestamp_type,
            None,
            None,
            record,
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """A slab has one offset for many; what is missing between is no gap."""

    def _new_offset(self, tp: TP) -> int | None:
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return self._positions.committable(tp)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Any:
        return self.assignment()

    async def rewind(self, tp: TP, offset: int) -> None:
        """Reads a partition again from an offset; slabs that come from then on have a new turn."""
        await self.seek_wait({tp: offset})
        self.turns[tp] = self.turns.get(tp, 0) + 1

    async def seek_to_committed(self) -> Mapping[TP, int]:
        assigned = self.assignment()
        if not assigned:
            return {}
        self._known = await self._thread.call_thread(self._thread.committed, assigned)
        begin = {**dict.fromkeys(assigned, 0), **self._known, **self._positions.begin(assigned)}
        await self.seek_wait(begin)
        return begin

    async def perform_seek(self) -> None:
        await super().perform_seek()  # which takes where we begin for what is committed
        self._committed_offset.update({tp: self._known.get(tp) for tp in self.assignment()})

    def end_seen(self, tp: TP) -> End | None:
        """See `_Thread.end_seen`."""
        return self._thread.end_seen(tp)


class Transport(driver.Transport):
    """`slab://HOST:PORT`."""

    Consumer = Consumer


def register() -> None:
    """Makes the scheme known to Faust."""
    drivers.TRANSPORTS.aliases[SCHEME] = f"{__name__}:Transport"
