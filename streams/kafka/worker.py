"""`tripmeter worker`: Faust agents that route events to lanes and judge the lanes' shards.

What a worker knows of a partition is in the state topic, with how far it has read. After every
rebalance it reads on from there; the group's committed offsets say only how far everything is done.
Acknowledgements are never held: what came too early is dropped and read again.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import faust
from faust.types import TP

from schemas.adapters import FORMATS, Adapted, adapt
from schemas.identity import Pepper
from streams.kafka import clients, slab
from streams.kafka.own import records_gone
from streams.kafka.progress import Progress
from streams.kafka.publisher import Publisher
from streams.kafka.reading import Next, Reading
from streams.kafka.restore import Reader, shard_name
from streams.kafka.room import give_back
from streams.kafka.routed import control
from streams.kafka.routes import Route, Routes
from streams.kafka.runs import Run, Runs
from streams.kafka.topics import Names
from streams.kafka.unpeppered import adapt_without_pepper
from streams.metrics import Metrics
from streams.seal import Seal
from streams.settings import Settings
from streams.wiring import context, core_settings

TICK_S = 0.05
SESSION_S = 10.0  # a worker that is silent for so long is taken for dead
HEARTBEAT_S = 2.0
COMMIT_S = 0.5
RECORDS_A_FETCH = 8000
FETCH_BYTES = 1 << 20
BUFFERED_SLABS = 8  # of each agent; a slab may be a few megabytes
IDLE_AFTER_S = 1.0

log = logging.getLogger("tripmeter.worker")


class NoPepper(Exception):
    """An event holds a raw key, and this process cannot make a fingerprint of it."""


class Worker:
    """One worker process.

    Args:
        settings: with the shards that the installation agreed on.
        data: folder for what is this process's alone.
        pepper: for events that hold raw keys or come in other formats; None refuses these.
        instance: name that stays the same over restarts, for static membership.
    """

    def __init__(
        self, settings: Settings, data: Path, pepper: Pepper | None, seal: Seal, instance: str
    ) -> None:
        self.settings, self.pepper, self.instance = settings, pepper, instance
        kafka, base = settings.kafka, settings.base
        self.names = Names(kafka.prefix)
        self.metrics = Metrics()
        self.failure: str | None = None
        self.publisher = Publisher(kafka, base)
        self.app = self._app(data, instance)
        self.app.positions = self
        self.sources = 0
        accepts = tuple(FORMATS) if kafka.accept_raw else ()
        self.routes = Routes(
            self.names,
            kafka.shards,
            self.publisher,
            seal,
            self.metrics,
            lambda: self.sources,
            self._adapt,
            accepts,
            IDLE_AFTER_S,
        )
        self._reader = Reader(kafka, base, kafka.shards)
        self.runs = Runs(
            self.names,
            kafka.shards,
            core_settings(settings),
            self.publisher,
            self.metrics,
            self._reader,
            seal,
        )
        self._kept_at = time.monotonic()
        self.moved_at = time.monotonic()  # when a partition last got on
        self.assigned_at = 0.0
        self.restoring_s = 0.0
        self.lost = 0
        self._decided = Progress()
        self.stopping = asyncio.Event()

    def _app(self, data: Path, instance: str) -> Any:
        kafka, base = self.settings.kafka, self.settings.base
        slab.register()
        app = faust.App(
            self.names.worker_group,
            **clients.faust(kafka, base, scheme=slab.SCHEME),
            datadir=str(data / "faust"),
            store="memory://",
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            key_serializer="raw",
            value_serializer="raw",
            broker_client_id=f"{kafka.prefix}-worker",
            broker_commit_interval=COMMIT_S,
            broker_session_timeout=SESSION_S,
            broker_heartbeat_interval=HEARTBEAT_S,
            broker_request_timeout=max(kafka.request_timeout_s, SESSION_S + 1),
            broker_max_poll_records=RECORDS_A_FETCH,
            consumer_max_fetch_size=FETCH_BYTES,
            consumer_auto_offset_reset="earliest",
            consumer_group_instance_id=instance,
            stream_buffer_maxsize=BUFFERED_SLABS,
            stream_wait_empty=False,
            table_standby_replicas=0,
        )
        app.agent(self._topic(app, self.names.events), name="route", concurrency=1)(self._route)
        for lane in self.names.lanes:
            name = "judge-" + lane.rpartition(".")[2]
            app.agent(self._topic(app, lane), name=name, concurrency=1)(self._judge)
        app.agent(self._topic(app, self.names.control), name="control", concurrency=1)(
            self._control
        )
        app.on_rebalance_complete.connect(self._assigned, weak=False)
        return app

    @staticmethod
    def _topic(app: Any, name: str) -> Any:
        return app.topic(name, value_type=None, value_serializer="raw", key_serializer="raw")

    def _adapt(self, value: bytes, format: str, source: str, observed: datetime) -> Adapted:
        pepper = self.pepper.secret if self.pepper is not None else b""
        if self.pepper is None:
            raise NoPepper
        told = context(self.settings, pepper, source or "kafka", observed)
        return (adapt if pepper else adapt_without_pepper)(value, format, told)

    # --- what the transport asks ------------------------------------------------------------

    def begin(self, assigned: Collection[TP]) -> Mapping[TP, int]:
        """Where to read on."""
        known = {**self.routes.routes, **self.runs.runs}
        return {tp: known[tp].expect for tp in assigned if tp in known}

    def committable(self, tp: TP) -> int | None:
        """How far a partition is done."""
        if tp.topic == self.names.control:
            return self._decided.done
        reading = self.routes.routes.get(tp) or self.runs.runs.get(tp)
        return None if reading is None else reading.progress.done

    # --- rebalances -------------------------------------------------------------------------

    async def _assigned(self, *_: Any, **__: Any) -> None:
        """Takes over what is ours now, and lets go of the rest."""
        try:
            await self._take_over(set(self.app.consumer.assignment()))
            give_back()
        except Exception as error:
            self.fail("state could not be read", error)
            raise

    async def _take_over(self, assigned: set[TP]) -> None:
        begun = time.monotonic()
        old_routes, old_runs = dict(self.routes.routes), dict(self.runs.runs)
        self.routes.routes, self.runs.runs = {}, {}
        events = {tp for tp in assigned if tp.topic == self.names.events}
        lanes = {tp: lane for tp in assigned - events if (lane := self.runs.lane_of(tp))}
        self.sources = await self.publisher.partitions(self.names.events)
        wanted = [(lane, tp.partition) for tp, lane in lanes.items()]
        found, states = await self._reader.read(wanted, {tp.partition for tp in events})
        turns = self.app.consumer.turns
        for tp in events:
            mine = old_routes.get(tp)
            if mine is not None and not mine.busy:
                mine.turn = turns.get(tp, 0)
                mine.router.sources = self.sources
                self.routes.routes[tp] = mine
            else:
                self.routes.open(tp, states.get(tp.partition), turns.get(tp, 0))
        for tp, lane in lanes.items():
            recovery, turn = found[shard_name(lane, tp.partition)], turns.get(tp, 0)
            run = old_runs.get(tp)
            if run is not None and not run.busy:
                self.runs.again(tp, recovery, run, turn)
            else:
                self.runs.open(tp, recovery, turn)
        self.restoring_s = time.monotonic() - begun
        self.moved_at = self.assigned_at = time.monotonic()
        log.info(
            "%d partitions of events and %d shards are ours; state read in %.1f s",
            len(self.routes.routes), len(self.runs.runs), self.restoring_s,
        )  # fmt: skip

    # --- agents -----------------------------------------------------------------------------

    async def _route(self, stream: Any) -> None:
        async for event in stream.events():
            await self._guarded(event.message.tp, event.value, self.routes.routes)

    async def _judge(self, stream: Any) -> None:
        async for event in stream.events():
            await self._guarded(event.message.tp, event.value, self.runs.runs)

    async def _control(self, stream: Any) -> None:
        """What operators decide goes to every shard, into the order in which it judges."""
        async for event in stream.events():
            sent = [
                await self.publisher.send(lane, control(record.value or b""), partition=shard)
                for record in event.value
                for lane in self.names.lanes
                for shard in range(self.settings.kafka.shards)
            ]
            self._decided.note(event.message.offset + 1, sent)

    async def _guarded(self, tp: TP, slab: Any, readings: Mapping[TP, Reading]) -> None:
        """One slab; an error ends the worker, for its supervisor to start it again."""
        reading = readings.get(tp)
        if reading is None or self.failure is not None:
            return
        try:
            await self._slab(tp, slab, reading)
        except Exception as error:
            self.fail(f"{tp.topic}, partition {tp.partition}", error)

    async def _slab(self, tp: TP, slab: Any, reading: Reading) -> None:
        async with reading.lock:
            verdict, records = reading.look(slab, slab.turn)
            if verdict is Next.PASS:
                return
            if verdict is Next.REWIND:
                await self._rewind(tp, reading, reading.expect)
                return
            if verdict is Next.GAP and not await self._gap(tp, reading, records[0].offset):
                return
            if isinstance(reading, Route):
                await self.routes.take(reading, records)
            elif isinstance(reading, Run):
                await self._rewind(tp, reading, await self.runs.take(reading, records))
        self.moved_at = time.monotonic()
        await asyncio.sleep(0)

    async def _rewind(self, tp: TP, reading: Reading, offset: int | None) -> None:
        if offset is not None:
            await self.app.consumer.rewind(tp, offset)
            reading.turn = self.app.consumer.turns[tp]

    async def _gap(self, tp: TP, reading: Reading, first: int) -> bool:
        """Passes what the topic never had, or dropped; False: a lane has no holes, go back."""
        earliest = await self.app.consumer.earliest_offsets(tp)
        begin = min(first, max(earliest.values(), default=0))
        if begin > reading.expect:
            self.lost += begin - reading.expect
            log.error("%s %d: records are gone from %d to %d", *tp, reading.expect, begin)
            gone = records_gone(tp.topic, tp.partition, reading.expect, begin, datetime.now(UTC))
            await self.runs.tell([gone])
        if isinstance(reading, Run):
            reading.expect = max(reading.expect, begin)
            reading.shard.merge.give_up(reading.expect)
            if reading.expect < first:
                await self._rewind(tp, reading, reading.expect)
                return False
        reading.expect = first
        return True

    def fail(self, where: str, error: BaseException) -> None:
        """Ends the worker; the text of an error may hold data, its type and place do not."""
        if self.failure is None:
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            at = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
            self.failure = f"{where}: {type(error).__name__} at {at}"
            log.error("cannot go on: %s", self.failure)
        self.stopping.set()

    # --- life -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Works until `stopping` is set."""
        await self.publisher.start()
        self.app.finalize()
        await self.app.start()
        ticking = asyncio.create_task(self._tick())
        keeping = asyncio.create_task(self._keep())
        await self.stopping.wait()
        for task in (ticking, keeping):
            task.cancel()
        await asyncio.gather(ticking, keeping, return_exceptions=True)
        await self._end()

    async def _end(self) -> None:
        """Stops reading, and leaves everything written down."""
        if self.failure is None:
            self.app.consumer.stop_flow()
            await asyncio.sleep(2 * TICK_S)
            await self.keep()
            await self.app.consumer.commit()
        await self.publisher.stop()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            stopped = "Faust stopped" if self.app.should_stop else None
            if (reason := self.publisher.failure or stopped) is not None:
                self.failure = self.failure or reason
                log.error("cannot go on: %s", self.failure)
                self.stopping.set()
                return
            try:
                now = time.monotonic()
                await self.routes.tick(self.app.consumer.end_seen, self.runs.furthest(), now)
                for tp, run in self.runs.due(now):
                    async with run.lock:
                        await self._rewind(tp, run, await self.runs.judge(run))
                await self.runs.tick(now)
            except Exception as error:
                self.fail("between slabs", error)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self.settings.store.snapshot_every_s))
            if time.monotonic() - self._kept_at >= self.settings.store.snapshot_every_s:
                try:
                    await self.keep()
                except Exception as error:
                    log.warning("no snapshot: %s", type(error).__name__)
                self._kept_at = time.monotonic()

    async def keep(self) -> None:
        """Makes snapshots of all that moved."""
        await self.routes.keep()
        await self.runs.keep()
