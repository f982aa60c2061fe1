"""Our habits on the Numenta Anomaly Benchmark: one setting, streaming, O(1) state a series.

    python benchmarks/nab_habit.py NAB_DIR [--json]

`NAB_DIR` holds `nab.parquet` (file, timestamp, value), the windows and `scorer.py`. Two signals of
each value (how far the last twelve are from their half-hours of the week; how far outside the range
so far) are features of one key in `detectors.habits`, the same code that learns what is usual for
an API key. How rarely they come up by that habit is the score: rarer than once in a thousand rows
is no rarer for that, and of alarms close together only one that is rarer than the last is told. A
value is scored before it is learned.
"""

import argparse
import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from detectors.features import HOUR_MS, Total, WindowSpec
from detectors.habits import Habits

SIGNALS = ("shape", "range")
WEIGHTS = (1.0, 0.75)
CAP = 3.0  # -log10 of a rate a row
GRIDS = {  # what is tried on one half, to be judged on the other: weight of the range, and cap
    "whole powers of ten": [((1.0, w), cap) for w in (0.5, 0.75, 1.0, 1.5) for cap in (2, 3, 4)],
    "quarters": [((1.0, w), 2 + cap / 4) for w in (0.5, 0.75, 1.0, 1.5) for cap in range(9)],
}
ROWS = 12  # whose distances from their half-hours are averaged
ALPHA = 0.05  # weight of the newest value in its half-hour's mean
REFRACTORY = 0.4  # of the probationary rows: within it only higher scores are told
UNITS = 1000.0  # of a signal, by the usual deviation of its series
SLOTS = 48  # half-hours of a day

SPEC = WindowSpec(
    name="nab",
    lane="service",
    select="",
    width_ms=HOUR_MS,  # so that each row may be a peak of its own
    features=tuple(Total(name, "units", name, "one") for name in SIGNALS),
    learned=SIGNALS,
)


