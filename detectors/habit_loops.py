"""The loops of `detectors.habits`: one closed window of one key after the other."""

from math import expm1, log, log1p, sqrt
from typing import Any

import numpy as np

from schemas.compiled import compiled, inlined

FADING = 0.05  # weight of the newest window in mean and variance
LEAST_SCALE = 0.2  # a steady key's tail is never thinner (log units)
SMALL_SCALE = 0.6  # of the tail while there are too few peaks
SMALL_RATE = 0.02  # share of windows above mean + 2 sd of a small habit
MOST_LOG = 40.0  # of a limit: beyond it everything is usual
RISE = log(4.0)  # a day, of the logarithm of a limit: no habit is taught faster
RARE = log(0.01)  # alerts a month of the limit that is held back
FREE_MONTHS = 0.2  # age from which habits are held back; before, a key has to find its level
FREE_WINDOWS = 24  # likewise, used so far
DAY_MONTHS = 1 / 30


@compiled
def learn(small: Any, tall: Any, old: Any, asked: Any, spec: Any) -> None:
    """Learns closed windows; what was usual until now is kept as the version before.

    Args:
        small: columns by key: n, taught, first, mean, square, count, row, version, most.
        tall: columns by row of the promoted: peak, peaks, last_peak, last_high.
        old: columns by key: tail, count and most of the version before.
        asked: by window: key, number, totals, and whether it is usual.
        spec: the learned features, the logarithm of the total up to which each may rise at once,
            the counted and the recorded features, windows of one cluster, months a window, and
            peaks before the tail is described by them.
    """
    n, taught, first, mean, square, count, row, version, most = small
    keys, windows, totals, usual = asked
    learned, modest, counted, recorded, gap, months_per_window, enough = spec
    tails, counts, mosts = old
    for at in range(len(keys)):
        key = keys[at]
        if n[key] == 0:
            first[key] = windows[at]
        else:
            months = (version[key, 0] - first[key] + 1) * months_per_window
            rise = _rise(version, key, (n[key], months), months_per_window)
            for place in range(len(learned)):
                _, above, scale, rate = tails[key, place]
                _describe(small, tall, key, place, months, enough, tails, key)
                _hold_back(tails, key, place, (above, scale, rate, modest[place]), rise)
            for place in range(len(counted) + 1):
                counts[key, place] = count[key, place]
            for place in range(len(recorded)):
                mosts[key, place] = most[key, place]
        version[key, 1], version[key, 0] = version[key, 0], windows[at]
        n[key] += 1
        for place in range(len(counted)):
            count[key, place] += totals[at, counted[place]]
        if not usual[at]:
            count[key, len(counted)] += 1
            continue
        start = taught[key] == 0
        taught[key] += 1
        for place in range(len(recorded)):
            most[key, place] = max(most[key, place], totals[at, recorded[place]])
        for place in range(len(learned)):
            value = log1p(totals[at, learned[place]])
            power = value * value
            if start:  # the first lesson is taken as it is
                mean[key, place], square[key, place] = value, power
            else:
                mean[key, place] = FADING * value + (1 - FADING) * mean[key, place]
                square[key, place] = FADING * power + (1 - FADING) * square[key, place]
            if row[key] >= 0:
                _keep_peak(tall, row[key], place, windows[at], value, gap)


@compiled
def pinned(small: Any, tall: Any, old: Any, asked: Any, spec: Any, found: Any) -> None:
    """The newest version from a window two or more before.

    Args:
        small, tall, old, spec: as for `learn`.
        asked: keys and windows.
        found: filled in: tails, how many windows they were learned from, counts (and last, windows
            that were not learned), records.
    """
    n, _, first, _, _, count, _, version, most = small
    keys, windows = asked
    learned, modest, counted, recorded, _, months_per_window, enough = spec
    tails, known, counts, records = found
    for at in range(len(keys)):
        key = keys[at]
        before = version[key, 0] > windows[at] - 2
        known[at] = max(n[key] - before, 0)
        months = (version[key, 0] - first[key] + 1) * months_per_window
        rise = _rise(version, key, (n[key], months), months_per_window)
        for place in range(len(learned)):
            if known[at] == 0 or before:
                for part in range(4):
                    tails[at, place, part] = old[0][key, place, part] if known[at] else 0
            else:
                _describe(small, tall, key, place, months, enough, tails, at)
                _, above, scale, rate = old[0][key, place]
                _hold_back(tails, at, place, (above, scale, rate, modest[place]), rise)
        for place in range(len(counted) + 1):
            counts[at, place] = old[1][key, place] if before else count[key, place]
        for place in range(len(recorded)):
            records[at, place] = old[2][key, place] if before else most[key, place]


