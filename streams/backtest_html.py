"""A backtest as one HTML file that needs nothing else: no scripts, no remote parts."""

from base64 import b64encode
from collections.abc import Iterator
from html import escape
from typing import Any

from streams.backtest import Backtest
from streams.backtest_plots import against_budget, by_day, by_detector
from streams.commands.shared import safe

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1c2430; background: #fff; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #dde3ea; }
td { overflow-wrap: anywhere; } td.n, th.n { text-align: right; }
img { max-width: 100%; } .note { background: #fff6e0; padding: .6rem 1rem; border-radius: .4rem; }
"""
BUDGETS = {
    "budget": "budget",
    "alerts": "alerts",
    "per_key_month": "a key-month",
    "low": "95 %: from",
    "high": "to",
    "incidents": "incidents",
    "entities": "entities",
    "quiet_days": "quiet days",
    "notes_on_health": "notes on health",
}
DETECTORS = {
    "budget": "budget",
    "detector": "detector",
    "family": "family",
    "alerts": "alerts",
    "per_key_month": "a key-month",
    "incidents": "incidents",
    "entities": "entities",
    "cost_usd": "USD, estimated",
}
WORST = {
    "budget": "budget",
    "lane": "lane",
    "entity": "entity",
    "tenant": "tenant",
    "alerts": "alerts",
    "detectors": "detectors",
    "cost_usd": "USD, estimated",
}

LEVELS = {
    "lane": "lane",
    "entity": "entity",
    "tenant": "tenant",
    "since": "since (UTC)",
    "times": "times",
    "before": "tokens an hour before",
    "now": "since then",
    "changes": "changes in all",
}


def page(result: Backtest, names: list[str]) -> str:
    """The whole report.

    Args:
        names: of the files that were judged.
    """
    return "\n".join(_lines(result, names)) + "\n"


def _lines(result: Backtest, names: list[str]) -> Iterator[str]:
    census = result.census
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<title>Tripmeter backtest</title><style>{STYLE}</style></head><body>"
    yield "<h1>What each alert budget would have raised</h1>"
    yield (
        f"<p>{census.events:,} events of {len(census.keys):,} keys over {census.days:.1f} days:"
        f" {census.key_months():.2f} key-months, an estimated ${census.cost_usd:,.2f}."
        f" Judged: {_text(', '.join(names))}.</p>"
    )
    if result.rejected or result.untold:
        yield (
            f'<p class="note">{result.rejected:,} records could not be read (tripmeter replay'
            f" keeps and explains them); {result.untold:,} findings beyond the limit of this"
            " report are not counted.</p>"
        )
    if result.short:
        yield "<h2>What this history is too short for</h2>"
        yield '<ul class="note">' + "".join(f"<li>{_text(one)}</li>" for one in result.short)
        yield "</ul>"
    yield "<h2>By budget</h2>"
    yield (
        "<p>An alert is a finding that would page; of one entity within an hour they are one. All"
        " alerts are counted, right or wrong: nobody has labelled this history. An incident"
        " holds an entity's alerts of one family until six quiet hours.</p>"
    )
    yield table(result.budgets, BUDGETS)
    yield _picture(against_budget(result.budgets), "alerts a key-month against the budget")
    yield "<h2>By day</h2>"
    yield _picture(by_day(result.days), "alerts a day")
    yield "<h2>By detector</h2>"
    yield table(result.detectors, DETECTORS)
    yield _picture(by_detector(result.detectors), "alerts of each detector")
    yield "<h2>Entities with most alerts</h2>"
    yield table(result.worst, WORST)
    yield "<h2>Keys whose level changed</h2>"
    yield (
        "<p>Typical tokens of the hours in which a key is busy came to twice or half of what they"
        " were, and stayed there. Mark those you know the reason of as expected.</p>"
    )
    yield table(result.levels, LEVELS)
    yield "</body></html>"


def table(frame: Any, columns: dict[str, str]) -> str:
    """A pandas table as HTML; every cell is escaped.

    Args:
        columns: column -> heading, in order.
    """
    numbers = {name: frame[name].dtype.kind in "iuf" for name in columns}
    head = "".join(f"<th{_class(numbers[name])}>{_text(columns[name])}</th>" for name in columns)
    body = "".join(
        "<tr>"
        + "".join(f"<td{_class(numbers[name])}>{_cell(row[name])}</td>" for name in columns)
        + "</tr>\n"
        for row in frame.to_dict("records")
    )
    if not body:
        return "<p>None.</p>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"


def _class(number: bool) -> str:
    return ' class="n"' if number else ""


def _cell(value: Any) -> str:
    if isinstance(value, float) and value != value:
        return "unknown"
    if isinstance(value, float):
        return _text(f"{value:,.2f}".rstrip("0").rstrip("."))
    return _text(f"{value:,}" if isinstance(value, int) else value)


def _text(value: Any) -> str:
    """Anything as text of a page: no markup, no control or bidirectional characters."""
    return escape(safe(value), quote=True)


def _picture(svg: bytes, means: str) -> str:
    """An image inside the page, which as an image can run nothing."""
    data = b64encode(svg).decode()
    return f'<p><img alt="{_text(means)}" src="data:image/svg+xml;base64,{data}"></p>'
