"""A bounded memory of who came first, in columns: what is like the first costs no Python."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors import memory_loops
from detectors.events import Events
from detectors.memory import Memory
from schemas.fingerprint import fingerprint_of

LEAST = 1024  # places of a generation
FULL = 0.7  # share of places taken at which it grows
ID_BYTES = 40  # of ids that lie in a column; others are kept as objects
SHOWN = 1 << 12  # events unlike the first that are remembered as shown

Names = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]
First = list[Any]


class Firsts(Memory):
    """A `Memory` of the first event of each name: the text of its value, its time and its id.

    Names and values are compared by their fingerprints.

    Args:
        horizon_ms, limit: as for `Memory`.
        each_ms: a name begins anew in each such period of event time; 0 is never.

    >>> firsts = Firsts(horizon_ms=1000, limit=10)
    >>> firsts.tick(0); firsts.put("a", ["acme", 7, "event 1"])
    >>> firsts.tick(1500); firsts.get("a")
    ['acme', 7, 'event 1']
    """

    __slots__ = ("_each_ms", "_shown")
    _young: "Generation"  # type: ignore[assignment]
    _old: "Generation"  # type: ignore[assignment]

    def __init__(self, horizon_ms: int, limit: int, each_ms: int = 0) -> None:
        super().__init__(horizon_ms, limit)
        self._each_ms = each_ms
        self._shown = np.zeros(SHOWN, np.uint64), np.zeros(SHOWN, np.int64)

    @staticmethod
    def _empty() -> Any:
        return Generation()

    def tick(self, now_ms: int) -> None:
        """Lets event time reach `now_ms`; call it before every get or put."""
        before, names = self._period, len(self._young)
        super().tick(now_ms)
        if before is not None and before != self._period:
            self._young = Generation(names)  # as many will come again

    def get(self, key: str | int, time_ms: int = 0) -> First | None:
        """Value, time and id of the first event of a name, in the period of `time_ms`."""
        name = self._name(key, time_ms)
        return self._young.get(name) or self._old.get(name)

    def put(self, key: str | int, value: First) -> None:
        """Remembers `value` as the first of a name, in the period of its time."""
        name = self._name(key, value[1])
        if self._young.get(name) is None and not self._room():
            self._make_room(name)
        self._young.put(name, *value)

    def keep(self, key: str | int, value: First) -> None:
        """Remembers for longer what `get` gave for a name."""
        if self._young.get(self._name(key, value[1])) is None:
            self.put(key, value)

    def _name(self, key: str | int, time_ms: int) -> int:
        hash = fingerprint_of(key) if isinstance(key, str) else key
        return int(memory_loops.named(np.uint64(hash), time_ms, self._each_ms))

    def unlike(self, events: Events, names: Names, values: str, doubted: Flags) -> Iterator[int]:
        """Events with another value than the first of their name; the others are noted.

        Of events that are alike only the first of a day (UTC) is given, and all that are earlier.
        Ask for the next only after this one was put.

        Args:
            names: of the events, 0 where there is none: such an event is left out.
            values: attribute that is their value; an event without is left out.
            doubted: events that are given in any case.
        """
        hashes, each_ms = events.hashes(values), self._each_ms
        asked = (names, hashes, events.times, events.clock, doubted)
        noted = np.empty((3, len(names)), np.int64)
        at = 0
        while at < len(names):
            both, room = (self._young.loop(), self._old.loop()), self._room()
            at, given, count, added = memory_loops.pass_over(
                *both, asked, at, room, self._shown, noted, each_ms
            )
            if count:
                self._young.count += added
                self._note(events, values, hashes, noted[:, :count])
            if given:
                yield at
                at += 1
            elif at < len(names):
                self._make_room(memory_loops.named(names[at], events.times[at], each_ms))

    def _room(self) -> int:
        return min(self._young.room, self.limit - len(self._young))

    def _make_room(self, name: int) -> None:
        """For one more name."""
        if len(self._young) < self.limit:
            self._young.grow()
            return
        self.overflows += 1
        known = self._old.get(name)
        self._old, self._young = self._young, Generation()
        self._shown[0][:] = 0  # what is shown again is remembered again
        if known is not None:
            self._young.put(name, *known)

    def _note(self, events: Events, values: str, hashes: Names, noted: Any) -> None:
        """Fills in the texts of firsts that are new to the young generation."""
        young, old = self._young, self._old
        if noted[2].max() >= 0:
            for slot, before in noted[1:, noted[2] >= 0].T.tolist():
                young.copy(slot, old, before)
            noted = noted[:, noted[2] < 0]
        at, slots, _ = noted
        young.identify_all(slots, events, at)
        found = hashes[at].tolist()
        if not young.texts.keys() >= set(found):
            for place, value in zip(at.tolist(), found, strict=True):
                if value not in young.texts:
                    young.texts[value] = events.text(values, place)

    def state(self) -> dict[str, Any]:
        """Everything it holds, as plain values."""
        return {**super().state(), "young": self._young.state(), "old": self._old.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        self._young, self._old = Generation(), Generation()
        self._young.load(state["young"])
        self._old.load(state["old"])
        self._period, self.overflows = state["period"], state["overflows"]


class Generation:
    """Firsts by name in columns: open addressing, the next place when one is taken."""

    __slots__ = ("bits", "count", "ids", "long", "names", "texts", "times", "values")

    def __init__(self, names: int = 0) -> None:
        self.long: dict[int, str] = {}  # ids that do not fit, by name
        self.texts: dict[int, str] = {}  # by value
        self._allocate(_places_for(names))

    def _allocate(self, places: int) -> None:
        self.bits = np.uint64(64 - (places.bit_length() - 1))
        rows = np.zeros((places, 3), np.uint64)  # side by side: one look into memory finds all
        self.names, self.values, self.times = rows[:, 0], rows[:, 1], rows[:, 2].view(np.int64)
        self.ids = np.zeros((places, ID_BYTES), np.uint8)
        self.count = 0

    def __len__(self) -> int:
        return self.count

    @property
    def room(self) -> int:
        """How many names can be added without moving those that are there."""
        return int(FULL * len(self.names)) - self.count

    def loop(self) -> tuple[Any, ...]:
        """What the compiled loop reads and writes."""
        return self.bits, self.names, self.values, self.times

    def _slot(self, name: int) -> int:
        return int(memory_loops.locate(self.names, self.bits, np.uint64(name)))

    def get(self, name: int) -> First | None:
        """The first of a name."""
        slot = self._slot(name)
        if not self.names[slot]:
            return None
        id = self.ids[slot].tobytes().rstrip(b"\0").decode() or self.long[name]
        return [self.texts[int(self.values[slot])], int(self.times[slot]), id]

    def put(self, name: int, text: str, time_ms: int, id: str) -> None:
        """Writes the first of a name; there is room for it."""
        slot, value = self._slot(name), fingerprint_of(text)
        self.count += not self.names[slot]
        self.names[slot], self.values[slot], self.times[slot] = name, value, time_ms
        self.texts[value] = text
        self.identify(slot, id)

    def identify(self, slot: int, id: str) -> None:
        """Writes the id of what is in a slot."""
        plain = id.encode()
        self.ids[slot] = 0
        if len(plain) <= ID_BYTES and plain[-1:] != b"\0":
            self.ids[slot, : len(plain)] = np.frombuffer(plain, np.uint8)
            self.long.pop(int(self.names[slot]), None)
        else:
            self.long[int(self.names[slot])] = id

    def identify_all(self, slots: Any, events: Events, places: Any) -> None:
        """Writes the ids of some events; where slots are equal the last one stands."""
        for name in self.names[slots].tolist() if self.long else ():
            self.long.pop(name, None)
        self.ids[slots] = events.cut("event_id", places, ID_BYTES)
        for one in np.flatnonzero(self.ids[slots, 0] == 0).tolist():
            self.identify(slots[one], events.text("event_id", places[one]))

    def copy(self, slot: int, other: "Generation", place: int) -> None:
        """Fills in the texts of a name that was in another generation."""
        name, value = int(self.names[slot]), int(self.values[slot])
        self.ids[slot], self.texts[value] = other.ids[place], other.texts[value]
        if name in other.long:
            self.long[name] = other.long[name]

    def grow(self) -> None:
        """Takes twice the places."""
        self._fill(2 * len(self.names), self._used())

    def _used(self) -> tuple[Any, ...]:
        used = np.flatnonzero(self.names)
        return self.names[used], self.values[used], self.times[used], self.ids[used]

    def _fill(self, places: int, columns: tuple[Any, ...]) -> None:
        self._allocate(places)
        names, *others = columns
        slots = np.empty(len(names), np.int64)
        memory_loops.insert(self.names, self.bits, names, slots)
        self.values[slots], self.times[slots], self.ids[slots] = others
        self.count = len(names)

    def state(self) -> dict[str, Any]:
        """Everything it holds, ordered by name."""
        columns = self._used()
        order = np.argsort(columns[0])
        return {
            "columns": [column[order] for column in columns],
            "long": sorted([name, id] for name, id in self.long.items()),
            "texts": sorted([value, text] for value, text in self.texts.items()),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        columns = state["columns"]
        self._fill(_places_for(len(columns[0])), tuple(columns))
        self.long, self.texts = dict(state["long"]), dict(state["texts"])


def _places_for(names: int) -> int:
    return max(LEAST, 1 << int(names / FULL).bit_length())
