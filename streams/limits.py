"""The limits by which a window is judged, for every channel that watches it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.base import Channel, Detector
from detectors.features import WindowSpec
from detectors.habits import MONTH_MS, Habits, limits
from streams.alarms import ESCALATE, Alarms
from streams.cells import NO_LIMIT

Ints = npt.NDArray[np.int64]
Watched = list[tuple[Detector, Channel]]
MOST = 2.0**61  # of a learned limit


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
        self.feature = [spec.index[channel.feature] for channel in channels]
        self._above = np.array([channel.above for channel in channels], np.int64)
        self._mature = np.array([channel.mature for channel in channels], np.int64)
        self._young = np.array([channel.young or 2**31 for channel in channels], np.int64)
        self._shares = np.array([budget * (channel.share or 1.0) for channel in channels])
        self._learned = _places(spec.learned, channels)
        self._counted = _places(spec.counted, channels)

    def pinned(self, habits: Habits, keys: Ints, windows: Ints) -> tuple[Any, Any, Ints]:
        """What windows that open now are judged by.

        Returns:
            The tails and number of windows of their habits, and a limit per window and channel.
        """
        tail, mature, counts = habits.pinned(keys, windows)
        limit = np.repeat(self._above[None, :], len(keys), axis=0)
        chosen, places = self._learned
        if len(chosen):
            learned = np.minimum(limits(tail[:, places], self._shares[chosen]), MOST)
            limit[:, chosen] = np.maximum(limit[:, chosen], learned.astype(np.int64))
        for number, place in zip(*(part.tolist() for part in self._counted), strict=True):
            months = (windows - habits.first[keys] - 1) * habits.months_per_window
            rare = rare_count(counts[:, place], months, float(self._shares[number]), self.spec)
            limit[:, number] = np.maximum(limit[:, number], rare)
        age = mature[:, None]
        limit[(age < self._mature) | (age >= self._young)] = NO_LIMIT
        return tail, mature, limit

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


def _places(names: tuple[str, ...], channels: list[Channel]) -> tuple[Ints, Ints]:
    """The channels whose limit is learned from one of these features, and from which."""
    found = [
        (number, names.index(channel.like or channel.feature))
        for number, channel in enumerate(channels)
        if channel.share is not None and (channel.like or channel.feature) in names
    ]
    pairs = np.array(found, np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def rare_count(before: Any, months: Any, share: float, spec: WindowSpec) -> Any:
    """The count in one window that a steady rate passes at most `share` times a month.

    Poisson tail bounded by Chernoff: P(N >= n) <= exp(-(n ln(n/m) - n + m)) for n > m.

    Args:
        before: events so far.
        months: over which they came.
    """
    width = spec.width_ms / MONTH_MS
    mean = (before + 1.0) / (np.maximum(months, 0.0) + 0.1) * width
    wanted = np.log(1.0 / width / share)  # windows a month over alerts a month
    count = np.maximum(np.ceil(mean), 1.0)
    for _ in range(40):
        weak = count * np.log(count / mean) - count + mean < wanted
        if not weak.any():
            break
        count += weak
    return count.astype(np.int64)
