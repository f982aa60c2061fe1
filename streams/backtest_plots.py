"""Pictures of a backtest: from tables to bytes of SVG, with no names of entities in them."""

import io
from typing import Any

WIDTH_IN, HEIGHT_IN = 8.0, 2.8
MAX_BARS = 15  # detectors shown


def against_budget(budgets: Any) -> bytes:
    """Alerts a key-month against the budget asked for, with 95 % intervals; logarithmic axes."""
    figure, axes = _axes()
    shown = budgets[budgets["per_key_month"].notna()]
    asked = shown["budget"].tolist()
    rate = shown["per_key_month"].tolist()
    floor = min([*asked, *[one for one in rate if one > 0], 1.0]) / 10
    below = [max(0.0, seen - low) for seen, low in zip(rate, shown["low"], strict=True)]
    above = [max(0.0, high - seen) for seen, high in zip(rate, shown["high"], strict=True)]
    axes.errorbar(asked, [max(floor, one) for one in rate], yerr=[below, above], fmt="o", capsize=4)
    if asked:
        ends = [min(asked) / 1.5, max(asked) * 1.5]
        axes.plot(ends, ends, "--", color="0.5", linewidth=1, label="asked = raised")
        axes.legend(frameon=False)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(asked, [f"{one:g}" for one in asked])
        axes.minorticks_off()
    axes.set_xlabel("budget: false alerts a key-month")
    axes.set_ylabel("alerts a key-month")
    return _svg(figure)


def by_day(days: Any) -> bytes:
    """Alerts a day, one line a budget."""
    figure, axes = _axes()
    for budget in days.columns:
        axes.step(days.index, days[budget], where="mid", label=f"budget {budget:g}", linewidth=1.3)
    if len(days):
        axes.legend(frameon=False)
        figure.autofmt_xdate()
    axes.set_ylabel("alerts a day")
    axes.set_ylim(bottom=0)
    return _svg(figure)


def by_detector(detectors: Any) -> bytes:
    """Alerts of each detector, one bar a budget; those with most alerts."""
    budgets = sorted(set(detectors["budget"]))
    wide = detectors.pivot_table(
        index="detector", columns="budget", values="alerts", aggfunc="sum", fill_value=0
    )
    wide = wide.loc[wide.max(axis=1).sort_values().index[-MAX_BARS:]] if len(wide) else wide
    figure, axes = _axes(max(HEIGHT_IN, 0.32 * len(wide) + 0.8))
    height = 0.8 / max(1, len(budgets))
    for number, budget in enumerate(budgets):
        places = [at + number * height for at in range(len(wide))]
        axes.barh(places, wide[budget], height=height, label=f"budget {budget:g}")
    axes.set_yticks([at + 0.4 - height / 2 for at in range(len(wide))], list(wide.index))
    if budgets:
        axes.legend(frameon=False)
    axes.set_xlabel("alerts")
    return _svg(figure)


def _axes(height: float = HEIGHT_IN) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Any) -> bytes:
    import matplotlib

    drawn = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "tripmeter"}):  # the same picture every time
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()
