"""The limits by which a window is judged, for every channel that watches it."""

import numpy as np
import numpy.typing as npt

from detectors.base import Channel, Detector
from detectors.features import WindowSpec
from detectors.habits import Habits
from streams import cell_loops
from streams.alarms import ESCALATE, Alarms
from streams.cell_loops import NO_LIMIT

Ints = npt.NDArray[np.int64]
Watched = list[tuple[Detector, Channel]]
FACTS = 0.3  # alerts a key-month that fixed limits raise, whatever the budget (docs/detection.md)


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
        self.watched = watched
        self.budget = budget
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
            np.array([spec.recorded[at].heavy if at >= 0 else 0.0 for at in recorded]),
            np.array([spec.recorded[at].steep if at >= 0 else 1.0 for at in recorded]),
        )

    def spends(self, channel: Channel, share: float) -> float:
        """Alerts a key-month that a channel may raise; records get what fixed limits leave."""
        recorded = any(law.feature == channel.feature for law in self.spec.recorded)
        left = max(self.budget - FACTS, self.budget / 4) if recorded else self.budget
        return left * share

    def pin(self, habits: Habits, keys: Ints, windows: Ints, cells: Ints, limit: Ints) -> None:
        """Writes down the limits, by cell, of windows that open now."""
        known = (*habits.pinned(keys, windows), habits.first[keys])
        month = habits.months_per_window
        cell_loops.pin(known, self._channels, month, (windows, cells), limit)

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