class Series:
    """The signals of one series. State: a ring, a mean, a deviation, a range and 96 half-hours."""

    def __init__(self) -> None:
        self.n = 0
        self.mean = self.deviation = 0.0
        self.ring = np.zeros(ROWS)
        self.low, self.high = np.inf, -np.inf
        self.slots = np.full((2, SLOTS), np.nan)
        self.times = np.zeros((2, SLOTS), np.int64)

    def step(self, second: int, value: float) -> tuple[float, float]:
        """The signals of a value, which is learned afterwards."""
        slot, weekend = (second // 1800) % SLOTS, int((second // 86400 + 3) % 7 >= 5)
        usual = self.slots[weekend, slot]
        if np.isnan(usual):
            usual = self.slots[1 - weekend, slot]
        self.ring[self.n % ROWS] = 0.0 if np.isnan(usual) else value - usual
        outside = max(0.0, value - self.high, self.low - value) if self.n else 0.0
        self.n += 1
        shape = abs(self.ring[: min(self.n, ROWS)].mean())
        self.deviation += (
            abs(value - (self.mean if self.n > 1 else value)) - self.deviation
        ) / self.n
        self.mean += (value - self.mean) / self.n
        self.low, self.high = min(self.low, value), max(self.high, value)
        self.times[weekend, slot] += 1
        if np.isnan(self.slots[weekend, slot]):
            self.slots[weekend, slot] = value
        else:
            weight = max(1.0 / self.times[weekend, slot], ALPHA)
            self.slots[weekend, slot] += weight * (value - self.slots[weekend, slot])
        unit = max(self.deviation, 1e-12) / UNITS
        return shape / unit, outside / unit


def rarities(corpus: dict[str, Any]) -> dict[str, Any]:
    """Of every row of every series how rare its signals are, side by side in one pass."""
    names = list(corpus)
    lengths = np.array([len(corpus[name].value) for name in names])
    seconds = [corpus[n].timestamp.astype("datetime64[s]").astype(np.int64) for n in names]
    habits = Habits(SPEC)
    habits.grow(max(64, len(names)))
    series = [Series() for _ in names]
    found = [np.zeros((length, len(SIGNALS))) for length in lengths]
    for row in range(int(lengths.max())):
        keys = np.flatnonzero(lengths > row)
        signals = [
            series[key].step(int(seconds[key][row]), float(corpus[names[key]].value[row]))
            for key in keys
        ]
        totals = np.minimum(np.array(signals), 1e15).astype(np.int64)
        windows = np.full(len(keys), row, np.int64)
        rare = rarity(habits, keys, windows, totals)
        for at, key in enumerate(keys.tolist()):
            found[key][row] = rare[at]
        habits.learn(keys, windows, totals, np.ones(len(keys), np.bool_))
    return dict(zip(names, found, strict=True))


def rarity(habits: Habits, keys: Any, windows: Any, totals: Any) -> Any:
    """-log10 of how often in a window the habit reaches each signal; 0 where that is often."""
    tails, known = habits.pinned(keys, windows)[:2]
    excess = (np.log1p(totals) - tails[..., 1]) / np.maximum(tails[..., 2], 1e-9)
    log_rate = tails[..., 3] + np.log(habits.months_per_window) - excess
    rare = np.maximum(-log_rate / np.log(10), 0.0)
    rare[known == 0] = 0.0
    return rare * (totals > 0)


def scores(
    corpus: dict[str, Any],
    rare: dict[str, Any],
    weights: tuple[float, ...] = WEIGHTS,
    cap: float = CAP,
) -> dict[str, Any]:
    """The score of every row."""
    return {
        name: told(np.minimum(rare[name], cap) @ np.array(weights), one.probation)
        for name, one in corpus.items()
    }


def told(score: Any, probation: int) -> Any:
    """What is said: nothing lower than what was said a while before."""
    said = np.zeros(len(score))
    last, most = -(10**9), 0.0
    for row, value in enumerate(score.tolist()):
        if value > 0 and (row - last > REFRACTORY * probation or value > most):
            said[row], last, most = value, row, value
    return said


def halves(names: list[str]) -> tuple[list[str], list[str]]:
    """Two halves of the corpus: every other file, in the order of names."""
    ordered = sorted(names)
    return ordered[::2], ordered[1::2]


def measure(folder: Path) -> dict[str, Any]:
    """Standard profiles; and the standard one with what is fitted taken from the other half."""
    scorer = _scorer(folder)
    corpus = scorer.load(str(folder))
    begun = time.monotonic()
    rare = rarities(corpus)
    result = scores(corpus, rare)
    seconds = time.monotonic() - begun
    whole = scorer.score(result, corpus)
    one, two = halves(list(corpus))
    by_threshold: list[float] = []
    by_all: dict[str, list[float]] = {name: [] for name in GRIDS}
    for names, others in ((one, two), (two, one)):
        fitted, judged = ({n: corpus[n] for n in part} for part in (names, others))
        threshold = scorer.score(result, fitted)["threshold"]["standard"]
        by_threshold.append(float(scorer.score(result, judged, threshold)["standard"]))
        for name, grid in GRIDS.items():
            by_all[name].append(_fitted(scorer, rare, fitted, judged, grid))
    rows = sum(len(one.value) for one in corpus.values())
    return {
        "standard": round(whole["standard"], 2),
        "reward_low_FP_rate": round(whole["reward_low_FP_rate"], 2),
        "reward_low_FN_rate": round(whole["reward_low_FN_rate"], 2),
        "threshold": round(whole["threshold"]["standard"], 3),
        "threshold of the other half": [round(one, 2) for one in by_threshold],
        "their mean": round(sum(by_threshold) / 2, 2),
        "threshold, weights and cap of the other half": {
            name: [round(one, 2) for one in both] for name, both in by_all.items()
        },
        "means of these": {name: round(sum(both) / 2, 2) for name, both in by_all.items()},
        "rows a second": round(rows / seconds),
    }


def _fitted(scorer: Any, rare: Any, fitted: Any, judged: Any, grid: Any) -> float:
    """The best of a grid on one half, judged on the other."""
    best: tuple[float, float, Any] = (-1e9, 0.0, None)
    for weights, cap in grid:
        told = scorer.score(scores(fitted, rare, weights, cap), fitted)
        best = max(best, (told["standard"], told["threshold"]["standard"], (weights, cap)))
    _, threshold, (weights, cap) = best
    result = scores(judged, rare, weights, cap)
    return float(scorer.score(result, judged, threshold)["standard"])


def _scorer(folder: Path) -> Any:
    spec = importlib.util.spec_from_file_location("nab_scorer", folder / "scorer.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["nab_scorer"] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Prints the scores."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = measure(arguments.folder)
    if arguments.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:24s} {value}")


if __name__ == "__main__":
    main()
