"""A small picture of a key's habit and of what broke it, for the thread. Needs matplotlib.

Above, when closed windows of the key are at hand: what it used in the days before, beside what was
usual, and this finding. Below: how many times the usual each feature is. All axes are logarithmic,
because an attack is hundreds of times the habit.
"""

import io
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from alerts.evidence import Comparison, comparisons, decided
from alerts.slack_message import COLORS
from alerts.slack_text import amount, instant, lasting, money
from alerts.text import plain
from schemas.finding import Finding

if TYPE_CHECKING:
    from sqlalchemy import Engine

MAX_ROWS = 6
MAX_LABEL = 24
MAX_MOMENTS = 500  # closed windows drawn
LEAST_MOMENTS = 6  # fewer tell nothing
SPAN = timedelta(days=3)  # of the days before
LEAST, MOST = 1e-3, 1e12  # times the usual; beyond, the figure beside the bar is still true
USUAL, LIMIT, INK = "#2B6CB0", "#4A5568", "#1A202C"
DPI = 160


@dataclass(frozen=True, slots=True)
class Moment:
    """One closed window: its start (epoch seconds), what was used, and what is usual."""

    start: float
    length_s: float
    seen: float
    low: float | None
    high: float | None


Past = Callable[[Finding], Sequence[Moment]]


def can_draw() -> bool:
    """Whether matplotlib is installed (the extra `reports`)."""
    return find_spec("matplotlib") is not None


def warm() -> None:
    """Loads what drawing needs, in the background: it takes seconds that no alert should wait."""
    threading.Thread(target=_load, name="slack-chart", daemon=True).start()


def past_of(engine: "Engine") -> Past:
    """Reads the closed windows of a finding's key from the store, where there are any."""
    from alerts.feed.usage import Usage

    usage = Usage(engine)

    def past(finding: Finding) -> Sequence[Moment]:
        name = _feature(finding)
        key, end = ("nanousd" if name == "cost_usd" else name), finding.time.timestamp()
        begin = end - SPAN.total_seconds()
        windows = usage.windows(finding.entity.lane, finding.entity.id, begin, end)
        return [
            Moment(w.start, w.end - w.start, w.totals[key], *(w.usual.get(key) or (None, None)))
            for w in windows[-MAX_MOMENTS:]
            if key in w.totals
        ]

    return past


