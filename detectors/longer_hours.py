"""A key that is at work in more hours than before, day after day."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from detectors.base import Detector, Verdict, atlas, attack, iso, owasp
from detectors.drift import AdaptiveWindowing, adwin, apart
from detectors.events import Events
from detectors.memory import Memory
from detectors.settled import HOUR_MS
from schemas.decode import Record
from schemas.finding import About, Severity

DELTA, AT_BUDGET = 1e-6, 0.5  # ADWIN's confidence at this budget, and how it goes with it: false
STEEP = 4  # alerts grew as its fourth root (docs/detection.md)
LEAST_DELTA, MOST_DELTA = 1e-12, 2e-3
FALSE = 0.15  # alerts a key-month, of the budget; measured likewise
KNOWN_HOURS = 72  # of a level before a rise means anything
MOST_HOURS = 960  # of a level that are kept; then the older half is dropped
HORIZON_MS = 30 * 24 * HOUR_MS
MAX_KEYS = 50_000  # remembered per generation
MAX_WINDOWS = 4_096  # kept beside the memory, to be at hand
SLOTS = 1 << 16  # keys' hours remembered as shown
_MIX = np.uint64(0x9E3779B97F4A7C15)

Known = dict[str, Any]


class LongerHours(Detector):
    """Notices that the share of hours in which a key is used has risen, with river's ADWIN.

    A patient thief makes no burst and breaks no record, but works while the owner rests, for days.
    Each hour says used or not; ADWIN keeps the longest run of hours that may have one mean, and
    speaks when its newer part has another. Rises alone are told; what follows is the new level.

    What is remembered of a level is its hours, as a text of 0 and 1, so a snapshot holds nothing
    of river's: a window is made again by showing them to it.

    Source: Bifet and Gavalda, Learning from time-changing data with adaptive windowing (SDM 2007);
    `AdaptiveWindowing` is what `river.drift.ADWIN` wraps (a test holds them together).
    Blind spot: a thief who works only in the owner's hours; keys that are used around the clock.

    >>> from schemas.testing import record
    >>> detector, told = LongerHours(), []
    >>> for hour in range(24 * 14):
    ...     if hour % 24 in range(9, 18) or hour > 24 * 9:
    ...         told += detector.inspect(record(key="k", id=f"e{hour}"), hour * HOUR_MS)
    >>> [verdict.summary for verdict in told]
    ['the key has been at work in 24 hours of a day since 1970-01-10T01:00:00Z; before in 9']
    """

    about = About(
        id="longer-hours",
        title="A key is at work in more hours than before",
        family="llmjacking",
        severity=Severity.MEDIUM,
        techniques=(
            atlas("AML.T0012", "Valid Accounts"),
            attack("T1496.004", "Resource Hijacking: Cloud Service Hijacking"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "Look at the hours that are new: which addresses, clients and models worked in them?",
            "Ask the owner whether a job or an office elsewhere began at that time.",
            "If nobody knows it, give the owner a new key, and see who goes on with the old one.",
        ),
        blind_spot="a thief who works only in the owner's hours; keys used around the clock",
        needs=("api_key.id",),
    )
    takes = "model_call"
    told = "alert_budget"

    def __init__(self, budget: float = 1.0) -> None:
        """`budget`: false alerts a key-month the operator will stand."""
        super().__init__()
        delta = DELTA * (budget / AT_BUDGET) ** STEEP
        self._delta = min(max(delta, LEAST_DELTA), MOST_DELTA)
        self._often = FALSE * budget
        self._memory = Memory(HORIZON_MS, MAX_KEYS)
        self._windows: dict[str, tuple[str, AdaptiveWindowing]] = {}  # of hours shown, a cache
        self._shown = np.zeros(SLOTS, np.uint64), np.zeros(SLOTS, np.int64)  # likewise

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        return event.api_key_id

    def pick(self, events: Events) -> Iterator[int]:
        """Of a key's hour the first event, and all that are not later than those."""
        times, keys = events.times, events["key"]
        names = (keys ^ (times // HOUR_MS).astype(np.uint64) * _MIX) * _MIX
        slots = (names >> np.uint64(48)).astype(np.int64)
        shown, earliest = self._shown
        passed = (keys == 0) | ((shown[slots] == names) & (earliest[slots] < times))
        for at in np.flatnonzero(~passed).tolist():
            slot = slots[at]
            if shown[slot] != names[at] or earliest[slot] >= times[at]:
                shown[slot], earliest[slot] = names[at], times[at]
                yield at

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        key, hour = event.api_key_id, time_ms // HOUR_MS
        if key is None:
            return ()
        known: Known = self._memory.get(key) or {"next": hour, "past": "", "open": {}}
        if hour < known["next"]:
            return ()
        self._memory.keep(key, known)
        opened, mine = known["open"], [time_ms, event.event_id]
        opened[str(hour)] = min(opened.get(str(hour), mine), mine)
        return [*self._settle(key, known, max(int(one) for one in opened) - 1)]

    def _settle(self, key: str, known: Known, until: int) -> Iterator[Verdict]:
        """Shows hours to the key's window that are over for every event that may still come."""
        if until - known["next"] > MOST_HOURS:
            known["past"], known["next"] = "", until
            known["open"] = {hour: one for hour, one in known["open"].items() if int(hour) >= until}
        while known["next"] < until:
            first = known["open"].pop(str(known["next"]), None)
            known["next"] += 1
            rose = self._show(key, known, "0" if first is None else "1")
            if rose and first is not None:
                yield from self._judged(known["past"], known["next"], first)
            if rose is not None:
                known["past"] = ""

    def _show(self, key: str, known: Known, hour: str) -> bool | None:
        """Whether the level rose (True) or fell (False) with this hour; None for neither."""
        past, window = self._windows.get(key, ("", None))
        if window is None or past != known["past"]:
            window = adwin(self._delta)
            for one in known["past"]:
                window.update(float(one))
        before = window.get_total() / max(window.get_width(), 1.0)
        changed = window.update(float(hour))
        known["past"] += hour
        if len(known["past"]) > MOST_HOURS:
            known["past"] = known["past"][-MOST_HOURS // 2 :]
            self._windows.pop(key, None)
        elif len(self._windows) < MAX_WINDOWS or key in self._windows:
            self._windows[key] = known["past"], window
        else:
            self._windows = {key: (known["past"], window)}
        return window.get_total() / window.get_width() > before if changed else None

    def _judged(self, past: str, end: int, first: list[Any]) -> Iterator[Verdict]:
        """A verdict if the level was known for long enough.

        Args:
            past: the hours of the window that changed.
            end: the hour after them.
            first: time and id of the earliest event of the last one.
        """
        if len(past) < KNOWN_HOURS:
            return
        split = _split(past)
        usual, seen = (24 * part.count("1") / len(part) for part in (past[:split], past[split:]))
        since = (end - len(past) + split) * HOUR_MS
        yield Verdict(
            f"the key has been at work in {seen:.0f} hours of a day since {iso(since)};"
            f" before in {usual:.0f}",
            {
                "hours_a_day": round(seen, 1),
                "usual_hours_a_day": round(usual, 1),
                "level_since": iso(since),
                "usual_from_hours": split,
                "per_key_month": self._often,
            },
            probability=min(1.0, self._often),
            parts=(end,),
            decisive=(first[1], first[0]),
        )


def _split(past: str) -> int:
    """Where the hours before are fewest beside those after.

    >>> _split("0010010111111")
    7
    """
    return 1 + int(np.argmax(-apart(np.frombuffer(past.encode(), np.uint8) - 48.0)))
