"""The loops over open windows: where events go, what they add, which limits that passes."""

from math import ceil, expm1, log
from typing import Any

import numpy as np

from schemas.compiled import compiled, inlined

FREE = -1
OPENING = -2
NEVER = -(2**31)
NO_LIMIT = 2**62
MOST = 2.0**61  # of a learned limit
MOST_LOG = 40.0
LEAST_BEYOND, PRIOR, MOST_EASED, LEAST_AWAKE = 0.02, 0.1, 4.0, 0.25  # see `detectors.records`


@compiled
def find(slot: Any, asked: Any, grid: Any, windows: Any, cells: Any, opening: Any) -> int:
    """The window of each event, and its cell where it is open.

    Args:
        slot: key -> cells of its even and odd window.
        asked: keys, times, and by key what decides its phase.
        grid: steps of a window and their width, ms.
        windows, cells: filled in.
        opening: filled in: events that are the first of a window that is not open.
    Returns:
        How many these are.
    """
    keys, times, seed = asked
    steps, step_ms = grid
    count = 0
    for at in range(len(keys)):
        key = keys[at]
        windows[at] = (times[at] + seed[key] % steps * step_ms) // (steps * step_ms)
        cells[at] = slot[key, windows[at] & 1]
        if cells[at] == FREE:
            slot[key, windows[at] & 1] = OPENING
            opening[count] = at
            count += 1
    return count


@compiled
def found(slot: Any, keys: Any, windows: Any, cells: Any) -> None:
    """The cells of events whose windows are all open."""
    for at in range(len(keys)):
        cells[at] = slot[keys[at], windows[at] & 1]


@compiled
def grow(total: Any, cells: Any, feature: int, amount: Any) -> None:
    """Adds what each event brings to the total of its window."""
    for at in range(len(cells)):
        total[cells[at], feature] += amount[at]


@compiled
def crossed(total: Any, limit: Any, feature: Any, cells: Any, hot: Any) -> int:
    """The cells among those of some events that are above a limit; one may come repeatedly."""
    count = 0
    for at in range(len(cells)):
        cell = cells[at]
        for channel in range(len(feature)):
            if total[cell, feature[channel]] > limit[cell, channel]:
                hot[count] = cell
                count += 1
                break
    return count


@compiled
def pin(habits: Any, channels: Any, width: float, records: Any, asked: Any, limit: Any) -> None:
    """Writes down the limits by which windows that open now are judged.

    Args:
        habits: by window: tails, windows learned from, counts, records, first window of its key.
        channels: by channel: limit, windows its key must have, windows from which it is not
            looked at, windows since the first of its key, alerts a month, learned, counted and
            recorded feature or -1, and slack, scale and heaviness of its record's law.
        width: of a window, as a share of a month.
        records: alerts a month that all records of a key may raise, and months of quiet after one.
        asked: windows and cells of what opens.
        limit: filled in, by cell and channel.
    """
    tails, known, counts, highest, first = habits
    above, least, below, aged, shares, learned, counted, recorded, slack, scale, heavy = channels
    windows, cells = asked
    allowed, quiet = records
    for at in range(len(cells)):
        cell = cells[at]
        months = (windows[at] - first[at] - 1) * width
        unusual = counts[at, counts.shape[1] - 1]
        ease = eased(allowed, (windows[at] - first[at]) * width, unusual, quiet)
        for channel in range(len(above)):
            age = windows[at] - first[at]
            if known[at] < least[channel] or known[at] >= below[channel] or age < aged[channel]:
                limit[cell, channel] = NO_LIMIT
                continue
            most = above[channel]
            if learned[channel] >= 0:
                reach = reached(tails, at, learned[channel], shares[channel])
                most = max(most, np.int64(min(reach, MOST)))
            if counted[channel] >= 0:
                before = counts[at, counted[channel]]
                most = max(most, rare_count(before, months, shares[channel], width))
            if recorded[channel] >= 0:
                record = highest[at, recorded[channel]] + slack[channel]
                chance = shares[channel] * ease * width * (known[at] + 1)
                beyond = passed(chance, known[at], scale[channel], heavy[channel])
                reach = (1 + beyond) * record - slack[channel]
                most = max(most, np.int64(min(reach, MOST)))
            limit[cell, channel] = most


@inlined
def reached(tails: Any, at: int, place: int, share: float) -> float:
    """The total that a habit reaches `share` times a month; see `detectors.habits.limits`."""
    z = max(np.float64(tails[at, place, 3]) - log(share), 0.0)
    reach = np.float64(tails[at, place, 1]) + np.float64(tails[at, place, 2]) * z
    return expm1(min(reach, MOST_LOG))


@inlined
def passed(chance: float, known: int, scale: float, heavy: float) -> float:
    """By what share of itself a record is passed with this chance; see `detectors.records`."""
    bend = 1 / max(np.float64(known), 1.0) + heavy
    excess = scale / bend * (min(chance, 1.0) ** -bend - 1)
    return max(LEAST_BEYOND, expm1(min(excess, MOST_LOG)))


@inlined
def eased(allowed: float, months: float, unusual: int, quiet: float) -> float:
    """How many times its share a key's records may come up; see `detectors.records`."""
    fits = (PRIOR + allowed * months) / (PRIOR + unusual)
    rate = min(max(fits, 1.0), MOST_EASED)
    return rate / max(1 - allowed * rate * quiet, LEAST_AWAKE)


@inlined
def rare_count(before: int, months: float, share: float, width: float) -> Any:
    """The count in one window that a steady rate passes at most `share` times a month.

    Poisson tail bounded by Chernoff: P(N >= n) <= exp(-(n ln(n/m) - n + m)) for n > m.

    Args:
        before: events so far.
        months: over which they came.
        width: of a window, as a share of a month.
    """
    mean = (before + 1.0) / (max(months, 0.0) + 0.1) * width
    wanted = log(1.0 / width / share)  # windows a month over alerts a month
    count = max(ceil(mean), 1.0)
    for _ in range(40):
        if count * log(count / mean) - count + mean >= wanted:
            break
        count += 1
    return np.int64(count)
