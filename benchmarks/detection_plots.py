"""Plots of the report: recall against false alerts, delay, and dollars spent before the alert."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.detection_rates import GROUPS, false_rate, recall

SHOWN = ("loud", "burst, resale, sweep", "stealth, not mimicking", "stealth by mimicry")


def plots(measured: dict[str, Any], folder: Path) -> None:
    """Writes `recall.svg`, `delay.svg` and `dollars.svg`."""
    for name, figure in {
        "recall": against_false(measured),
        "delay": delays(measured["streams"], "seconds", "seconds from the first event"),
        "dollars": delays(measured["streams"], "usd", "dollars spent before the alert"),
    }.items():
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def against_false(measured: dict[str, Any]) -> Figure:
    """Recall against false alerts a key-month: ours at each budget, and the peers' rules."""
    figure, axes = _axes()
    for group in SHOWN:
        points = sorted(
            (false_rate(scores)["rate"], _recall(scores, group))
            for scores in measured["streams"].values()
        )
        axes.plot(*zip(*points, strict=True), "o-", label=f"tripmeter, {group}")
    for number, (name, by) in enumerate(measured["peers"].items(), 1):
        if by[False]:
            place = (max(false_rate(by[False])["rate"], 1e-2), _recall(by[False], "loud"))
            axes.plot(*place, "x", color="0.35", label=f"{number} {name} (loud)")
            axes.annotate(str(number), place, (4, 3), textcoords="offset points", fontsize=8)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("false alerts a key-month")
    axes.set_ylabel("share of attacks found")
    figure.legend(frameon=False, fontsize=7, loc="outside lower center", ncols=2)
    return figure


def delays(streams: dict[float, list[dict[str, Any]]], column: str, label: str) -> Figure:
    """How many loud attacks are found by when: a curve for each budget; misses stay below 1."""
    figure, axes = _axes()
    for budget, scores in sorted(streams.items()):
        rows = [row for one in scores for row in one["rows"] if GROUPS["loud"](row)]
        found = sorted(max(row[column] or 0.0, 1e-3) for row in rows if row["hit"])
        if found:
            share = [(at + 1) / len(rows) for at in range(len(found))]
            axes.step(found, share, where="post", label=f"budget {budget:g}")
    axes.set_xscale("log")
    axes.set_ylim(0, 1.03)
    axes.set_xlabel(label)
    axes.set_ylabel("share of loud attacks found")
    axes.legend(frameon=False)
    return figure


def _recall(scores: Sequence[dict[str, Any]], group: str) -> float:
    rows = [row for one in scores for row in one["rows"] if GROUPS[group](row)]
    return float(recall(rows)["recall"])


def _axes() -> tuple[Figure, Any]:
    figure = Figure(figsize=(8, 5.0), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
