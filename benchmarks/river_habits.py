"""What river's online learners would add to the catalog, on the streams of docs/detection.md.

Each learner (`benchmarks/river_learners.py`) is shown the closed windows of every key, and gets the
kind of limit that our channels have: the size that the key's own highest ones come up to less often
than a share of the alert budget (`detectors/habits.py`). Its alerts are scored by themselves and
added to what the catalog found. Part `river` of `benchmarks/detection.py`.
"""

import json
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from math import log
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from benchmarks.detection_rates import GROUPS, false_rate
from benchmarks.river_learners import (
    Deviation,
    Drift,
    Forecast,
    Learner,
    Level,
    Newcomer,
    Quantile,
    Seen,
    Shape,
    Trees,
    Volume,
)
from detectors.features import HOUR_MS, Total, WindowSpec
from detectors.habits import Habits, limits

HOUR = 3600  # seconds of a window
SHARE = 0.1  # of the budget, for each learner by itself
MATURE = 6  # closed windows, as for `stolen-key-spend`
ZERO = 7.0  # log units that are added to a size, so that whole numbers keep a thousandth of one
TENFOLD = log(10.0)
QUIET_S = 86_400  # while it goes on, and a day after, only what is ten times larger is told
ACCEPT_S = 86_400  # a level that held so long is learned
TAKEN = "longer-hours"  # is left out of the catalog, so that its learner shows what it adds

WATCHED = {
    "loud": ("loud",),
    "stealth": ("stealth, not mimicking", "stealth by mimicry"),
    "mimicry": ("stealth by mimicry",),
}

Tried = tuple[str, Callable[[float], Learner], str]
TRIED: tuple[Tried, ...] = (
    ("our own tail of tokens (no river object)", lambda _: Volume(), "day"),
    ("the same, accepted when ADWIN drifts", lambda _: Volume(), "drift"),
    ("EWMean, EWVar: deviations", lambda _: Deviation(), "day"),
    ("Quantile .95: excess", lambda _: Quantile(), "day"),
    ("ADWIN .002, tokens of used hours", lambda _: Drift(True, False, 2e-3), "day"),
    ("ADWIN 1e-6, tokens of every hour", lambda _: Drift(True, True, 1e-6), "day"),
    ("ADWIN 1e-6, every hour: used or not", lambda _: Drift(False, True, 1e-6), "day"),
    ("HalfSpaceTrees, fixed limits", lambda _: Trees(), "day"),
    ("EWMean: excess, no daily shape", lambda _: Level(), "day"),
    ("and an EWMean an hour of the day, tenant's", lambda _: Shape(), "day"),
    ("and HoltWinters(24), tenant's", lambda _: Forecast(), "day"),
    ("newcomers by their tenant's tail", lambda often: Newcomer(often, 720.0), "day"),
)


def measure(
    evaluator: Any, stream: Any, truth: Any, catalog: Path, budget: float, twin: Path
) -> dict[str, Any]:
    """Every learner on one stream: alone, and added to what the catalog found.

    Args:
        catalog: findings at the budget, JSON lines.
        twin: what came of the stream without attacks, if it is there: what luck would hit.
    """
    lucky = json.loads(twin.read_text()) if twin.exists() and not stream.benign else None
    events = evaluator.evaluate.load(str(stream.folder))[0]
    told = evaluator.findings(catalog.read_text().splitlines())
    found = [one for one in told if one["detector"] != TAKEN]
    result: dict[str, Any] = {"months": truth.months(), "catalog": _brief(truth.score(found))}
    table = closed(events)
    epoch, name_of = evaluator.evaluate.EPOCH, evaluator.evaluate.key_id
    for name, make, accept in TRIED:
        learner = make(SHARE * budget)
        alerts, cost = judged(table, learner, SHARE * budget, accept)
        named = [
            {"detector": name, "entity": {"id": name_of(key)}, "time": at + epoch}
            for key, at in alerts
        ]
        result[name] = {
            "alone": _brief(truth.score(named)),
            "with": _brief(truth.score([*found, *named])),
            "found": named,
            **cost,
        }
        if lucky:
            result[name]["luck"] = _brief(truth.score(lucky[name]["found"]))
        print(f"  {stream.name} {name}: {len(named)} alerts", flush=True)
    return result


def _brief(score: dict[str, Any]) -> dict[str, Any]:
    wanted = ("kind", "mimic", "hit", "usd", "usd_total", "days", "seconds", "events")
    rows = [{name: row[name] for name in wanted} for row in score["rows"]]
    return {"false": score["false"], "rows": rows}


