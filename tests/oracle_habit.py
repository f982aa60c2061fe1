"""What is usual for one key, as the oracle sees it: `river` for the mean, a list for the peaks."""

from collections import Counter
from dataclasses import dataclass, field
from math import ceil, expm1, log, log1p
from typing import Any

import numpy as np
from river import stats

import detectors.habit_loops as loops
import detectors.habits as constants
from detectors.features import WindowSpec

MONTH_MS = 30 * 86_400_000
UNUSUAL = "windows that were not learned"


@dataclass
class Habit:
    """What is usual for one key in the windows of one spec."""

    first: int = 0
    windows: int = 0
    mean: dict[str, Any] = field(default_factory=dict)
    var: dict[str, Any] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    peaks: dict[str, list[list[float]]] = field(default_factory=dict)  # [value, window]
    clusters: dict[str, list[float]] = field(default_factory=dict)  # newest high, its window
    records: Counter[str] = field(default_factory=Counter)
    versions: list[tuple[int, int, Counter[str], dict[str, Any], Counter[str]]] = field(
        default_factory=list
    )

    def learn(self, spec: WindowSpec, number: int, totals: dict[str, int], usual: bool) -> None:
        """Learns a closed window and notes what is usual from now on."""
        self.windows += 1
        self.counts.update({name: totals[name] for name in spec.counted})
        self.counts[UNUSUAL] += not usual
        months = (number - self.first + 1) * spec.width_ms / MONTH_MS
        tail = {}
        for name in spec.learned:
            mean = self.mean.setdefault(name, stats.EWMean(loops.FADING))
            var = self.var.setdefault(name, stats.EWVar(loops.FADING))
            if usual:
                value = log1p(totals[name])
                mean.update(value)
                var.update(value)
                if self.windows >= constants.PROMOTE_AFTER:
                    self._peak(name, number, constants.CLUSTER_MS // spec.width_ms, value)
            deviation = float(np.sqrt(max(var.get(), 0.0)))
            rate = max(loops.SMALL_RATE * self.windows / months, 1e-9)
            rest = (
                mean.get() + 2 * deviation,
                max(deviation, loops.SMALL_SCALE),
                log(rate),
            )
            high = sorted(self.peaks.get(name, []))
            if len(high) >= constants.ENOUGH_PEAKS:
                excess = sum(value for value, _ in high) / len(high) - high[0][0]
                scale = max(excess, loops.LEAST_SCALE)
                rest = (high[0][0], scale, log(len(high)) - log(months))
            tail[name] = tuple(np.float32(x) for x in (expm1(mean.get()), *rest))
            held = months >= loops.FREE_MONTHS and self.windows > loops.FREE_WINDOWS
            if self.versions and held:
                before, *_ = self.versions[-1]
                rise = (number - before) * (spec.width_ms / MONTH_MS) / loops.DAY_MONTHS
                modest = log1p(dict(zip(spec.learned, spec.modest, strict=True))[name])
                was = self.versions[-1][3][name]
                tail[name] = held_back(tail[name], was, modest, rise * loops.RISE)
        if usual:
            for law in spec.recorded:
                self.records[law.feature] = max(self.records[law.feature], totals[law.feature])
        counts, records = Counter(self.counts), Counter(self.records)
        self.versions.append((number, self.windows, counts, tail, records))

    def _peak(self, name: str, number: int, gap: int, value: float) -> None:
        """Of high windows closer than an hour only the highest is a peak."""
        peaks = self.peaks.setdefault(name, [])
        if len(peaks) == constants.PEAKS and value <= min(peaks)[0]:
            return
        last = self.clusters.get(name)
        if last and number - last[1] <= gap:
            if value <= last[0]:
                return
            if last in peaks:
                peaks.remove(last)
        self.clusters[name] = [value, number]
        peaks.append([value, number])
        peaks.sort()
        del peaks[: -constants.PEAKS]


def held_back(now: Any, before: Any, modest: float, rise: float) -> Any:
    """A tail whose rare limit has not risen faster than it may, above what is modest."""
    reach = float(now[1]) + float(now[2]) * (float(now[3]) - loops.RARE)
    rare = float(before[2]) * (float(before[3]) - loops.RARE)
    lift = max(modest - float(before[1]) - rare, 0.0) + rise
    if reach <= float(before[1]) + rare + lift:
        return now
    return (now[0], np.float32(float(before[1]) + lift), before[2], before[3])


def tail_limit(tail: Any, share: float) -> float:
    """The total that this tail reaches `share` times a month."""
    _, log_tail, scale, log_rate = tail
    z = max(float(log_rate) - log(share), 0.0)
    return expm1(min(float(log_tail) + float(scale) * z, 40.0))


def rare(before: int, months: float, share: float, width_ms: int) -> int:
    """The least count that Chernoff's bound allows at most `share` times a month."""
    width = width_ms / MONTH_MS
    mean = (before + 1.0) / (max(months, 0.0) + 0.1) * width
    count = ceil(mean)
    for _ in range(40):
        if count * log(count / mean) - count + mean >= log(1.0 / width / share):
            break
        count += 1
    return count
