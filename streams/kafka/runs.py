"""The shards that this worker judges."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

from aiokafka.errors import KafkaError
from faust.types import TP

from schemas.finding import Finding
from streams.kafka import invalid, routed
from streams.kafka.chunks import Ledger, Record, Recovery
from streams.kafka.keeper import Wanted, take
from streams.kafka.lanes import BY_NAME, FIRST, LaneSpec
from streams.kafka.own import event_set_aside, source_skipped
from streams.kafka.publisher import Promise, Publisher
from streams.kafka.reading import Reading
from streams.kafka.records import finding_key, shard_of
from streams.kafka.restore import Reader, shard_name
from streams.kafka.routed import Word
from streams.kafka.shard import Judged, Shard
from streams.kafka.topics import Names
from streams.metrics import Metrics
from streams.output import CoreSettings
from streams.quarantine import Refused
from streams.seal import Seal
from streams.snapshot import BadSnapshot

TELL_EVERY_S = 0.2
JUDGE_EVERY_S, JUDGE_AT_LEAST_S = 0.2, 1.0
TURN_SHARE = {True: 0.4, False: 0.2}  # of the time, for judging little: the first lane, the others
ENOUGH_BYTES = 1 << 17  # packed; some thousands of events

log = logging.getLogger("tripmeter.worker")


class Run(Reading):
    """One shard."""

    def __init__(self, shard: Shard, ledger: Ledger, turn: int) -> None:
        super().__init__(shard.next, turn)
        self.shard = shard
        self.first = shard.lane.name == FIRST
        self.ledger = ledger
        self.judged_at = 0.0
        self.cost_s = 0.0  # CPU time of the last turn
        self.fed = 0  # bytes of records that nobody judged yet
        self.kept = shard.next
        self.gaps = shard.gaps


class Runs:
    """All of them."""

    def __init__(
        self,
        names: Names,
        shards: int,
        core: CoreSettings,
        publisher: Publisher,
        metrics: Metrics,
        reader: Reader,
        seal: Seal,
    ) -> None:
        self._seal = seal
        # the first lane and the others have one each, and Kafka is answered meanwhile
        self._threads = {first: ThreadPoolExecutor(1, "judge") for first in (True, False)}
        self._reader = reader
        self.set_aside = 0
        self._pause_s = {True: JUDGE_EVERY_S, False: JUDGE_EVERY_S}  # of the first lane, the others
        self.runs: dict[TP, Run] = {}
        self.events = self.restored = 0
        self.longest_pause_s = self._told_at = 0.0
        self.snapshot_bytes = 0
        self._names, self._shards, self._core = names, shards, core
        self._publisher, self._metrics = publisher, metrics
        self._lanes = {names.lane(name): spec for name, spec in BY_NAME.items()}

    def lane_of(self, tp: TP) -> str | None:
        """The lane of a topic; None for one that nothing judges."""
        spec = self._lanes.get(tp.topic)
        return None if spec is None else spec.name

    def open(self, tp: TP, recovery: Recovery, turn: int) -> Run:
        """Takes a shard over from the best snapshot that can be read."""
        spec = self._lanes[tp.topic]
        shard = self._restored(spec, tp.partition, recovery)
        ledger = Ledger(shard_name(spec.name, tp.partition), list(recovery.keys))
        run = self.runs[tp] = Run(shard, ledger, turn)
        return run

    def _restored(self, spec: LaneSpec, number: int, recovery: Recovery) -> Shard:
        """The best snapshot that can be read, or a new shard."""
        for found in recovery.candidates():
            shard = Shard(spec, number, self._shards, self._core)
            try:
                shard.load(found.data)
            except BadSnapshot as error:
                log.warning("%s/%d: a snapshot is not used: %s", spec.name, number, error)
                continue
            self.restored += 1
            return shard
        return Shard(spec, number, self._shards, self._core)

    def again(self, tp: TP, recovery: Recovery, run: Run, turn: int) -> None:
        """Goes on with a shard that was ours before the rebalance; what it knows is still so."""
        fresh = Run(run.shard, Ledger(run.ledger.shard, list(recovery.keys)), turn)
        fresh.kept, fresh.progress = -1, run.progress
        self.runs[tp] = fresh

    async def take(self, run: Run, records: Sequence[Any]) -> int | None:
        """Takes records that are next, and judges when there is enough to do.

        Judging a block costs the same however small it is, so little is judged only now and then.

        Returns:
            The offset to read again from, if there is one.
        """
        for record in records:
            value = record.value or b""
            decided = run.shard.feed(record.offset, value, record.timestamp or 0)
            run.fed += len(value)
            run.expect = record.offset + 1
            if decided is not None:
                again = await self.judge(run)
                run.shard.decide(decided)
                if again is not None:
                    return again
        if run.fed >= ENOUGH_BYTES or self._waited(run, time.monotonic()):
            return await self.judge(run)
        return None

    async def judge(self, run: Run) -> int | None:
        """Judges what is due; gives the offset to read again from, if there is one."""
        shard = run.shard
        run.fed, run.judged_at = 0, time.monotonic()
        sent: list[Promise] = []
        try:
            async for judged in self._blocks(run):
                sent += await self._publish(shard, judged)
        except KafkaError:
            raise
        except Exception as error:
            return await self._begin_again(run, error)
        if shard.gaps > run.gaps:
            run.gaps = shard.gaps
            now = datetime.now(UTC)
            sent += await self.tell([source_skipped(shard.lane.name, shard.number, run.gaps, now)])
        run.progress.note(shard.merge.oldest(), sent)
        wanted = shard.merge.wanted() if run.expect > shard.merge.seen else None
        if wanted is not None:
            run.expect = wanted
        return wanted

    async def _blocks(self, run: Run) -> AsyncIterator[Judged]:
        """What comes out, block by block; the loop answers Kafka meanwhile."""
        blocks, run.cost_s = run.shard.judge(), 0.0
        loop, thread = asyncio.get_running_loop(), self._threads[run.first]
        while True:
            judged, cpu_s = await loop.run_in_executor(thread, _next, blocks)
            run.cost_s += cpu_s
            if judged is None:
                return
            yield judged

    async def _begin_again(self, run: Run, error: Exception) -> int:
        """After a failure: goes back to the last snapshot, and finds the event that is to blame."""
        old = run.shard
        suspicion = old.suspicion.next(old.merge.released)
        found = sorted(suspicion.aside - old.suspicion.aside)
        log.error("%s/%d: judging failed (%s)", old.lane.name, old.number, type(error).__name__)
        states, _ = await self._reader.read([(old.lane.name, old.number)], ())
        run.shard = self._restored(old.lane, old.number, states[run.ledger.shard])
        run.shard.suspicion = suspicion
        for key in found:
            place = ":".join(map(str, key))
            now, name = datetime.now(UTC), type(error).__name__
            await self.tell([event_set_aside(old.lane.name, old.number, place, name, now)])
            self.set_aside += 1
        run.expect = run.shard.next
        return run.expect

    async def _publish(self, shard: Shard, judged: Judged) -> list[Promise]:
        send, names = self._publisher.send, self._names
        sent = [
            await send(names.lane(lane), value, partition=place)
            for lane, place, value, _ in judged.forwarded
        ]
        sent += await self.tell(judged.findings)
        for rollup in judged.rollups:
            value = rollup.model_dump_json().encode()
            sent.append(await send(names.rollups, value, rollup.entity.id.encode(errors="replace")))
        for beat in judged.heartbeats:
            detail = {"lane": shard.lane.name, "shard": shard.number}
            value = beat.model_copy(update={"detail": detail}).model_dump_json().encode()
            sent.append(await send(names.health, value, beat.source.encode(errors="replace")))
        for key, line in judged.aside:
            place = ":".join(map(str, key))
            refused = Refused(shard.lane.name, place, "canonical", "", "it made judging fail", line)
            value = invalid.encode(refused, self._seal, time.time())
            sent.append(await send(names.invalid, value))
        if shard.lane.name == FIRST:
            self.events += judged.events
        return sent

    async def tell(self, findings: Sequence[Finding]) -> list[Promise]:
        """Publishes findings: all about one entity in one partition, in order."""
        sent = []
        for finding in findings:
            key = finding_key(finding)
            count = await self._publisher.partitions(self._names.findings)
            place = shard_of(key.decode(), count)
            sent.append(
                await self._publisher.send(self._names.findings, finding.to_json(), key, place)
            )
            self._metrics.found(finding.detector, finding.severity)
        return sent

    def due(self, now: float) -> list[tuple[TP, Run]]:
        """Shards that took records and have waited long enough to judge them.

        A turn of all shards of a lane may take a share of the time between two turns, so that small
        blocks, which cost as much as large ones, do not keep a worker busy with nothing. Most of it
        is for the first lane, where spending is judged, and which feeds the others.
        """
        for first, share in TURN_SHARE.items():
            turn_s = sum(run.cost_s for run in self.runs.values() if run.first == first)
            self._pause_s[first] = min(max(JUDGE_EVERY_S, turn_s / share), JUDGE_AT_LEAST_S)
        found = [
            (tp, run)
            for tp, run in self.runs.items()
            if run.fed and not run.busy and self._waited(run, now)
        ]
        return sorted(found, key=lambda one: not one[1].first)

    def _waited(self, run: Run, now: float) -> bool:
        return now - run.judged_at >= self._pause_s[run.first]

    async def tick(self, now: float) -> None:
        """Tells the other lanes how far the first one is."""
        if now - self._told_at < TELL_EVERY_S:
            return
        self._told_at = now
        told: dict[tuple[str, int], list[Word]] = {}
        async with AsyncExitStack() as held:  # what a shard sends later must come after its word
            spoke = [run for run in self.runs.values() if not run.busy]
            for run in spoke:
                await held.enter_async_context(run.lock)
                for lane, place, word in run.shard.behind():
                    told.setdefault((lane, place), []).append(word)
            sent = [
                await self._publisher.send(
                    self._names.lane(lane), routed.words(self._shards, some), partition=place
                )
                for (lane, place), some in told.items()
            ]
            for run in spoke if sent else ():
                run.progress.note(run.shard.merge.oldest(), sent)

    def furthest(self) -> int | None:
        """Largest clock of any source of the first lane, as far as this worker knows."""
        clocks = [run.shard.merge.furthest() for run in self.runs.values() if run.first]
        return max(clocks, default=None)

    # --- snapshots --------------------------------------------------------------------------

    async def keep(self) -> None:
        """Writes the shards that moved into the state topic.

        Raises:
            SnapshotFailed: nothing is lost; there is another try.
            KafkaError: the worker has to end, for it cannot know what was written.
        """
        due = [r for r in self.runs.values() if r.kept != r.shard.next and not r.busy]
        if not due:
            return
        seen = [run.shard.merge.seen for run in due]
        promises = [run.progress.promises() for run in due]
        taken = await take([Wanted(run.shard.state, run.ledger.written) for run in due])
        self.longest_pause_s = max(self.longest_pause_s, taken.paused_s)
        for run, at, sent, state in zip(due, seen, promises, taken.states, strict=True):
            await self._publisher.arrived(sent)  # what followed from it is there before it is
            await self._write(run, run.ledger.dirty(state.chunks, at, state.size))
            await self._write(run, run.ledger.done())
            run.kept = at + 1
            self.snapshot_bytes = max(self.snapshot_bytes, state.size)

    async def _write(self, run: Run, records: Sequence[Record]) -> None:
        sent = [
            await self._publisher.send(self._names.state, value, key, run.shard.number)
            for key, value in records
        ]
        await self._publisher.arrived(sent)


def _next(blocks: Iterator[Judged]) -> tuple[Judged | None, float]:
    begun = time.thread_time()
    return next(blocks, None), time.thread_time() - begun