def closed(events: Any) -> list[Seen]:
    """The windows of a stream's keys, in the order of time.

    Args:
        events: table with key, ts (seconds), tin, tout, cost (dollars), ip.
    """
    table = events.assign(number=(events.ts // HOUR).astype(int), tokens=events.tin + events.tout)
    by = table.groupby(["number", "key"])
    totals = by.agg(tokens=("tokens", "sum"), usd=("cost", "sum"), calls=("tokens", "size"))
    places = table.drop_duplicates(["number", "key", "ip"]).groupby(["number", "key"]).size()
    logs = np.log1p(
        np.stack([totals.tokens, totals.usd * 1e9, totals.calls, places.loc[totals.index]], axis=1)
    )
    return [
        Seen(key, key % 20, number, *values)  # tenants as the evaluator deals them
        for (number, key), values in zip(totals.index.tolist(), logs.tolist(), strict=True)
    ]


def judged(
    windows: Sequence[Seen], learner: Learner, often: float, accept: str
) -> tuple[list[tuple[int, float]], dict[str, float]]:
    """Alerts of a learner, as keys and seconds, and what it costs.

    Args:
        often: false alerts a key-month it may raise.
        accept: a level is learned when it held for a "day", or at once on a "drift".
    """
    from river import drift

    spec = WindowSpec(
        "tried", "credential", "", HOUR_MS, (Total("size", "units", "", "one"),), ("size",)
    )
    habits = Habits(spec)
    habits.grow(max(64, 1 + max(seen.key for seen in windows)))
    levels: dict[int, Any] = {}
    began: dict[int, tuple[float, float, float]] = {}  # of an alarm: first, last, most
    alerts: list[tuple[int, float]] = []
    spent = 0.0
    floor = np.log1p(learner.least_tokens)
    for now in _together(windows):
        keys = np.array([seen.key for seen in now])
        numbers = np.full(len(now), now[0].number, np.int64)
        begun = time.thread_time()
        sizes = np.array([learner.judge(seen) for seen in now])
        spent += time.thread_time() - begun
        totals = np.exp(np.clip(sizes, -ZERO, 30.0) + ZERO).astype(np.int64)[:, None]
        tails, known = habits.pinned(keys, numbers)[:2]
        high = limits(tails, np.array([often]))[:, 0]
        over = sizes > 0 if learner.decided else (totals[:, 0] > high) & (known >= MATURE)
        over &= np.array([seen.tokens >= floor for seen in now])
        usual = np.ones(len(now), np.bool_)
        end = float((now[0].number + 1) * HOUR)
        for at, seen in enumerate(now):
            drifted = False
            if accept == "drift":
                begun = time.thread_time()
                level = levels.setdefault(seen.key, drift.ADWIN(clock=1))
                level.update(seen.tokens)
                drifted = level.drift_detected
                spent += time.thread_time() - begun
            if not over[at]:
                continue
            first, last, most = began.get(seen.key, (end, -1e9, -1e9))
            if end - last > QUIET_S:
                first, most = end, -1e9
            if float(sizes[at]) > most + TENFOLD or most == -1e9:
                alerts.append((seen.key, end))
            began[seen.key] = (first, end, max(most, float(sizes[at])))
            usual[at] = drifted if accept == "drift" else end - first > ACCEPT_S
        begun = time.thread_time()
        for at, seen in enumerate(now):
            if usual[at]:
                learner.learn(seen)
        spent += time.thread_time() - begun
        habits.learn(keys, numbers, totals, usual)
    objects = {**learner.objects, **{("level", key): one for key, one in levels.items()}}
    count = len({seen.key for seen in windows})
    return alerts, {
        "us": spent / len(windows) * 1e6,
        "windows": len(windows),
        "bytes": weight(objects) / count,
    }


def _together(windows: Sequence[Seen]) -> Iterator[list[Seen]]:
    """The windows of one time, all keys'."""
    now: list[Seen] = []
    for seen in windows:
        if now and seen.number != now[0].number:
            yield now
            now = []
        now.append(seen)
    yield now


def weight(objects: dict[Any, Any]) -> int:
    """Bytes of the state of all these objects, as pickle would write it (nobody reads it)."""
    return len(pickle.dumps(list(objects.values())))


def lines(scores: dict[bool, list[dict[str, Any]]]) -> Iterator[str]:
    """The table of docs/detection.md.

    Args:
        scores: results of streams without (True) and with attacks (False), of the same seeds.
    """
    mine, twins = scores.get(False, []), scores.get(True, [])
    if not mine:
        return
    whole, whole_twin = _figures(mine, "catalog"), _figures(twins, "catalog")
    yield f"\n## River's learners, {len(mine)} streams\n"
    yield (
        "| learner | loud, alone | stealth, alone (in the twin) | false, alone | without attacks |"
        " loud, gained | stealth, gained | mimicry, gained | false, added | without attacks |"
        " us a window | bytes of state a key |"
    )
    yield "|" + "---|" * 12
    for name, _, _ in TRIED:
        alone, luck = _figures(mine, name, "alone"), _figures(mine, name, "luck")
        added, added_twin = _figures(mine, name, "with"), _figures(twins, name, "with")
        cells = [
            name,
            f"{alone['loud']:.3f}",
            f"{alone['stealth']:.3f} ({luck['stealth']:.3f})",
            f"{alone['false']:.3f}",
            f"{_figures(twins, name, 'alone')['false']:.3f}",
            *(f"{added[at] - whole[at]:+.3f}" for at in ("loud", "stealth", "mimicry", "false")),
            f"{added_twin['false'] - whole_twin['false']:+.3f}",
            f"{mean(one[name]['us'] for one in mine):.1f}",
            f"{mean(one[name]['bytes'] for one in mine):,.0f}",
        ]
        yield "| " + " | ".join(cells) + " |"


def _figures(scores: Sequence[dict[str, Any]], name: str, how: str = "") -> dict[str, float]:
    """Shares found by group, and false alerts a key-month; of nothing all is 0."""
    parts = [one[name] if not how else one[name].get(how) for one in scores]
    told = [
        part | {"months": one["months"]} for part, one in zip(parts, scores, strict=True) if part
    ]
    rows = [row for part in told for row in part["rows"]]
    found = {"false": false_rate(told)["rate"] if told else 0.0}
    for short, groups in WATCHED.items():
        hits = [row["hit"] for row in rows if any(GROUPS[group](row) for group in groups)]
        found[short] = mean(hits) if hits else 0.0
    return found
