"""A bounded memory of where each owner was, in columns: who is at home costs no Python."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors import memory_loops
from detectors.events import Events
from detectors.memory import Memory
from schemas.fingerprint import fingerprint_of

LEAST = 1024  # places of a generation
FULL = 0.7  # share of them taken at which it grows
SHOWN = 1 << 14  # events at strange places that are remembered as shown
EVER = 2**61
MOST = 256  # places of one owner that a rule may allow

Names = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Place(NamedTuple):
    """A place by its fingerprint, with the least and the greatest number noted there."""

    name: int
    low: int
    high: int


class Rule(NamedTuple):
    """How many places are remembered, and which of them are strange to their owner.

    Attributes:
        most: places of one owner; beyond it the newest is forgotten.
        kept: a place is forgotten when its high number is so much below one that is noted.
        gap: a strange place's low number is at least so much above the least of the owner's,
        past: the owner's least is at least so much below the number noted now,
        recent: and the place's is not so much below it.
    """

    most: int
    kept: int = EVER
    gap: int = 0
    past: int = -EVER
    recent: int = EVER


class Places(Memory):
    """A `Memory` that also knows where its owners were.

    Args:
        horizon_ms, limit: as for `Memory`; an owner's places are one entry more.
        rule: which places are strange.
        once: of like events at a strange place only one a day (UTC) is given.

    >>> memory = Places(1000, 10, Rule(most=2))
    >>> memory.tick(0)
    >>> mine, known = memory.note("key", "home", 5, 5)
    >>> mine, known = memory.note("key", "home", 4, 9)
    >>> mine.low, mine.high, len(known)
    (4, 9, 1)
    >>> mine, known = memory.note("key", "far", 7, 7)
    >>> [place.low for place in known]
    [7, 4]
    """

    __slots__ = ("_here", "_rule", "_shown", "_there", "once")

    def __init__(self, horizon_ms: int, limit: int, rule: Rule, once: bool = False) -> None:
        super().__init__(horizon_ms, limit)
        if rule.most > MOST:
            raise ValueError(f"an owner has {MOST} places at most")
        self.once = once
        self._rule = rule
        self._here, self._there = Generation(), Generation()
        self._shown = np.zeros(SHOWN, np.uint64), np.zeros(SHOWN, np.int64)

    def __len__(self) -> int:
        return max(super().__len__(), len(self._here) + len(self._there))

    def tick(self, now_ms: int) -> None:
        """Lets event time reach `now_ms`; call it before anything else."""
        before = self._period
        super().tick(now_ms)
        if before is not None and before != self._period:
            here = self._here
            self._there = here if self._period == before + 1 else Generation()
            self._here = Generation(*here.size)  # as many will come again

    def note(self, owner: str | int, place: str, low: int, high: int) -> tuple[Place, list[Place]]:
        """Notes that an owner was at a place.

        Args:
            owner: by name, or as `note_all` was told.
        Returns:
            What is known of that place now, and of all the owner's places, the newest first.
        """
        name = owner if isinstance(owner, int) else fingerprint_of(owner)
        here = fingerprint_of(place)
        places = self._here.places(name)
        mine = next((one for one in places if one.name == here), None)
        if mine is None or low < mine.low or high > mine.high:
            names = np.array([name], np.uint64), np.array([here], np.uint64)
            low_, high_, zero = np.array([low]), np.array([high]), np.zeros(1, np.int64)
            asked = (*names, low_, high_, zero, zero, np.zeros(1, np.bool_))
            while not self._visit(asked, 0)[0]:
                self._make_room(name)
            places = self._here.places(name)
            mine = next(one for one in places if one.name == here)
        return mine, places

    def note_all(self, owners: Names, places: Names, lows: Ints, highs: Ints) -> None:
        """Notes where owners were, and no more; 0 is nobody, or nowhere."""
        columns = (owners, places, lows, highs, lows, lows, np.zeros(len(owners), np.bool_))
        at = 0
        while at < len(owners):
            at, _ = self._visit(columns, at)
            if at < len(owners):
                self._make_room(int(owners[at]))

    def strange(
        self, events: Events, owners: Names, places: Names, lows: Ints, highs: Ints, asked: Flags
    ) -> Iterator[int]:
        """Notes where owners were; gives events at places that are strange to their owner.

        Args:
            owners, places: of the events, 0 where there is none: such an event is left out.
            lows, highs: the numbers to note.
            asked: events that may be given.
        """
        columns = (owners, places, lows, highs, events.times, events.clock, asked)
        at = 0
        while at < len(owners):
            at, given = self._visit(columns, at)
            if given:
                yield at
                at += 1
            elif at < len(owners):
                self._make_room(int(owners[at]))

    def _visit(self, columns: tuple[Any, ...], start: int) -> Any:
        here, there = self._here.loop(), self._there.loop()
        room = min(self._here.room, self.limit)
        rule = tuple(self._rule)
        return memory_loops.visit(here, there, columns, start, room, self._shown, rule, self.once)

    def _make_room(self, owner: int) -> None:
        """For one owner more, with all its places."""
        if len(self._here) < self.limit:
            self._here.grow(self._rule.most)
            return
        self.overflows += 1
        known = self._there.places(owner)
        self._there, self._here = self._here, Generation()
        self._shown[0][:] = 0  # what is shown again is remembered again
        if known:
            kinds = (np.uint64, np.int64, np.int64)
            columns = zip(*known, strict=True)
            places = [np.array(one, kind) for one, kind in zip(columns, kinds, strict=True)]
            self._here.fill(np.array([owner], np.uint64), np.array([len(known)]), places)

    def state(self) -> dict[str, Any]:
        """Everything it holds, as plain values."""
        return {**super().state(), "here": self._here.state(), "there": self._there.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        super().load(state)
        self._here, self._there = Generation(), Generation()
        self._here.load(state["here"])
        self._there.load(state["there"])


class Generation:
    """Owners by name (open addressing), each with a chain of places in columns."""

    __slots__ = ("_after", "_heads", "_highs", "_lows", "_names", "_places", "_used", "bits")

    def __init__(self, owners: int = 0, places: int = 0) -> None:
        self._used = np.array([0, 0, memory_loops.NOBODY])  # owners, places, first free place
        self._index(_places_for(owners))
        self._string(max(LEAST, places))

    @property
    def size(self) -> tuple[int, int]:
        """How many owners there are, and how many places were in use."""
        return int(self._used[memory_loops.OWNERS]), int(self._used[memory_loops.NODES])

    def _index(self, places: int) -> None:
        rows = np.zeros((places, 2), np.int64)  # side by side: one look into memory finds both
        self._names, self._heads = rows[:, 0].view(np.uint64), rows[:, 1]
        self.bits = np.uint64(64 - (places.bit_length() - 1))

    def _string(self, places: int) -> None:
        rows = np.zeros((places, 4), np.int64)
        self._places, self._lows = rows[:, 0].view(np.uint64), rows[:, 1]
        self._highs, self._after = rows[:, 2], rows[:, 3]

    def __len__(self) -> int:
        return int(self._used[memory_loops.OWNERS])

    @property
    def room(self) -> int:
        """How many owners it may hold before it has to grow."""
        return int(FULL * len(self._names))

    def loop(self) -> tuple[Any, ...]:
        """What the compiled loop reads and writes."""
        owners, chains = (self.bits, self._names, self._heads), (self._lows, self._highs)
        return (*owners, self._places, *chains, self._after, self._used)

    def places(self, owner: int) -> list[Place]:
        """An owner's places, the newest first."""
        slot = memory_loops.locate(self._names, self.bits, np.uint64(owner))
        return self._chain(slot) if self._names[slot] else []

    def _chain(self, slot: int) -> list[Place]:
        count, nodes = np.empty(1, np.int64), np.empty(MOST, np.int64)
        memory_loops.unchain(self._heads[[slot]], self._after, count, nodes)
        found = (column[nodes[: count[0]]].tolist() for column in self._columns())
        return [Place(*one) for one in zip(*found, strict=True)]

    def _columns(self) -> tuple[Any, ...]:
        return self._places, self._lows, self._highs

    def grow(self, most: int) -> None:
        """Makes room for one more owner with so many places."""
        if self._used[memory_loops.NODES] + most >= len(self._after):
            before = (*self._columns(), self._after)
            self._string(2 * len(self._after))
            for column, values in zip((*self._columns(), self._after), before, strict=True):
                column[: len(values)] = values
        if len(self) >= self.room:
            used = np.flatnonzero(self._names)
            self._seat(2 * len(self._names), self._names[used], self._heads[used])

    def _seat(self, places: int, owners: Names, heads: Ints) -> None:
        """Gives owners their slots in an empty index."""
        self._index(places)
        slots = np.empty(len(owners), np.int64)
        memory_loops.insert(self._names, self.bits, owners, slots)
        self._heads[slots] = heads

    def fill(self, owners: Names, counts: Ints, columns: list[Any]) -> None:
        """Takes owners, how many places each has, and these: names, low and high numbers."""
        size, nodes, ends = len(owners), len(columns[0]), np.cumsum(counts)
        self._seat(_places_for(size), owners, ends - counts)
        self._string(max(LEAST, 2 * nodes))
        for column, values in zip(self._columns(), columns, strict=True):
            column[:nodes] = values
        self._after[:] = np.arange(1, len(self._after) + 1)
        self._after[ends - 1] = memory_loops.NOBODY
        self._used[:2] = size, nodes

    def state(self) -> dict[str, Any]:
        """Everything it holds, ordered by owner."""
        slots = np.flatnonzero(self._names)
        slots = slots[np.argsort(self._names[slots])]
        counts, nodes = np.zeros(len(slots), np.int64), np.zeros(len(self._after), np.int64)
        memory_loops.unchain(self._heads[slots], self._after, counts, nodes)
        nodes = nodes[: counts.sum()]
        columns = [column[nodes] for column in self._columns()]
        return {"owners": self._names[slots], "counts": counts, "places": columns}

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        self.fill(state["owners"], state["counts"], state["places"])


def _places_for(owners: int) -> int:
    return max(LEAST, 1 << int(owners / FULL).bit_length())
