"""The partitions of `events` that this worker routes."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import msgspec
from faust.types import TP

from schemas.adapters import Adapted
from streams.kafka import invalid, routed
from streams.kafka.idle import Idle
from streams.kafka.invalid import Position
from streams.kafka.lanes import FIRST
from streams.kafka.publisher import Promise, Publisher
from streams.kafka.reading import Reading
from streams.kafka.restore import router_key
from streams.kafka.routed import Word
from streams.kafka.router import Adapt, Outcome, Raw, Router
from streams.kafka.slab import End
from streams.kafka.topics import HEADER_FORMAT, HEADER_SOURCE, Names
from streams.metrics import Metrics
from streams.quarantine import Refused
from streams.seal import Seal

TELL_EVERY_S = 0.1  # between two words to shards that got no events how far we are
IDLE_EVERY_S = 0.25
IDLE_ROUNDS_S = 2.0  # how long it is repeated after something changed
IDLE_REMIND_S = 10.0


class Route(Reading):
    """One partition."""

    def __init__(self, router: Router, turn: int, idle_after_s: float) -> None:
        super().__init__(router.next, turn)
        self.router = router
        self.event_at = time.monotonic()
        self.idle = Idle(idle_after_s, self.event_at)
        self.idle_at = self.changed_at = 0.0
        self.idle_level = -1
        self.kept = router.next


class Routes:
    """All of them.

    Args:
        shards: of the first lane.
        sources: gives the number of partitions of `events`.
        adapt: for formats other than the canonical; `accepts` names those that may come.
        idle_after_s: a partition that has no more for so long is idle.
    """

    def __init__(
        self,
        names: Names,
        shards: int,
        publisher: Publisher,
        seal: Seal,
        metrics: Metrics,
        sources: Callable[[], int],
        adapt: Callable[[bytes, str, str, datetime], Adapted],
        accepts: Sequence[str],
        idle_after_s: float,
    ) -> None:
        self.routes: dict[TP, Route] = {}
        self._names, self._shards, self._publisher = names, shards, publisher
        self._seal, self._metrics, self._sources = seal, metrics, sources
        self._accepts = tuple(accepts)
        self._idle_after_s = idle_after_s
        self._told_at = 0.0
        self._thread = ThreadPoolExecutor(1, "route")  # what reads bytes leaves Python to others
        self._adapt: Adapt = lambda value, format, source, stamp: adapt(
            value, format, source, datetime.fromtimestamp(stamp / 1000, UTC)
        )

    def open(self, tp: TP, state: bytes | None, turn: int) -> Route:
        """Takes a partition over, with the state its last owner left."""
        router = Router(tp.partition, self._sources(), self._shards, self._adapt, self._accepts)
        if state is not None:
            router.load(msgspec.msgpack.decode(state))
        route = self.routes[tp] = Route(router, turn, self._idle_after_s)
        return route

    async def take(self, route: Route, records: Sequence[Any]) -> None:
        """Routes records that are next."""
        loop = asyncio.get_running_loop()
        outcome = await loop.run_in_executor(self._thread, _outcome, route.router, records)
        route.expect = records[-1].offset + 1
        route.event_at = time.monotonic()
        route.idle.moved(route.event_at)
        sent = [await self._lane(shard, value) for shard, value, _ in outcome.routed]
        sent += await self._refuse(outcome)
        self._metrics.events.labels("kafka").inc(outcome.events)
        route.progress.note(route.expect, sent)

    async def _lane(self, shard: int, value: bytes) -> Promise:
        return await self._publisher.send(self._names.lane(FIRST), value, partition=shard)

    async def _refuse(self, outcome: Outcome) -> list[Promise]:
        sent = []
        for one in outcome.refused:
            partition, offset, *_ = (*one.place.split(":"), "-1")
            refused = Refused(
                self._names.events, one.place, one.format, one.field, one.reason, one.raw
            )
            position = Position(self._names.events, int(partition), int(offset))
            value = invalid.encode(refused, self._seal, time.time(), position)
            sent.append(await self._publisher.send(self._names.invalid, value))
            self._metrics.rejected("kafka", one.reason)
        return sent

    # --- now and then -----------------------------------------------------------------------

    async def tick(
        self, end_of: Callable[[TP], End | None], furthest: int | None, now: float
    ) -> None:
        """Tells shards how far we are, and that there is no more where that is so.

        Args:
            end_of: end of a partition by the broker's last word.
            furthest: largest clock of any source that this worker knows; None when it knows none.
        """
        if now - self._told_at >= TELL_EVERY_S:
            self._told_at = now
            await self._tell()
        for tp, route in list(self.routes.items()):
            if route.busy:
                continue
            seen = end_of(tp)
            if seen is None:
                continue
            since = route.idle.since(seen, route.expect, now, 1000 * time.time())
            if since is not None:
                await self._say_idle(route, since, furthest, now)

    async def _tell(self) -> None:
        """How far all partitions here are, in one record for each shard."""
        told: dict[int, list[Word]] = {}
        async with AsyncExitStack() as held:  # what a router sends later must come after its word
            spoke = [route for route in self.routes.values() if not route.busy]
            for route in spoke:
                await held.enter_async_context(route.lock)
                for shard, word in route.router.behind():
                    told.setdefault(shard, []).append(word)
            sources = self._sources()
            sent = [
                await self._lane(shard, routed.words(sources, some)) for shard, some in told.items()
            ]
            for route in spoke if sent else ():
                route.progress.note(route.expect, sent)

    async def _say_idle(
        self, route: Route, since_ms: int, furthest: int | None, now: float
    ) -> None:
        level = furthest if furthest is not None else int(now)
        if level > route.idle_level or route.event_at > route.idle_at:
            route.idle_level, route.changed_at = level, now
        pause = IDLE_EVERY_S if now - route.changed_at <= IDLE_ROUNDS_S else IDLE_REMIND_S
        if now - route.idle_at >= pause:
            route.idle_at = now
            await self._send(route, route.router.idle(since_ms))

    async def _send(self, route: Route, records: Sequence[tuple[int, bytes]]) -> None:
        if records:
            sent = [await self._lane(shard, value) for shard, value in records]
            route.progress.note(route.expect, sent)

    async def keep(self) -> None:
        """Writes down where each partition stands, once all that was sent before has arrived."""
        for tp, route in list(self.routes.items()):
            if route.kept == route.expect or route.busy:
                continue
            route.kept, state = route.expect, msgspec.msgpack.encode(route.router.state())
            promises = route.progress.promises()
            await self._publisher.arrived(promises)
            await self._publisher.send(
                self._names.state, state, router_key(tp.partition), tp.partition % self._shards
            )


def _outcome(router: Router, records: Sequence[Any]) -> Outcome:
    if any(record.headers for record in records):
        return router.route([_raw(record) for record in records])
    return router.route_plain(
        [record.offset for record in records],
        [record.value or b"" for record in records],
        [record.timestamp or 0 for record in records],
    )


def _raw(record: Any) -> Raw:
    headers = {key: value for key, value in record.headers if value is not None}
    return Raw(
        record.offset,
        record.value or b"",
        record.timestamp or 0,
        headers.get(HEADER_FORMAT, b"canonical").decode(errors="replace"),
        headers.get(HEADER_SOURCE, b"").decode(errors="replace"),
    )
