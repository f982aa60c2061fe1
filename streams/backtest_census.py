"""Which keys a recording holds, how long each was active, and what it cost."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from detectors.base import NANO
from detectors.features import HOUR_MS, WINDOWS
from schemas.reader import Reader
from streams.columns import Columns

MAX_KEYS = 1_000_000  # further keys are counted as `beyond`, and not otherwise
MONTH_MS = 30 * 24 * HOUR_MS
SPANS_MS = {spec.name: spec.width_ms for spec in WINDOWS if spec.lane == "credential"}

Ints = npt.NDArray[np.int64]


@dataclass(slots=True)
class KeyFacts:
    """One key's past.

    Attributes:
        windows: name of a window -> in how many different ones it made calls.
    """

    first_ms: int
    last_ms: int
    calls: int = 0
    nanousd: int = 0
    windows: dict[str, int] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict, repr=False)


class Census:
    """Counts the model calls of every key in canonical blocks.

    >>> from schemas.testing import event
    >>> census = Census()
    >>> census.add(event("2026-10-01T00:00:00Z", key="hmac:1").to_json())
    >>> census.add(event("2026-10-16T00:00:00Z", key="hmac:2").to_json())
    >>> [round(months, 2) for months in (census.key_months(), census.days)]
    [0.5, 15.0]
    """

    def __init__(self, most: int = MAX_KEYS) -> None:
        self._reader = Reader()
        self._most = most
        self.keys: dict[int, KeyFacts] = {}
        self.beyond = 0
        self.events = 0
        self.first_ms = 2**62
        self.last_ms = -(2**62)

    def add(self, block: bytes) -> None:
        """Counts a block of canonical NDJSON; lines that are no events are passed over."""
        read = self._reader.read(block)
        columns = Columns(read.records, read.values)
        times: Ints = columns.times
        if not len(times):
            return
        self.events += len(times)
        self.first_ms = min(self.first_ms, int(times.min()))
        self.last_ms = max(self.last_ms, int(times.max()))
        names = columns["key"]
        rows = np.flatnonzero(columns["model_call"] & (names != 0))
        order = rows[np.lexsort((times[rows], names[rows]))]
        if not len(order):
            return
        starts = np.flatnonzero(np.r_[True, np.diff(names[order]) != 0])
        for here in np.split(order, starts[1:]):
            self._note(int(names[here[0]]), times[here], columns["nanousd"][here])

    def _note(self, name: int, times: Ints, nanousd: Ints) -> None:
        facts = self.keys.get(name)
        if facts is None:
            if len(self.keys) >= self._most:
                self.beyond += len(times)
                return
            facts = self.keys[name] = KeyFacts(int(times[0]), int(times[-1]))
        facts.first_ms = min(facts.first_ms, int(times[0]))
        facts.last_ms = max(facts.last_ms, int(times[-1]))
        facts.calls += len(times)
        facts.nanousd += int(nanousd.sum())
        for window, width in SPANS_MS.items():
            numbers = np.unique(times // width)
            newest = facts.newest.get(window, -(2**62))
            facts.windows[window] = facts.windows.get(window, 0) + int((numbers > newest).sum())
            facts.newest[window] = max(newest, int(numbers[-1]))

    def key_months(self) -> float:
        """Months of 30 days from each key's first call to the end of the recording, added up."""
        return sum(self.last_ms - facts.first_ms for facts in self.keys.values()) / MONTH_MS

    @property
    def days(self) -> float:
        """From the first event to the last."""
        return max(0.0, (self.last_ms - self.first_ms) / (24 * HOUR_MS))

    @property
    def cost_usd(self) -> float:
        """Estimated dollars of all calls."""
        return sum(facts.nanousd for facts in self.keys.values()) / NANO

    def young(self, window: str, least: int) -> int:
        """How many keys were active in fewer than `least` windows of this kind."""
        return sum(facts.windows.get(window, 0) < least for facts in self.keys.values())
