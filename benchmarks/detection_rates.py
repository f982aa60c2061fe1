"""Rates with their 95 % intervals, from scored streams. Pure functions of plain values."""

import math
from collections.abc import Callable, Sequence
from statistics import mean
from typing import Any

JACKING = ("llmjack_burst", "llmjack_resale", "sweep")
LOUD = (*JACKING, "retry_storm", "retry_loop", "agent_runaway")
STEALTH = ("ramp", "slow_newip", "slow_sameip")

PAST_HOURS = 6  # of use before a key has a habit

Row = dict[str, Any]
GROUPS: dict[str, Callable[[Row], bool]] = {
    "loud": lambda row: row["kind"] in LOUD,
    "burst, resale, sweep": lambda row: row["kind"] in JACKING,
    "loud, on a key used in six hours or more": lambda row: (
        row["kind"] in LOUD and row.get("past_hours", 0) >= PAST_HOURS
    ),
    "loud, on a key used in fewer": lambda row: (
        row["kind"] in LOUD and 0 < row.get("past_hours", -1) < PAST_HOURS
    ),
    "loud, on a key never used": lambda row: row["kind"] in LOUD and row.get("past_hours", -1) == 0,
    "stealth, not mimicking": lambda row: row["kind"] in STEALTH and not row["mimic"],
    "stealth by mimicry": lambda row: row["kind"] in STEALTH and row["mimic"],
    "mimicry, same address": lambda row: row["kind"] == "slow_sameip" and row["mimic"],
    "all": lambda row: True,
}


def wilson(hits: float, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927).

    >>> [round(limit, 3) for limit in wilson(9, 10)]
    [0.596, 0.982]
    """
    if not count:
        return 0.0, 1.0
    z, share = 1.96, hits / count
    middle = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def false_rate(scores: Sequence[Row]) -> dict[str, float]:
    """False alerts a key-month over streams, with the interval that the evaluator prints.

    Args:
        scores: with `false` (a key-month) and `months` each.
    """
    months = sum(one["months"] for one in scores)
    rate = mean(one["false"] for one in scores)
    count = rate * months
    return {
        "rate": rate,
        "count": count,
        "months": months,
        "low": max(0.0, count - 1.96 * count**0.5) / months,
        "high": (count + 1.96 * count**0.5 + 2) / months,
    }


def recall(rows: Sequence[Row]) -> dict[str, float]:
    """Share found, its interval, delay of what was found, share of dollars spent by then."""
    hit = [row for row in rows if row["hit"]]
    low, high = wilson(len(hit), len(rows))
    total = sum(row["usd_total"] for row in rows)
    return {
        "count": len(rows),
        "recall": len(hit) / len(rows) if rows else math.nan,
        "low": low,
        "high": high,
        "p50_s": quantile([row["seconds"] for row in hit], 0.5),
        "p90_s": quantile([row["seconds"] for row in hit], 0.9),
        "events": quantile([row["events"] for row in hit], 0.5),
        "lost": sum(row["usd"] for row in rows) / total if total else math.nan,
    }


def quantile(values: Sequence[float], share: float) -> float:
    """With linear interpolation, as numpy's; NaN of nothing.

    >>> quantile([1.0, 2.0, 4.0], 0.5), quantile([1.0, 2.0], 0.9)
    (2.0, 1.9)
    """
    ordered = sorted(values)
    if not ordered:
        return math.nan
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return round(ordered[below] + (place - below) * (ordered[above] - ordered[below]), 6)


def net(found: float, chance: float) -> float:
    """What is found beyond chance, of what chance leaves.

    >>> round(net(0.6, 0.2), 3)
    0.5
    """
    return (found - chance) / (1 - chance) if chance < 1 else math.nan


def chance(rows: Sequence[Row], rate: float) -> float:
    """What false alerts alone would hit: 1 - exp(-rate * days / 30), the mean over attacks."""
    return mean(1 - math.exp(-rate * row["days"] / 30) for row in rows) if rows else math.nan