def draw(finding: Finding, past: Sequence[Moment] = ()) -> bytes:
    """A PNG of at most 1120 x 1000 pixels.

    Raises:
        ValueError: the finding compares nothing.
    """
    rows = comparisons(finding)[:MAX_ROWS]
    if not rows:
        raise ValueError("nothing to compare")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    below = 1.1 + 0.42 * len(rows)
    above = 2.4 if len(past) >= LEAST_MOMENTS else 0.0
    figure = Figure(figsize=(7, below + above), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    if above:
        top, bottom = figure.subplots(2, 1, height_ratios=(above, below))
        _days(top, finding, past)
        _multiples(bottom, finding, rows)
    else:
        _multiples(figure.add_subplot(), finding, rows)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def _days(axes: Any, finding: Finding, past: Sequence[Moment]) -> None:
    name = _feature(finding)
    show = money if name == "cost_usd" else amount
    # a window's height counts from its start to its end
    times = [_instant(each.start) for each in past]
    ends = [*times, _instant(past[-1].start + past[-1].length_s)]
    least = min((each.seen for each in past if each.seen > 0), default=1.0)
    floor = min(1e6, max(1e-4, least / 3))
    seen = [min(MOST, max(floor, each.seen)) for each in past]
    axes.stairs(seen, ends, color=USUAL, linewidth=1.3, label=f"{_label(name)} before")
    if all(each.high is not None for each in past):
        low = [min(MOST, max(floor, each.low or 0.0)) for each in past]
        high = [min(MOST, max(floor, each.high or 0.0)) for each in past]
        axes.fill_between(
            times, low, high, step="post", color=USUAL, alpha=0.15, linewidth=0, label="usual"
        )
    now = next((each.seen for each in comparisons(finding) if each.feature == name), 0.0)
    axes.plot(
        finding.time, min(MOST, max(floor, now)), "D", color=COLORS[finding.severity], markersize=9,
        label=f"now: {show(now)}", zorder=3,
    )  # fmt: skip
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: _short(value))
    axes.set_xticks([times[0], times[len(times) // 2], finding.time])
    axes.set_xticklabels([f"{t:%d %b %H:%M}" for t in (times[0], times[len(times) // 2])] + ["now"])
    length = lasting(timedelta(seconds=past[-1].length_s))
    title = f"{_label(name)} in windows of {length}, until {instant(finding.time)}"
    _plainly(axes, title, "y")
    legend = axes.legend(loc="upper left", fontsize=8, frameon=False, ncols=3)
    for text in legend.get_texts():
        text.set_parse_math(False)
    axes.margins(x=0.02, y=0.3)


def _multiples(axes: Any, finding: Finding, rows: Sequence[Comparison]) -> None:
    color = COLORS[finding.severity]
    highest = 10.0
    for at, row in enumerate(rows):
        base = _base(row)
        seen = _shown(row.seen / base)
        low, high = sorted((1.0, seen))
        highest = max(highest, high)
        axes.hlines(at, low, high, color=color, linewidth=7, alpha=0.25)
        axes.plot(1.0, at, "o", color=USUAL, markersize=8)
        axes.plot(seen, at, "D", color=color, markersize=8)
        if row.limit is not None:
            limit = _shown(row.limit / base)
            highest = max(highest, limit)
            axes.plot(limit, at, "|", color=LIMIT, markersize=16, markeredgewidth=2)
        axes.annotate(
            _told(row), (high, at), (8, 0), textcoords="offset points", va="center",
            fontsize=9, color=INK, parse_math=False,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(0.6, highest**1.9)  # room for the figures beside the bars
    axes.set_ylim(len(rows) - 0.5, -0.6)
    ticks = [10.0**n for n in range(int(math.log10(highest)) + 1)]
    axes.set_xticks(ticks, [f"{_short(tick)}×" for tick in ticks])
    axes.set_xticks([], minor=True)
    names = [_label(row.feature) for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=9, color=INK, parse_math=False)
    _plainly(axes, "times the usual:  ●  usual     |  limit     ◆  seen", "x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _plainly(axes: Any, title: str, grid: str) -> None:
    axes.set_title(title, fontsize=9, color=LIMIT, loc="left", parse_math=False)
    axes.tick_params(axis="both", labelsize=8, colors=LIMIT)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(axis=grid, color="#E2E8F0", linewidth=0.6)
    axes.set_axisbelow(True)


def _feature(finding: Finding) -> str:
    """What decided, or else what was spent."""
    found = decided(finding) or comparisons(finding)
    return found[0].feature if found else "cost_usd"


def _base(row: Comparison) -> float:
    """What counts as once; where nothing is usual, something that can be drawn."""
    for value in (row.usual, (row.limit or 0.0) / 10, abs(row.seen) / 100):
        if math.isfinite(value) and value > 0:
            return value
    return 1.0


def _told(row: Comparison) -> str:
    show = money if row.feature == "cost_usd" else amount
    told = f"{show(row.seen)}, usually {show(row.usual)}"
    if row.usual > 0 and 1.5 <= row.seen / row.usual < 1e9:
        told += f"  ({amount(row.seen / row.usual)}×)"
    return plain(told, 80)


def _shown(value: float) -> float:
    return min(MOST, max(LEAST, value)) if math.isfinite(value) else MOST


def _label(feature: str) -> str:
    return "dollars" if feature == "cost_usd" else plain(feature.replace("_", " "), MAX_LABEL)


def _short(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"


def _instant(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC)


def _load() -> None:
    from importlib import import_module

    import_module("matplotlib.backends.backend_agg")
    import_module("matplotlib.figure")
