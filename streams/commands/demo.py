"""`tripmeter demo`: two generated weeks with attacks, and an honest account of what was found."""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from streams.commands.shared import add_json, safe

BAR = 24
MAX_NOTES = 5  # on health that are listed
STORY = "stolen-key-burst"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--seed`, `--json`, `--data` and `--no-feed`."""
    parser.add_argument("--seed", type=int, default=0, help="another seed, another two weeks")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="where the feed finds it (default: your cache)"
    )
    parser.add_argument("--no-feed", action="store_true", help="only the report")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints findings as JSON lines and a summary, or tables for people and the feed. Always 0."""
    from schemas.samples import two_weeks
    from streams.demo import watch
    from streams.demo_folder import DemoFolder
    from streams.pipeline import Pipeline

    begun = time.monotonic()
    world = two_weeks(arguments.seed)
    folder = None if arguments.json or arguments.no_feed else DemoFolder(arguments.data)
    keep = folder.keep if folder else _forget
    result = watch(world, Pipeline(), _progress(begun), keep)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if arguments.json:
        for finding in result.findings:
            sys.stdout.write(finding.to_json().decode() + "\n")
        print(json.dumps(result.as_json()))
        return 0
    show = _printer()
    for line, style in report(result, time.monotonic() - begun):
        show(line, style)
    return folder.show() if folder else 0


def _forget(output: Any, end_s: float) -> None:
    """For a report without a feed."""


Styled = tuple[str, str]  # a line, and how it looks on a terminal


def report(result: Any, seconds: float) -> Iterable[Styled]:
    """The account of a `streams.demo.Result`, line by line."""
    yield (
        f"{result.days} days, {result.tenants} tenants, {result.clients} keys, "
        f"{result.events:,} events, made and judged in {seconds:.0f} s (seed {result.seed})",
        "bold",
    )
    yield from _attacks(result)
    yield from _lookalikes(result)
    yield from _false(result)
    yield from _story(result)


def _attacks(result: Any) -> Iterable[Styled]:
    found = [caught for caught in result.caught if caught.by]
    yield "", ""
    yield f"Attacks: {len(found)} of {len(result.caught)} found", "bold"
    rows = [("what was injected", "into", "start", "found by", "after", "events", "cost by then")]
    for caught in result.caught:
        staged = caught.staged
        entity = staged.entities[0]
        row = (staged.kind, f"{entity.lane} {_short(entity.id)}", f"{staged.start:%d %b %H:%M}")
        if caught.by is None:
            rows.append((*row, "MISSED", "", f"0 of {len(staged.lines)}", _money(caught)))
            continue
        events = f"{caught.events} of {len(staged.lines)}"
        others = f" +{len(caught.detectors) - 1}" if len(caught.detectors) > 1 else ""
        rows.append(
            (*row, caught.by.detector + others, _duration(caught.after), events, _money(caught))
        )
    styles = ["bold", *("green" if caught.by else "bold red" for caught in result.caught)]
    yield from zip(_aligned(rows), styles, strict=True)


def _lookalikes(result: Any) -> Iterable[Styled]:
    quiet = [staged for staged, raised in result.disturbed if not raised]
    yield "", ""
    yield f"Look-alikes: {len(quiet)} of {len(result.disturbed)} stayed quiet", "bold"
    for staged, raised in result.disturbed:
        if not raised:
            yield f"  quiet   {staged.kind}", "green"
        for finding in raised:
            yield f"  RAISED  {staged.kind}: {finding.detector}: {safe(finding.summary)}", "red"


def _false(result: Any) -> Iterable[Styled]:
    rate = result.false_per_key_month
    yield "", ""
    yield (
        f"False alarms about anything else: {len(result.false)}; with the look-alikes "
        f"{result.falsely_raised}, {rate:.2f} per key-month",
        "bold",
    )
    for finding in result.false:
        where = f"{finding.entity.lane} {_short(finding.entity.id)}"
        summary = safe(finding.summary)
        yield f"  {finding.time:%d %b %H:%M}  {finding.detector}  {where}  {summary}", "yellow"
    told = list(dict.fromkeys((one.detector, _short(one.entity.id)) for one in result.health))
    if told:
        yield "Notes on health, which wake nobody:", ""
    for detector, entity in told[:MAX_NOTES]:
        yield f"  {detector}  {entity}", ""
    if len(told) > MAX_NOTES:
        yield f"  and {len(told) - MAX_NOTES} more", ""


def _story(result: Any) -> Iterable[Styled]:
    for caught in result.caught:
        if caught.staged.kind != STORY or caught.by is None:
            continue
        finding = caught.by
        yield "", ""
        yield f"The stolen key {finding.entity.id} of {safe(finding.tenant)}", "bold"
        yield from ((line, "") for line in _wrapped(_paragraph(caught)))
        yield from ((f"  - {step}", "") for step in finding.runbook)


def _paragraph(caught: Any) -> str:
    """Seen, usual, since when, at what cost: from the finding's own evidence."""
    finding = caught.by
    parts = [f"{finding.severity.value.capitalize()}: {safe(finding.summary)}."]
    usual = finding.evidence.get("usual")
    totals = finding.evidence.get("totals")
    if isinstance(usual, dict) and isinstance(totals, dict):
        compared = [
            f"{_amount(name, totals[name])} where {_amount(name, habit['typical'])} is usual"
            for name, habit in usual.items()
            if name in totals and isinstance(habit, dict)
        ]
        if compared:
            parts.append(f"In this window so far: {'; '.join(compared)}.")
    if finding.probability is not None:
        parts.append(f"Chance of this under the key's own habit: {finding.probability:.2g}.")
    parts.append(
        f"Since {finding.since:%d %b %H:%M:%S} UTC, decided {finding.time:%H:%M:%S}, after "
        f"{caught.events} of the thief's {len(caught.staged.lines):,} calls and "
        f"${caught.spent_usd:,.2f}; nobody stopped this one, and it cost ${caught.total_usd:,.2f}."
    )
    for later in caught.findings[1:]:
        if later.detector != finding.detector:
            parts.append(f"Then {later.detector}, {later.time:%H:%M:%S}: {safe(later.summary)}.")
            break
    parts.append("What to do:")
    return " ".join(parts)


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text.replace("..", "."), 98, initial_indent="  ", subsequent_indent="  ")


def _amount(feature: str, total: float) -> str:
    return f"${total / 1e9:,.2f}" if feature == "nanousd" else f"{total:,.0f} {feature}"


def _money(caught: Any) -> str:
    if caught.total_usd < 0.01:
        return ""
    return f"${caught.spent_usd:,.2f} of ${caught.total_usd:,.2f}"


def _duration(after: timedelta | None) -> str:
    seconds = after.total_seconds() if after is not None else 0.0
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _short(identifier: str) -> str:
    return identifier if len(identifier) <= 13 else identifier[:13] + "…"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        ("  " + "  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]


def _printer() -> Any:
    """Colours on a terminal; elsewhere plain lines, without loading anything for it."""
    if not sys.stdout.isatty():
        return lambda line, style: print(line)
    from rich.console import Console

    console = Console(soft_wrap=True)
    return lambda line, style: console.print(line, style=style or None, markup=False)


def _progress(begun: float) -> Any:
    """A bar on a terminal, one line a day elsewhere."""

    def show(day: int, days: int, events: int) -> None:
        rate = events / max(time.monotonic() - begun, 1e-9)
        text = f"day {day} of {days}: {events:,} events, {rate:,.0f}/s"
        if sys.stderr.isatty():
            full = BAR * day // days
            print(f"\r[{'#' * full}{'.' * (BAR - full)}] {text} ", end="", file=sys.stderr)
        else:
            print(text, file=sys.stderr)
        sys.stderr.flush()

    return show
