"""The habit and its break: closed windows of one entity, as lines of text or as a picture."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import log
from typing import Any

from detectors.features import WINDOWS
from schemas.records import Rollup
from streams.explain_levels import Levels, levels

MAX_POINTS = 24 * 31  # windows of one entity that are drawn
TEXT_ROWS = 24
TEXT_WIDTH = 40


@dataclass(frozen=True, slots=True)
class Point:
    """One window: what was seen, and the band of what is usual. Money in dollars.

    Attributes:
        low, high: NaN where nothing was learned.
        alarm: the finding lies in it.
    """

    start: datetime
    end: datetime
    seen: float
    low: float
    high: float
    alarm: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """One feature of one entity over time.

    Attributes:
        levels: since when it is where it is; None when too few windows are known.
    """

    feature: str
    unit: str
    points: tuple[Point, ...]
    decided: datetime
    levels: Levels | None = None

    @property
    def began(self) -> str:
        """When the first window that is known began."""
        return self.points[0].start.strftime("%Y-%m-%d %H:%M")

    @property
    def level(self) -> str | None:
        """Since when the level is what it is, in words."""
        return f"{self.feature} {self.levels.told(self.unit)}" if self.levels else None


def chart(finding: dict[str, Any], rollups: Iterable[Rollup]) -> Chart | None:
    """What is known of the entity up to the finding; None when no window closed before it."""
    evidence = finding.get("evidence") or {}
    since, decided = (datetime.fromisoformat(finding[name]) for name in ("since", "time"))
    until = decided if not finding["final"] else max(since, decided)
    mine = sorted(
        (
            one
            for one in rollups
            if (one.entity.lane, one.entity.id)
            == (finding["entity"]["lane"], finding["entity"]["id"])
            and one.start <= until
        ),
        key=lambda one: one.start,
    )[-MAX_POINTS:]
    if not mine:
        return None
    feature = _feature(evidence, mine[-1])
    unit, scale = _unit(feature)
    points = [_point(one, feature, scale, since, decided) for one in mine]
    known = levels([point.start for point in points], [point.seen for point in points])
    totals = evidence.get("totals") or {}
    if not any(point.alarm for point in points) and feature in totals:
        last = points[-1]
        seen = totals[feature] / scale
        points.append(Point(since, max(decided, since), seen, last.low, last.high, True))
    return Chart(feature, unit, tuple(points), decided, known)


def _point(one: Rollup, feature: str, scale: float, since: datetime, decided: datetime) -> Point:
    low, high = sorted(one.usual.get(feature, (float("nan"), float("nan"))))
    alarm = one.start <= decided and since < one.end
    seen = one.totals.get(feature, 0)
    return Point(one.start, one.end, seen / scale, low / scale, high / scale, alarm)


def _feature(evidence: dict[str, Any], newest: Rollup) -> str:
    """What decided, if windows tell of it; else what they know a habit of."""
    for name in (evidence.get("feature"), evidence.get("tripped"), *newest.usual):
        if isinstance(name, str) and name in newest.totals:
            return name
    return next(iter(newest.totals))


def _unit(name: str) -> tuple[str, float]:
    units = {feature.name: feature.unit for spec in WINDOWS for feature in spec.features}
    unit = units.get(name, name.replace("_", " "))
    return ("dollars", 1e9) if unit == "nano-dollars" else (unit, 1.0)


def lines(drawn: Chart, rows: int = TEXT_ROWS, width: int = TEXT_WIDTH) -> list[str]:
    """Bars on a logarithmic scale; `|` is where the tail begins, `<` marks the finding.

    `>` marks the first window of a new level.
    """
    points, new = around(drawn.points, rows), _new(drawn)
    values = [value for p in points for value in (p.seen, p.high) if value > 0]
    least, most = min(values, default=1.0) / 4, max(values, default=1.0)

    def column(value: float) -> int:
        if not value > least:
            return 0
        return round(width * log(value / least) / log(most / least))

    told = [
        f"{drawn.feature.replace('_', ' ')}, {drawn.unit} a window (logarithmic);"
        " | is where the tail of its habit begins" + (", > a new level" if new else "")
    ]
    for point in points:
        bar = list("#" * column(point.seen) + " " * (width + 1 - column(point.seen)))
        if point.high == point.high:
            bar[column(point.high)] = "|"
        mark = "  < here" if point.alarm else ""
        begins = ">" if point.start in new else " "
        when = point.start.strftime("%m-%d %H:%M")
        told.append(f"{when}{begins}{''.join(bar)} {_short(point.seen):>12}{mark}")
    return told


def _new(drawn: Chart) -> set[datetime]:
    """When new levels began."""
    return {change.at for change in drawn.levels.changes} if drawn.levels else set()


def around(points: Sequence[Point], rows: int) -> Sequence[Point]:
    """The windows that lead to the first alarm, and a few after it."""
    first = next((at for at, point in enumerate(points) if point.alarm), len(points) - 1)
    end = min(len(points), first + max(1, rows // 4))
    return points[max(0, end - rows) : end]


def picture(drawn: Chart) -> bytes:
    """A PNG of 1280 x 560 pixels: what was seen, the usual band, and when it was decided."""
    from io import BytesIO

    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.5), dpi=160, layout="constrained")
    axes = figure.subplots()
    times: list[Any] = [point.start for point in drawn.points]
    low, high = [p.low for p in drawn.points], [p.high for p in drawn.points]
    axes.fill_between(times, low, high, step="post", color="#2B6CB0", alpha=0.18, label="usual")
    axes.plot(times, [p.seen for p in drawn.points], ".-", color="#1A202C", linewidth=0.8)
    alarms = [point for point in drawn.points if point.alarm]
    decided: Any = drawn.decided
    axes.plot([p.start for p in alarms], [p.seen for p in alarms], "D", color="#C53030")  # type: ignore[arg-type]
    axes.axvline(decided, color="#C53030", linewidth=1, linestyle="--", label="decided")
    for number, at in enumerate(sorted(_new(drawn))):
        new: Any = at
        label = "_" * bool(number) + "new level"  # told once
        axes.axvline(new, color="#2F855A", linewidth=1, linestyle=":", label=label)
    axes.set_yscale("symlog", linthresh=_least(drawn.points))
    axes.set_ylim(0, 3 * max(max(p.seen for p in drawn.points), _least(drawn.points)))
    locator = AutoDateLocator(tz="UTC")  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz="UTC"))  # type: ignore[no-untyped-call]
    axes.set_ylabel(f"{drawn.unit} a window")
    axes.set_title(f"{drawn.feature.replace('_', ' ')}, UTC", loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    drawing = BytesIO()
    figure.savefig(drawing, format="png", metadata={"Software": None})
    return drawing.getvalue()


def _least(points: Sequence[Point]) -> float:
    return min((point.seen for point in points if point.seen > 0), default=1.0)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"