@inlined
def _describe(
    small: Any, tall: Any, key: int, place: int, months: float, enough: int, tails: Any, at: int
) -> None:
    """What is usual now: typical, log tail, scale, log rate; into the row `at` of `tails`."""
    n, _, _, mean, square, _, row, _, _ = small
    peak, peaks = tall[0], tall[1]
    mu = mean[key, place]
    deviation = sqrt(max(square[key, place] - mu * mu, 0.0))
    tails[at, place, 0] = expm1(mu)
    tails[at, place, 1] = mu + 2 * deviation
    tails[at, place, 2] = max(deviation, SMALL_SCALE)
    tails[at, place, 3] = log(max(SMALL_RATE * n[key] / months, 1e-9))
    promoted = row[key]
    if promoted < 0 or peaks[promoted, place] < enough:
        return
    high, lowest, total = peaks[promoted, place], peak[promoted, place, 0], 0.0
    for which in range(high):
        total += peak[promoted, place, which]
    tails[at, place, 1] = lowest
    tails[at, place, 2] = max(total / high - lowest, LEAST_SCALE)
    tails[at, place, 3] = log(high) - log(months)


@inlined
def _rise(version: Any, key: int, past: Any, months_per_window: float) -> float:
    """How much higher the newest version's limit may lie than that of the version before."""
    used, months = past
    if version[key, 1] < 0 or used <= FREE_WINDOWS or months < FREE_MONTHS:
        return MOST_LOG
    windows = np.float64(version[key, 0] - version[key, 1])
    return float(windows * months_per_window / DAY_MONTHS * RISE)


@inlined
def _hold_back(tails: Any, at: int, place: int, before: Any, rise: float) -> None:
    """Where its rare limit rose too fast, a tail is the one before, that much higher.

    Up to what is modest it may rise at once: below, no volume is worth waking anyone.
    """
    above, scale, rate, modest = before
    rare = np.float64(scale) * (np.float64(rate) - RARE)
    lift = max(modest - np.float64(above) - rare, 0.0) + rise
    now = tails[at, place]
    if np.float64(now[1]) + np.float64(now[2]) * (np.float64(now[3]) - RARE) > (
        np.float64(above) + rare + lift
    ):
        now[1], now[2], now[3] = np.float64(above) + lift, scale, rate


@inlined
def _keep_peak(tall: Any, row: int, place: int, window: int, value: float, gap: int) -> None:
    """Keeps the highest windows, ascending; of a cluster of high windows only the highest."""
    peak, peaks, last_peak, last_high = tall
    count, most = peaks[row, place], peak.shape[2]
    if count == most and value <= peak[row, place, 0]:
        return
    if window - last_peak[row, place] <= gap:
        if value <= last_high[row, place]:
            return
        for at in range(count):
            if peak[row, place, at] == last_high[row, place]:
                for after in range(at + 1, count):
                    peak[row, place, after - 1] = peak[row, place, after]
                count -= 1
                break
    last_peak[row, place], last_high[row, place] = window, value
    if count == most:  # the lowest goes
        for at in range(1, count):
            peak[row, place, at - 1] = peak[row, place, at]
        count -= 1
    at = count
    while at > 0 and peak[row, place, at - 1] > value:
        peak[row, place, at] = peak[row, place, at - 1]
        at -= 1
    peak[row, place, at] = value
    peaks[row, place] = count + 1


@compiled
def limits(tails: Any, shares: Any, found: Any) -> None:
    """The total that each habit reaches `share` times a month.

    Args:
        tails: by key and column: typical, log tail, scale, log rate.
        shares: by column: alerts a month a channel may raise for one key.
        found: filled in, by key and column.
    """
    for at in range(tails.shape[0]):
        for place in range(tails.shape[1]):
            z = max(np.float64(tails[at, place, 3]) - log(shares[place]), 0.0)
            reach = np.float64(tails[at, place, 1]) + np.float64(tails[at, place, 2]) * z
            found[at, place] = expm1(min(reach, MOST_LOG))
