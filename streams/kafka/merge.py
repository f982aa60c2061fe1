"""Puts the events of many sources into one order that does not depend on who was faster.

An event is released when every source has told of everything before it. So the order is that of
the keys, whatever the order in which records arrived, how often they came, and who sent them. What
has to wait is kept in memory up to a bound; beyond that only its place in the lane's topic is, and
it is read again when its turn comes.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from streams.kafka.routed import NONE, START, Events, Key, Routed, Word, merged

SKEW_MS = 5_000  # a word that a source is idle is worth nothing when it took longer to arrive


@dataclass(slots=True)
class Held:
    """Events that wait.

    Attributes:
        offset: of their record in the lane's topic.
        after: only events with greater keys are meant.
        floor: clock below which their clocks are raised.
        upto: key that the source has reached with this record.
        events: None while they are only in the topic.
    """

    offset: int
    after: Key
    floor: int
    upto: Key
    events: Events | None


class Source:
    """What is known of one source: how far it has told, and what of it waits."""

    __slots__ = ("cover", "floor", "heard", "held", "told_ms")

    def __init__(self, cover: Key = START) -> None:
        self.cover = cover
        self.floor = cover[0]  # where it began or being idle moved it; what comes is not before
        self.told_ms = START[0]  # its own clock, without what being idle added
        self.heard = False
        self.held: deque[Held] = deque()


class Merge:
    """The sources of one shard.

    Args:
        max_held_bytes: of lines in memory that wait.

    Attributes:
        seen: offset of the last record of the lane's topic that was taken.
        released: key up to which events were given out.
        lost: times that a source's records did not join up, and what they lack is nowhere.
    """

    def __init__(self, max_held_bytes: int) -> None:
        self.max_held_bytes = max_held_bytes
        self.seen = -1
        self.released = START
        self.lost = 0
        self.held_bytes = 0
        self._sources: dict[int, Source] = {}
        self._count = 0

    # --- in ---------------------------------------------------------------------------------

    def offer(self, offset: int, record: Routed, events: Events, stamp_ms: int) -> int:
        """Takes the record at an offset; every offset once, in order, but see `wanted`.

        Args:
            stamp_ms: when the broker wrote it.
        Returns:
            1 if the source skipped something that is nowhere, else 0.
        """
        if offset <= self.seen:
            self._refill(offset, record, events)
            return 0
        self.seen = offset
        self._widen(record.sources)
        source = self._sources.get(record.source)
        if source is not None and record.idle_ms:
            source.heard = True
            self._idle(source, record, stamp_ms)
            return 0
        return self._told(offset, Word(record.source, record.after, record.upto), events)

    def hear(self, offset: int, sources: int, told: Iterable[Word]) -> int:
        """Takes a record at an offset that says how far sources have told, and has no events.

        Returns:
            How many sources skipped something that is nowhere.
        """
        if offset <= self.seen:
            return 0
        self.seen = offset
        self._widen(sources)
        return sum(self._told(offset, word, NONE) for word in told)

    def _told(self, offset: int, word: Word, events: Events) -> int:
        """Takes what a source has told of; 1 if it skipped something."""
        source = self._sources.get(word.source)
        if source is None:
            return 0  # a source that is not there, by its own count
        source.heard = True
        after, floor = source.cover, source.floor
        upto = max(word.upto, (floor, word.upto[1], word.upto[2]))
        if upto <= after:
            return 0  # a router that restarted, or one that does not know it was replaced
        gap = int(word.after > after and after != START)
        self.lost += gap
        source.told_ms = max(source.told_ms, upto[0])
        held = Held(offset, after, floor, upto, None)
        source.cover = upto
        if len(events) and (wanted := _meant(events, held)) is not None:
            count = self._room(wanted, False)
            if count:
                held.events = wanted.cut(0, count)
                source.held.append(held)
            if count < len(wanted):
                begin = wanted.key(count - 1) if count else after
                source.held.append(Held(offset, begin, floor, upto, None))
        return gap

    def _widen(self, sources: int) -> None:
        """Makes place for sources; those that appear later begin where the others are."""
        if sources <= self._count:
            return
        begin = START if not self._count else self.bound()
        while self._count < sources:
            self._sources[self._count] = Source(begin)
            self._count += 1

    def _idle(self, source: Source, record: Routed, stamp_ms: int) -> None:
        """Moves on a source that has nothing more: to where the furthest of the others is."""
        if record.upto[2] != source.cover[2] or stamp_ms - record.idle_ms > SKEW_MS:
            return  # its owner knew more or less than what was told here, or spoke long ago
        others = (one.told_ms for one in self._sources.values() if one is not source)
        furthest = max(others, default=START[0])
        if furthest >= source.cover[0] and furthest > START[0]:  # beyond all that others told
            source.floor = furthest + 1
            source.cover = (source.floor, record.source, source.cover[2])

    def _room(self, events: Events, first: bool) -> int:
        """How many of these events there is memory for; the first of a source always have some."""
        ends = np.cumsum(events.ends - events.begins)
        room = self.max_held_bytes - self.held_bytes
        if first:
            room = max(room, self.max_held_bytes // (2 * self._count), int(ends[0]))
        count = int(np.searchsorted(ends, room, "right"))
        self.held_bytes += int(ends[count - 1]) if count else 0
        return count

    def _refill(self, offset: int, record: Routed, events: Events) -> None:
        """Brings back what was only in the topic, as much of it as there is memory for."""
        source = self._sources.get(record.source)
        if source is None:
            return
        waiting = list(source.held)
        for at, held in enumerate(waiting):
            if held.offset != offset or held.events is not None:
                continue
            found = _meant(events, held) or events.cut(0, 0)
            if at + 1 < len(waiting) and waiting[at + 1].offset == offset:
                found = found.cut(0, found.upto(waiting[at + 1].after))
            found = found.after(self.released)
            count = self._room(found, at == 0) if len(found) else 0
            if count < len(found):
                if not count:
                    return
                rest = Held(offset, found.key(count - 1), held.floor, held.upto, None)
                source.held.insert(at + 1 + len(source.held) - len(waiting), rest)
            held.events = found.cut(0, count)

    # --- out --------------------------------------------------------------------------------

    def bound(self) -> Key:
        """Every source has told of all its events up to here."""
        return min((one.cover for one in self._sources.values()), default=START)

    def release(self) -> Events | None:
        """The events whose turn has come, in order; None when there are none.

        What waits only in the topic stops it: ask `wanted` afterwards.
        """
        bound = self.bound()
        ready: list[Events] = []
        for held in self._missing():
            bound = min(bound, held.after)
        for source in self._sources.values():
            while source.held:
                first = source.held[0]
                if first.events is None:
                    break
                count = first.events.upto(bound)
                if count:
                    out = first.events.cut(0, count)
                    self.held_bytes -= out.size
                    ready.append(out)
                if count < len(first.events):
                    first.events = first.events.cut(count, len(first.events))
                    break
                source.held.popleft()
        self.released = max(self.released, bound)
        return merged(ready) if ready else None

    def _missing(self) -> Iterable[Held]:
        """The first record of each source that waits only in the topic."""
        for source in self._sources.values():
            for held in source.held:
                if held.events is None:
                    yield held
                    break

    def wanted(self) -> int | None:
        """Offset to read again from: what waits there is due now. None: go on."""
        bound = self.bound()
        due = [held.offset for held in self._missing() if held.after < bound]
        if not due:
            return None
        self._make_room()
        return min(due)

    def _make_room(self) -> None:
        """Leaves what has to wait longest only in the topic, until half the memory is free."""
        waiting = [held for one in self._sources.values() for held in one.held]
        waiting.sort(key=lambda held: held.after)
        while waiting and self.held_bytes > self.max_held_bytes // 2:
            last = waiting.pop()
            if last.events is not None:
                self.held_bytes -= last.events.size
                last.events = None

    def give_up(self, offset: int) -> int:
        """Forgets what waits only in the topic before an offset: the topic has it no more.

        Returns:
            How many records were lost.
        """
        gone = 0
        for source in self._sources.values():
            kept = [one for one in source.held if one.events or one.offset >= offset]
            gone += len(source.held) - len(kept)
            source.held = deque(kept)
        self.lost += gone
        return gone

    def oldest(self) -> int:
        """Offset of the first record that still counts for something; all before are done."""
        waiting = [one.held[0].offset for one in self._sources.values() if one.held]
        return min([self.seen + 1, *waiting])

    @property
    def waiting(self) -> int:
        """Events in memory that wait."""
        return sum(
            len(held.events)
            for one in self._sources.values()
            for held in list(one.held)
            if held.events
        )

    def furthest(self) -> int:
        """The largest clock that any source told."""
        return max((one.told_ms for one in self._sources.values()), default=START[0])

    def silent(self) -> list[int]:
        """Sources that nobody has spoken for yet."""
        return [name for name, one in self._sources.items() if not one.heard]

    # --- snapshots --------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything but the events, which are in the topic, as plain values."""
        return {
            "seen": self.seen,
            "released": list(self.released),
            "lost": self.lost,
            "sources": [
                {
                    "cover": list(one.cover),
                    "floor": one.floor,
                    "told_ms": one.told_ms,
                    "heard": one.heard,
                    "held": [
                        [held.offset, list(held.after), held.floor, list(held.upto)]
                        for held in one.held
                    ],
                }
                for one in self._sources.values()
            ],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        self.seen, self.lost = state["seen"], state["lost"]
        self.released = _key(state["released"])
        self._sources = {}
        for number, saved in enumerate(state["sources"]):
            one = self._sources[number] = Source(_key(saved["cover"]))
            one.floor, one.heard, one.told_ms = saved["floor"], saved["heard"], saved["told_ms"]
            one.held.extend(
                Held(offset, _key(after), floor, _key(upto), None)
                for offset, after, floor, upto in saved["held"]
            )
        self._count = len(self._sources)
        self.held_bytes = 0


def _key(values: list[int]) -> Key:
    clock, partition, place = values
    return clock, partition, place


def _meant(events: Events, held: Held) -> Events | None:
    """The events of a record that were not known before it, their clocks raised to the floor."""
    if int(events.clock[0]) < held.floor:
        raised = np.maximum(events.clock, held.floor)
        events = replace(events, clock=raised)
    rest = events.after(held.after)
    return rest if len(rest) else None
