"""What a detector that picks its events is given: a block of them, as columns."""

from collections.abc import Collection
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


class Events(Protocol):
    """The events that a detector takes, in order of arrival.

    Attributes:
        times: event times, ms.
    """

    times: npt.NDArray[np.int64]

    @property
    def clock(self) -> npt.NDArray[np.int64]:
        """The largest event time so far, after each event, ms."""

    def __len__(self) -> int:
        """How many they are."""

    def __getitem__(self, column: str) -> Any:
        """A column of `streams.columns`."""

    def hashes(self, attribute: str) -> npt.NDArray[np.uint64]:
        """Fingerprints of a text attribute; unknown is 0."""

    def numbers(self, attribute: str) -> npt.NDArray[np.int64]:
        """A numeric attribute, or the members of a list; unknown is 0."""

    def words(self, attribute: str, *words: str) -> npt.NDArray[np.bool_]:
        """In which events an attribute is one of these words."""

    def text(self, attribute: str, place: int) -> Any:
        """A text attribute of one event, or None."""

    def cut(
        self, attribute: str, places: npt.NDArray[np.int64], width: int
    ) -> npt.NDArray[np.uint8]:
        """A text attribute of some events as rows of bytes, filled up with zeros.

        A row may be all zeros; the text is then got with `text`.
        """

    def among(self, texts: Collection[str], *attributes: str) -> npt.NDArray[np.bool_]:
        """In which events one of these attributes is one of these texts."""
