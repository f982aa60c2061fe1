"""The keys of one lane: every name gets a small number, within a bound.

When a lane is full, the quiet are forgotten first: keys without a habit, those not seen for longest
before others. A key that has a habit is never forgotten for a newcomer; the newcomer is refused.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

Ints = npt.NDArray[np.int64]
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
        self.index: dict[str, int] = {}
        self.seed = np.zeros(self.capacity, np.int64)  # decides a key's window boundaries
        self.hash = np.zeros(self.capacity, np.uint64)
        self.seen = np.zeros(self.capacity, np.int64)  # newest event time, ms
        self._free: list[int] = []
        self._next = 0
        self._names: dict[int, str] = {}  # made when asked for
        self._on_grow = on_grow

    def __len__(self) -> int:
        return len(self.index)

    def numbers(self, names: Sequence[str]) -> Ints:
        """The number of each name; new names get one; `REFUSED` where there is no room."""
        look = self.index.get
        numbers = [look(name, REFUSED) for name in names]
        if REFUSED in numbers:
            for at, number in enumerate(numbers):
                if number == REFUSED:
                    numbers[at] = look(names[at], REFUSED)
                    if numbers[at] == REFUSED:
                        numbers[at] = self._admit(names[at])
        return np.array(numbers, np.int64)

    def lacking(self, names: Sequence[str]) -> int:
        """How many keys beyond the limit there would be if all of `names` were admitted."""
        if len(self.index) + len(names) <= self.limit:
            return 0
        return max(0, len(self.index) + len(set(names) - self.index.keys()) - self.limit)

    def _admit(self, name: str) -> int:
        if len(self.index) >= self.limit:
            self.refused += 1
            return REFUSED
        if self._free:
            number = self._free.pop()
        else:
            number = self._next
            self._next += 1
            if number >= self.capacity:
                self._grow(min(2 * self.capacity, self.limit))
        self.index[name] = number
        self._names.clear()
        self.seed[number] = zlib.crc32(name.encode(errors="surrogatepass"))
        self.hash[number] = xxhash.xxh3_64_intdigest(name.encode(errors="surrogatepass"))
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
        numbers = np.fromiter(self.index.values(), np.int64, len(self.index))
        quiet = numbers[~has_habit[numbers]]
        order = np.lexsort((self.hash[quiet], self.seen[quiet]))
        return quiet[order[: max(lacking, self.limit // 8)]]

    def forget(self, numbers: Ints) -> None:
        """Takes the names of these numbers back."""
        gone = set(numbers.tolist())
        self._names.clear()
        self.index = {name: number for name, number in self.index.items() if number not in gone}
        self._free.extend(sorted(gone, reverse=True))
        self.seen[numbers] = 0
        self.evicted += len(gone)

    def used(self) -> Ints:
        """All numbers given out, ascending."""
        return np.sort(np.fromiter(self.index.values(), np.int64, len(self.index)))

    def names(self, numbers: Ints) -> list[str]:
        """The names of numbers, in their order."""
        if not self._names:
            self._names = {number: name for name, number in self.index.items()}
        return [self._names[number] for number in numbers.tolist()]

    def state(self) -> dict[str, Any]:
        """Names in order of their numbers, and their columns."""
        by_number = sorted(self.index.items(), key=lambda item: item[1])
        numbers = np.array([number for _, number in by_number], np.int64)
        return {
            "names": [name for name, _ in by_number],
            "numbers": numbers,
            "seen": self.seen[numbers],
            "evicted": self.evicted,
            "refused": self.refused,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        numbers = state["numbers"]
        self._next = int(numbers.max()) + 1 if len(numbers) else 0
        if self._next > self.capacity:
            self._grow(self._next)
        names = state["names"]
        self.index = dict(zip(names, numbers.tolist(), strict=True))
        self._free = sorted(set(range(self._next)) - set(numbers.tolist()), reverse=True)
        self.seed[numbers] = [zlib.crc32(n.encode(errors="surrogatepass")) for n in names]
        self.hash[numbers] = [
            xxhash.xxh3_64_intdigest(n.encode(errors="surrogatepass")) for n in names
        ]
        self.seen[numbers] = state["seen"]
        self.evicted, self.refused = state["evicted"], state["refused"]
