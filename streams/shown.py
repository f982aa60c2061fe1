"""The events of a part that a detector takes, as columns for it to pick from."""

from collections.abc import Collection
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.fingerprint import fingerprint_of
from schemas.shape import words_of
from streams.columns import Columns
from streams.part import Part

Ints = npt.NDArray[np.int64]


class Shown:
    """See `detectors.events.Events`.

    Args:
        chosen: those that the detector takes, by their place in the part.
    """

    def __init__(self, part: Part, columns: Columns, chosen: Ints) -> None:
        self.times: Ints = part.times[chosen]
        self._rows, self._columns = part.rows[chosen], columns
        self._part, self._chosen = part, chosen

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def clock(self) -> Ints:
        """See `detectors.events.Events`."""
        found: Ints = self._part.clock[self._chosen]
        return found

    def __getitem__(self, column: str) -> Any:
        return self._columns[column][self._rows]

    def hashes(self, attribute: str) -> npt.NDArray[np.uint64]:
        found: npt.NDArray[np.uint64] = self._columns.hashes(attribute)[self._rows]
        return found

    def numbers(self, attribute: str) -> Ints:
        found: Ints = self._columns.numbers(attribute)[self._rows]
        return found

    def words(self, attribute: str, *words: str) -> npt.NDArray[np.bool_]:
        codes, found = self.numbers(attribute), np.zeros(len(self), np.bool_)
        for word in words:
            found |= codes == _code(attribute, word)
        return found

    def text(self, attribute: str, place: int) -> Any:
        return self._columns.text(attribute, int(self._rows[place]))

    def cut(self, attribute: str, places: Ints, width: int) -> npt.NDArray[np.uint8]:
        return self._columns.cut(attribute, self._rows[places], width)

    def among(self, texts: Collection[str], *attributes: str) -> npt.NDArray[np.bool_]:
        found = np.zeros(len(self), np.bool_)
        if texts:
            wanted = np.array([fingerprint_of(text) for text in texts], np.uint64)
            for attribute in attributes:
                found |= np.isin(self.hashes(attribute), wanted)
        return found

    def records(self) -> list[Any]:
        """All of them."""
        return self._columns.take(self._rows.tolist())

    def record(self, place: int) -> Any:
        """One of them."""
        return self._columns.records[int(self._rows[place])]


@cache
def _code(attribute: str, word: str) -> int:
    return words_of(attribute).index(word) + 1
