"""A small picture of a key's habit and of what broke it, for the thread. Needs matplotlib."""

import io
import math
import threading
from collections.abc import Sequence
from importlib.util import find_spec

from alerts.evidence import Comparison, comparisons
from alerts.slack_message import COLORS
from alerts.slack_text import amount, money
from alerts.text import plain
from schemas.finding import Finding

MAX_ROWS = 6
MAX_LABEL = 24
LEAST, MOST = 0.01, 1e15  # what the axis shows; beyond, the figure beside the bar is still true
USUAL, LIMIT, INK = "#2B6CB0", "#4A5568", "#1A202C"
DPI = 160


def can_draw() -> bool:
    """Whether matplotlib is installed (the extra `reports`)."""
    return find_spec("matplotlib") is not None


def warm() -> None:
    """Loads what drawing needs, in the background: it takes seconds that no alert should wait."""
    threading.Thread(target=_load, name="slack-chart", daemon=True).start()


def draw(finding: Finding) -> bytes:
    """A PNG of at most 1120 x 700 pixels: each feature's usual, its limit, and what was seen.

    The axis is logarithmic, because an attack is hundreds of times the habit.

    Raises:
        ValueError: the finding compares nothing.
    """
    rows = comparisons(finding)[:MAX_ROWS]
    if not rows:
        raise ValueError("nothing to compare")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1.35 + 0.5 * len(rows)), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    color = COLORS[finding.severity]
    for at, row in enumerate(rows):
        low, high = sorted((_shown(row.usual), _shown(row.seen)))
        axes.hlines(at, low, high, color=color, linewidth=7, alpha=0.25)
        axes.plot(_shown(row.usual), at, "o", color=USUAL, markersize=9)
        axes.plot(_shown(row.seen), at, "D", color=color, markersize=9)
        if row.limit is not None:
            axes.plot(_shown(row.limit), at, "|", color=LIMIT, markersize=18, markeredgewidth=2)
        axes.annotate(
            _told(row), (high, at), (8, 0), textcoords="offset points", va="center",
            fontsize=9, color=INK, parse_math=False,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlim(*_range(rows))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    names = [plain(row.feature.replace("_", " "), MAX_LABEL) for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=10, color=INK, parse_math=False)
    axes.tick_params(axis="x", labelsize=8, colors=LIMIT)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.grid(axis="x", color="#E2E8F0", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_title(
        "●  usual for this key     |  its limit     ◆  seen now",
        fontsize=9, color=LIMIT, loc="left",
    )  # fmt: skip
    picture = io.BytesIO()
    figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def _told(row: Comparison) -> str:
    show = money if row.feature == "cost_usd" else amount
    told = f"{show(row.seen)}, usually {show(row.usual)}"
    if row.usual > 0 and 1.5 <= row.seen / row.usual < 1e9:
        told += f"  ({amount(row.seen / row.usual)}×)"
    return plain(told, 80)


def _shown(value: float) -> float:
    return min(MOST, max(LEAST, value)) if math.isfinite(value) else MOST


def _range(rows: Sequence[Comparison]) -> tuple[float, float]:
    values = [
        _shown(value)
        for row in rows
        for value in (row.usual, row.seen, row.limit)
        if value is not None
    ]
    low, high = min(values), max(values)
    span = max(10.0, high / low)
    return low / span**0.06, high * span**0.85  # room for the figures beside the bars


def _load() -> None:
    from importlib import import_module

    import_module("matplotlib.backends.backend_agg")
    import_module("matplotlib.figure")
