"""Routers and shards over lists instead of topics: restarts, doubles and odd fetches, no broker."""

from collections.abc import Sequence
from random import Random
from typing import Any

from schemas.adapters import Adapted
from schemas.finding import Finding
from streams.kafka.lanes import BY_NAME, FIRST, SPECS
from streams.kafka.routed import words
from streams.kafka.router import Raw, Router
from streams.kafka.shard import Shard
from streams.output import CoreSettings
from streams.pipeline import Pipeline

SHARDS = 2
Place = tuple[str, int]


def nothing(value: bytes, format: str, source: str, stamp_ms: int) -> Adapted:
    raise AssertionError("canonical events need no adapter")


def replayed(lines: Sequence[bytes]) -> list[Finding]:
    """What one pipeline says."""
    return Pipeline().process(b"\n".join(lines)).findings


class Installation:
    """Topics as lists, one router for each partition, one shard for each of each lane.

    Args:
        sources: the partitions of `events`.
        held_bytes: of events in memory that wait, for each shard.
    """

    def __init__(self, sources: list[list[bytes]], rng: Random, held_bytes: int = 1 << 20) -> None:
        self.sources, self.rng, self.held_bytes = sources, rng, held_bytes
        self.findings: list[Finding] = []
        self.aside: list[bytes] = []
        self.routers = [self._router(number) for number in range(len(sources))]
        self.places = [(spec.name, number) for spec in SPECS for number in range(SHARDS)]
        self.topics: dict[Place, list[bytes]] = {place: [] for place in self.places}
        self.shards = {place: self._shard(place) for place in self.places}
        self._saved_routers = [router.state() for router in self.routers]
        self._saved = {place: shard.state() for place, shard in self.shards.items()}

    def _router(self, number: int) -> Router:
        return Router(number, len(self.sources), SHARDS, nothing)

    def _shard(self, place: Place) -> Shard:
        return Shard(BY_NAME[place[0]], place[1], SHARDS, CoreSettings(), self.held_bytes)

    def route(self, number: int, count: int, told: bool = True) -> None:
        """Lets one router read on."""
        router, source = self.routers[number], self.sources[number]
        batch = source[router.next : router.next + count]
        records = [Raw(router.next + at, value, 0) for at, value in enumerate(batch)]
        for shard, value, _ in router.route(records).routed:
            self.topics[FIRST, shard].append(value)
        for shard, word in router.behind() if told else ():
            self.topics[FIRST, shard].append(words(len(self.sources), [word]))

    def idle(self, number: int) -> None:
        """Lets one router say that nothing more is there, if that is so."""
        router = self.routers[number]
        if router.next >= len(self.sources[number]):
            for shard, value in router.idle(1):
                self.topics[FIRST, shard].append(value)

    def judge(self, place: Place, count: int = 10**9) -> bool:
        """Lets one shard read on; whether there was anything."""
        shard, topic = self.shards[place], self.topics[place]
        again = shard.merge.wanted()
        begin = shard.next if again is None else again
        end = min(len(topic), max(begin + count, shard.next))
        for offset in range(begin, end):
            if (decided := shard.feed(offset, topic[offset], 0)) is not None:
                shard.decide(decided)
        try:
            found = list(shard.judge())
        except OverflowError:
            self.begin_again(place)
            return True
        for judged in found:
            self.aside += [line for _, line in judged.aside]
            self.findings += judged.findings
            for lane, number, value, _ in judged.forwarded:
                self.topics[lane, number].append(value)
        for lane, number, word in shard.behind():
            self.topics[lane, number].append(words(SHARDS, [word]))
        return begin < end

    def begin_again(self, place: Place) -> None:
        """As a worker does when judging fails."""
        suspicion = self.shards[place].suspicion.next(self.shards[place].merge.released)
        self.kill_shard(place)
        self.shards[place].suspicion = suspicion

    def save(self) -> None:
        """Everybody makes a snapshot."""
        self._saved_routers = [router.state() for router in self.routers]
        self._saved = {place: shard.state() for place, shard in self.shards.items()}

    def kill_router(self, number: int) -> None:
        """One router starts again from its snapshot."""
        self.routers[number] = self._router(number)
        self.routers[number].load(self._saved_routers[number])

    def kill_shard(self, place: Place) -> None:
        """One shard starts again from its snapshot."""
        self.shards[place] = self._shard(place)
        self.shards[place].load(self._saved[place])

    def finish(self) -> None:
        """Everything is read, and what is idle says so, until nothing more happens."""
        for number, source in enumerate(self.sources):
            while self.routers[number].next < len(source):
                self.route(number, 500)
        for _ in range(3):
            for number in range(len(self.sources)):
                self.idle(number)
            for place in self.places:
                while self.judge(place):
                    pass

    def told(self) -> dict[tuple[str, int], dict[str, Any]]:
        """Every revision once."""
        return {(one.id, one.revision): essence(one) for one in self.findings}


def essence(finding: Finding) -> dict[str, Any]:
    """A finding without the number of its event, which is another in each part of a stream."""
    return finding.model_dump(mode="json", exclude={"provenance"})


def unordered(said: dict[tuple[str, int], dict[str, Any]]) -> dict[tuple[str, int], Any]:
    """What does not depend on which of two events at the same time came first."""
    return {
        name: (
            one["detector"],
            one["entity"],
            one["severity"],
            one["summary"],
            one["evidence"].get("totals") if one["final"] else None,
        )
        for name, one in said.items()
    }
