"""The limits by which a window is judged, for every channel that watches it."""

import numpy as np
import numpy.typing as npt

from detectors import CATALOG
from detectors.base import Channel, Detector
from detectors.features import WINDOWS, WindowSpec
from detectors.habits import MONTH_MS, Habits
from detectors.records import eased
from streams import cell_loops
from streams.alarms import ESCALATE, LEAST_QUIET, QUIET_MS, Alarms
from streams.cell_loops import NO_LIMIT

Ints = npt.NDArray[np.int64]
Watched = list[tuple[Detector, Channel]]
FACTS = 0.3  # alerts a key-month that fixed limits raise, whatever the budget (docs/detection.md)
LEAST_PART = 0.1  # of the budget that is left to records, however much facts take


class Limits:
    """The channels on one spec.

    Args:
        spec: the windows.
        watched: the channels, each with its detector.
        budget: false alerts a key-month the operator will stand.
    """

    def __init__(self, spec: WindowSpec, watched: Watched, budget: float) -> None:
        channels = [channel for _, channel in watched]
        self.spec = spec
        self.budget = budget
        self._width = spec.width_ms / MONTH_MS
        self._quiet = max(QUIET_MS // spec.width_ms, LEAST_QUIET) * self._width
        self.watched = watched
        records = [c for c in channels if c.share is not None and self._recorded(c)]
        self._allowed = sum((self.spends(c, c.share or 0.0) for c in records), 0.0)
        self.detectors = list(dict.fromkeys(detector for detector, _ in watched))
        self.feature = np.array([spec.index[c.feature] for c in channels], np.int64)
        self._channels = (
            np.array([channel.above for channel in channels], np.int64),
            np.array([channel.mature for channel in channels], np.int64),
            np.array([channel.young or 2**31 for channel in channels], np.int64),
            np.array([channel.aged for channel in channels], np.int64),
            np.array([self.spends(channel, channel.share or 1.0) for channel in channels]),
            _places(spec.learned, channels),
            _places(spec.counted, channels),
            recorded := _places(tuple(law.feature for law in spec.recorded), channels),
            np.array([spec.recorded[at].slack if at >= 0 else 0.0 for at in recorded]),
            np.array([spec.recorded[at].scale if at >= 0 else 1.0 for at in recorded]),
            np.array([spec.recorded[at].heavy if at >= 0 else 0.0 for at in recorded]),
        )

    def spends(self, channel: Channel, share: float) -> float:
        """Alerts a key-month that a channel may raise; records get what fixed limits leave."""
        left = max(self.budget - FACTS, self.budget * LEAST_PART)
        return (left if self._recorded(channel) else self.budget) * share

    def _recorded(self, channel: Channel) -> bool:
        return any(law.feature == channel.feature for law in self.spec.recorded)

    def ease(self, age: int, unusual: int) -> float:
        """How many times its share a key's records may come up; see `detectors.records`.

        Args:
            age: windows since the key's first.
            unusual: of these, closed ones that were not learned.
        """
        return eased(self._allowed, age * self._width, unusual, self._quiet)

    def pin(self, habits: Habits, keys: Ints, windows: Ints, cells: Ints, limit: Ints) -> None:
        """Writes down the limits, by cell, of windows that open now."""
        known = (*habits.pinned(keys, windows), habits.first[keys])
        records = (self._allowed, self._quiet)
        cell_loops.pin(known, self._channels, self._width, records, (windows, cells), limit)

    def raised(self, alarms: Alarms, key: int, window: int, limit: Ints) -> Ints:
        """The limits of one window, by what was told of its key already."""
        raised = limit.copy()
        for number, (detector, channel) in enumerate(self.watched):
            level = alarms.level(key, detector.about.id, window)
            if level and (told := level.get(channel.feature, 0)):
                raised[number] = min(max(int(limit[number]), ESCALATE * told), NO_LIMIT)
        return raised

    def of(self, detector: Detector) -> list[int]:
        """The channels of a detector."""
        return [number for number, (owner, _) in enumerate(self.watched) if owner is detector]

    def levels(self, detector: Detector, totals: Ints) -> dict[str, int]:
        """The totals of the features a detector watches."""
        features = (self.watched[number][1].feature for number in self.of(detector))
        return {feature: int(totals[self.spec.index[feature]]) for feature in features}

    def channel(self, detector: Detector, feature: str) -> Channel:
        """The channel by which a detector watches a feature."""
        return next(c for d, c in self.watched if d is detector and c.feature == feature)


def allowed(budget: float) -> dict[str, float]:
    """What each learned channel may spend of a budget, alerts a key-month.

    Returns:
        By detector, window and feature, separated by spaces.

    >>> round(allowed(1.0)["second-user credential/1d active_hours"], 2)
    0.29
    """
    found = {}
    for spec in WINDOWS:
        limits = Limits(spec, [], budget)
        for detector in CATALOG:
            for channel in detector.channels:
                if channel.window == spec.name and channel.share is not None:
                    name = f"{detector.about.id} {channel.window} {channel.feature}"
                    found[name] = limits.spends(channel, channel.share)
    return found


def _places(names: tuple[str, ...], channels: list[Channel]) -> Ints:
    """For each channel the feature from which its limit is learned, if it is one of these."""
    return np.array(
        [
            names.index(channel.like or channel.feature)
            if channel.share is not None and (channel.like or channel.feature) in names
            else -1
            for channel in channels
        ],
        np.int64,
    )
