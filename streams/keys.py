"""The keys of one lane: every name gets a small number, within a bound.

When a lane is full, the quiet are forgotten first: keys without a habit, those not seen for longest
before others. A key that has a habit is never forgotten for a newcomer; the newcomer is refused.
"""

import re
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from streams.table import Names, Table

Ints = npt.NDArray[np.int64]
HMAC_NAME = re.compile("hmac:[0-9a-f]{16}")
REFUSED = -1  # number of a key for which there is no room


class Keys:
    """Names and numbers of one lane's keys.

    Args:
        limit: keys at most.
        on_grow: called with the new capacity before numbers beyond the old one are given out.
    """

    def __init__(self, limit: int, on_grow: Callable[[int], None]) -> None:
        self.limit = limit
        self.evicted = 0
        self.refused = 0
        self.capacity = 64
        self.seed = np.zeros(self.capacity, np.int32)  # decides a key's window boundaries
        self.hash = np.zeros(self.capacity, np.uint64)
        self.seen = np.zeros(self.capacity, np.int64)  # newest event time, ms
        self._names: list[str | None] = []  # by number; None where the hash tells the name
        self._numbers = Table({"number": ((), np.int32, REFUSED)})
        self._free: list[int] = []
        self._on_grow = on_grow

    def __len__(self) -> int:
        return self._numbers.count

    def numbers(self, hashes: Names) -> Ints:
        """The number of each key by the fingerprint of its name, or `REFUSED`: not admitted."""
        slots, here = self._numbers.find(hashes)
        numbers = self._numbers["number"][slots].astype(np.int64)
        if not here.all():
            numbers[~here] = REFUSED
        return numbers

    def admit(self, hashes: Names, name_of: Callable[[int], str]) -> int:
        """Gives numbers to new keys, in order of arrival, as long as there is room.

        Args:
            hashes: of keys without a number; they may repeat.
            name_of: the name at a place.
        Returns:
            How many had to be refused.
        """
        _, first = np.unique(hashes, return_index=True)
        first.sort()
        room = self.limit - len(self)
        refused = max(0, len(first) - room)
        first = first[:room]
        given = [self._give(name_of(at)) for at in first.tolist()]
        self.hash[given] = hashes[first]
        self._numbers.add(hashes[first], number=np.array(given, np.int32))
        self.refused += refused
        return refused

    def _give(self, name: str) -> int:
        if self._free:
            number = self._free.pop()
            self._names[number] = _shortened(name)
        else:
            number = len(self._names)
            self._names.append(_shortened(name))
            if number >= self.capacity:
                self._grow(min(2 * self.capacity, max(self.limit, number + 1)))
        self.seed[number] = _seed(name)
        return number

    def _grow(self, capacity: int) -> None:
        for column in ("seed", "hash", "seen"):
            old = getattr(self, column)
            new = np.zeros(capacity, old.dtype)
            new[: self.capacity] = old
            setattr(self, column, new)
        self.capacity = capacity
        self._on_grow(capacity)

    def quiet(self, lacking: int, has_habit: npt.NDArray[np.bool_]) -> Ints:
        """Who goes when `lacking` keys want in: at least an eighth of the lane, if it can."""
        numbers = self.used()
        quiet = numbers[~has_habit[numbers]]
        order = np.lexsort((self.hash[quiet], self.seen[quiet]))
        return quiet[order[: max(lacking, self.limit // 8)]]

    def forget(self, numbers: Ints) -> None:
        """Takes the names of these numbers back."""
        for number in numbers.tolist():
            self._names[number] = None
        slots, _ = self._numbers.find(self.hash[numbers])
        kept = np.ones(len(self._numbers.names), np.bool_)
        kept[slots] = False
        self._numbers.keep(np.flatnonzero(kept & (self._numbers.names != 0)))
        self._free.extend(sorted(numbers.tolist(), reverse=True))
        self.seen[numbers] = 0
        self.evicted += len(numbers)

    def used(self) -> Ints:
        """All numbers given out, ascending."""
        table = self._numbers
        return np.sort(table["number"][table.names != 0]).astype(np.int64)

    def names(self, numbers: npt.NDArray[Any]) -> list[str]:
        """The names of numbers, in their order."""
        kept = self._names
        return [
            kept[number] or f"hmac:{int(self.hash[number]):016x}" for number in numbers.tolist()
        ]

    def state(self) -> dict[str, Any]:
        """Names in order of their numbers, and their columns."""
        numbers = self.used()
        return {
            "names": self.names(numbers),
            "numbers": numbers,
            "hash": self.hash[numbers],
            "seen": self.seen[numbers],
            "counts": [self.evicted, self.refused],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        numbers = state["numbers"]
        size = int(numbers.max()) + 1 if len(numbers) else 0
        if size > self.capacity:
            self._grow(size)
        self._names = [None] * size
        for number, name in zip(numbers.tolist(), state["names"], strict=True):
            self._names[number] = _shortened(name)
        self._free = sorted(set(range(size)) - set(numbers.tolist()), reverse=True)
        self.seed[numbers] = [_seed(name) for name in state["names"]]
        self.hash[numbers], self.seen[numbers] = state["hash"], state["seen"]
        self._numbers.add(state["hash"], number=numbers.astype(np.int32))
        self.evicted, self.refused = state["counts"]


def _shortened(name: str) -> str | None:
    """None for `hmac:` and 16 digits, which the key's 64-bit hash spells just as well."""
    return None if HMAC_NAME.fullmatch(name) and name != "hmac:" + 16 * "0" else name


def _seed(name: str) -> int:
    return zlib.crc32(name.encode(errors="surrogatepass")) >> 1
