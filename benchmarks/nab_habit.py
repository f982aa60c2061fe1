"""Our habits on the Numenta Anomaly Benchmark: one setting, streaming, O(1) state a series.

    python benchmarks/nab_habit.py NAB_DIR [--json]

`NAB_DIR` holds `nab.parquet` (file, timestamp, value), the windows and `scorer.py`. Three signals
of each value (how far a short mean is from the long one, the value from its half-hour of
the week, how far outside the range so far) are features of one key in `detectors.habits`, the same
code that learns what is usual for an API key. How rarely they come up by that habit is the score;
a value is scored before it is learned.
"""

import argparse
import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from detectors.features import MINUTE_MS, Total, WindowSpec
from detectors.habits import Habits

SIGNALS = ("level", "shape", "range")
WEIGHTS = np.array([1.0, 1.0, 2.0])
CAP = 8.0  # -log10 of a rate: rarer is not more certain
SHORT = 12  # rows of the short mean
ALPHA = 0.05  # weight of the newest value in its half-hour's mean
REFRACTORY = 0.4  # of the probationary rows: within it only higher scores are told
UNITS = 1000.0  # of a signal, by the usual deviation of its series
SLOTS = 48  # half-hours of a day

SPEC = WindowSpec(
    name="nab",
    lane="service",
    select="",
    width_ms=5 * MINUTE_MS,
    features=tuple(Total(name, "units", name, "one") for name in SIGNALS),
    learned=SIGNALS,
)


class Series:
    """The signals of one series. State: a short ring, two means, a range and 96 slots."""

    def __init__(self) -> None:
        self.n = 0
        self.mean = self.deviation = 0.0
        self.ring = np.zeros(SHORT)
        self.low, self.high = np.inf, -np.inf
        self.slots = np.full((2, SLOTS), np.nan)
        self.times = np.zeros((2, SLOTS), np.int64)

    def step(self, second: int, value: float) -> tuple[float, float, float]:
        """The signals of a value, which is learned afterwards."""
        slot, weekend = (second // 1800) % SLOTS, int((second // 86400 + 3) % 7 >= 5)
        self.ring[self.n % SHORT] = value
        signals = (0.0, 0.0, 0.0)
        if self.n:
            short = self.ring[: min(self.n + 1, SHORT)].mean()
            usual = self.slots[weekend, slot]
            if np.isnan(usual):
                usual = self.slots[1 - weekend, slot]
            signals = (
                abs(short - self.mean),
                0.0 if np.isnan(usual) else abs(value - usual),
                max(0.0, value - self.high, self.low - value),
            )
        self.n += 1
        self.deviation += (abs(value - self.mean) - self.deviation) / self.n
        self.mean += (value - self.mean) / self.n
        self.low, self.high = min(self.low, value), max(self.high, value)
        self.times[weekend, slot] += 1
        if np.isnan(self.slots[weekend, slot]):
            self.slots[weekend, slot] = value
        else:
            weight = max(1.0 / self.times[weekend, slot], ALPHA)
            self.slots[weekend, slot] += weight * (value - self.slots[weekend, slot])
        unit = max(self.deviation, 1e-12) / UNITS
        level, shape, outside = signals
        return level / unit, shape / unit, outside / unit


def scores(corpus: dict[str, Any]) -> dict[str, Any]:
    """The score of every row of every series, in one pass over all of them side by side."""
    names = list(corpus)
    lengths = np.array([len(corpus[name].value) for name in names])
    seconds = [corpus[n].timestamp.astype("datetime64[s]").astype(np.int64) for n in names]
    habits = Habits(SPEC)
    habits.grow(max(64, len(names)))
    series = [Series() for _ in names]
    found = [np.zeros(length) for length in lengths]
    for row in range(int(lengths.max())):
        keys = np.flatnonzero(lengths > row)
        signals = [
            series[key].step(int(seconds[key][row]), float(corpus[names[key]].value[row]))
            for key in keys
        ]
        totals = np.minimum(np.array(signals), 1e15).astype(np.int64)
        windows = np.full(len(keys), row, np.int64)
        rare = rarity(habits, keys, windows, totals)
        for key, score in zip(keys.tolist(), rare.tolist(), strict=True):
            found[key][row] = score
        habits.learn(keys, windows, totals, np.ones(len(keys), np.bool_))
    return {name: told(found[at], corpus[name].probation) for at, name in enumerate(names)}


def rarity(habits: Habits, keys: Any, windows: Any, totals: Any) -> Any:
    """The weighted sum of -log10 of how often in a window each signal comes up."""
    tails, known = habits.pinned(keys, windows)[:2]
    excess = (np.log1p(totals) - tails[..., 1]) / np.maximum(tails[..., 2], 1e-9)
    log_rate = tails[..., 3] + np.log(habits.months_per_window) - excess
    rare = np.clip(-log_rate / np.log(10), 0.0, CAP)
    rare[(known == 0)] = 0.0
    return (rare * (totals > 0)) @ WEIGHTS


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
    """Standard profiles, and the standard one with the threshold of the other half."""
    scorer = _scorer(folder)
    corpus = scorer.load(str(folder))
    begun = time.monotonic()
    result = scores(corpus)
    seconds = time.monotonic() - begun
    whole = scorer.score(result, corpus)
    one, two = halves(list(corpus))
    crossed = []
    for fitted, judged in ((one, two), (two, one)):
        threshold = scorer.score(result, {n: corpus[n] for n in fitted})["threshold"]["standard"]
        mine = {name: corpus[name] for name in judged}
        crossed.append(scorer.score(result, mine, threshold)["standard"])
    rows = sum(len(one.value) for one in corpus.values())
    return {
        "standard": whole["standard"],
        "reward_low_FP_rate": whole["reward_low_FP_rate"],
        "reward_low_FN_rate": whole["reward_low_FN_rate"],
        "threshold": whole["threshold"]["standard"],
        "other_half": [round(one, 3) for one in crossed],
        "other_half_mean": sum(crossed) / 2,
        "rows_per_second": round(rows / seconds),
    }


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
