"""An incident as a story: what happened in order, what is odd about it, what to do."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

from alerts.evidence import Comparison, comparisons, details, events, values
from alerts.feed.queries import Told
from alerts.feed.render import FAMILIES, LANES, amount, money, utc
from alerts.feed.usage import feature_name
from alerts.incident import Incident
from alerts.text import plain
from schemas.finding import Finding

MAX_EVENTS = 60  # shown of all findings together
MAX_STEPS = 12
MAX_BARS = 8
MAX_MET = 20
_MET = {
    "client_address": "Addresses",
    "user_agent": "Clients",
    "request_model": "Models",
    "tool_name": "Tools",
    "conversation_id": "Conversations",
}
_DETECTOR = re.compile("[a-z0-9-]{1,64}")
_COLUMNS = {
    "time": "time", "client_address": "address", "request_model": "model", "tool_name": "tool",
    "resource_id": "resource", "tenant_id": "tenant", "input_tokens": "in", "output_tokens": "out",
    "cost_usd": "$", "http_status": "status", "error_type": "error", "user_agent": "client",
    "event_name": "kind", "conversation_id": "conversation", "id": "id",
}  # fmt: skip
_DULL = ("event_name", "tenant_id")  # left out where all events have the same


@dataclass(frozen=True, slots=True)
class Step:
    """One moment of the story; `times` counts findings of its detector in a row."""

    time: datetime
    finding: Finding
    times: int
    last: datetime


@dataclass(frozen=True, slots=True)
class Bar:
    """One feature beside its habit. `share` places a value between 0 and 100 of the widest."""

    name: str
    seen: str
    usual: str
    limit: str
    factor: str
    seen_share: float
    usual_share: float
    limit_share: float | None


@dataclass(frozen=True, slots=True)
class Story:
    """Everything the page of an incident tells."""

    lead: Finding | None
    steps: list[Step]
    bars: list[Bar]
    details: list[tuple[str, str]]
    columns: list[tuple[str, str]]
    events: list[dict[str, Any]]
    met: dict[str, list[str]]
    runbook: tuple[str, ...]


def tell(told: Sequence[Told]) -> Story:
    """The story of findings, which are in the order they were first told."""
    findings = [each.finding for each in told]
    worst = max(told, key=_weight, default=None)
    lead = worst.finding if worst else None
    copies: dict[str, dict[str, Any]] = {}
    for finding in findings:
        for event in events(finding):
            copies.setdefault(str(event.get("id", len(copies))), event)
    shown = sorted(copies.values(), key=lambda e: str(e.get("time", "")))[:MAX_EVENTS]
    named = [(key, name) for key, name in _COLUMNS.items() if _telling(key, shown)]

    return Story(
        lead=lead,
        steps=_steps(told),
        bars=_bars(_richest(findings, lead)),
        details=details(lead)[:12] if lead else [],
        columns=named,
        events=shown,
        met=met(findings),
        runbook=lead.runbook[:MAX_STEPS] if lead else (),
    )


def _telling(key: str, shown: Sequence[dict[str, Any]]) -> bool:
    """Whether a column of events is worth its place."""
    told = {str(each[key]) for each in shown if each.get(key) not in (None, "")}
    return len(told) > (key in _DULL)


def met(findings: Sequence[Finding]) -> dict[str, list[str]]:
    """What the events behind findings name, by kind."""
    return {
        word: found
        for field, word in _MET.items()
        if (found := list(dict.fromkeys(v for f in findings for v in values(f, field)))[:MAX_MET])
    }


def _weight(told: Told) -> tuple[int, bool, float]:
    """Of several the most severe leads, then the first."""
    return told.finding.severity.rank, told.finding.mode == "active", -told.first.timestamp()


def _steps(told: Sequence[Told]) -> list[Step]:
    steps: list[Step] = []
    for each in told:
        if steps and steps[-1].finding.detector == each.finding.detector:
            steps[-1] = replace(steps[-1], times=steps[-1].times + 1, last=each.first)
        else:
            steps.append(Step(each.first, each.finding, 1, each.first))
    return steps


def _richest(findings: Sequence[Finding], lead: Finding | None) -> list[Comparison]:
    """The comparison that strays the most, of all findings that have one."""

    def strays(compared: list[Comparison]) -> float:
        return max((each.seen / max(each.usual, 1e-9) for each in compared), default=0.0)

    found = [c for c in map(comparisons, findings) if c]
    return max(found, key=strays, default=[])


def _bars(compared: Sequence[Comparison]) -> list[Bar]:
    bars = []
    for each in compared[:MAX_BARS]:
        widest = max(each.seen, each.usual, each.limit or 0.0, 1e-12)
        form = money if each.feature == "cost_usd" else amount
        ratio = each.seen / each.usual if each.usual > 0 else 0.0
        bars.append(
            Bar(
                "cost" if each.feature == "cost_usd" else feature_name(each.feature),
                form(each.seen),
                form(each.usual),
                form(each.limit) if each.limit is not None else "",
                f"{ratio:,.0f}×" if ratio >= 10 else f"{ratio:.1f}×" if ratio else "",
                round(100 * max(0.0, each.seen) / widest, 1),
                round(100 * max(0.0, each.usual) / widest, 1),
                round(100 * each.limit / widest, 1) if each.limit else None,
            )
        )
    return bars


def runbook_page(folder: Path | None, detector: str) -> Markup | None:
    """The page of a detector's runbook as HTML; raw HTML in it is not believed."""
    if folder is None or not _DETECTOR.fullmatch(detector):
        return None
    try:
        text = (folder / f"{detector}.md").read_text()
    except OSError:
        return None
    body = text.partition("\n")[2] if text.startswith("# ") else text
    return Markup(MarkdownIt("commonmark", {"html": False}).render(body))  # noqa: S704


def ticket(incident: Incident, story: Story, link: str) -> str:
    """The incident as plain text, to be pasted into a ticket."""
    who = f"{LANES[incident.entity.lane]} {plain(incident.entity.id, 200)}"
    lines = [
        f"[{incident.severity.value.upper()}] {plain(incident.title, 200)}",
        "",
        plain(incident.summary, 1000),
        "",
        f"Family:    {FAMILIES[incident.family]}",
        f"Entity:    {who}",
        f"Tenant:    {plain(incident.tenant or 'none', 200)}",
        f"Since:     {utc(incident.since)}",
        f"Newest:    {utc(incident.last)}",
        f"Findings:  {incident.count} ({', '.join(incident.detectors)})",
        f"Cost:      {money(incident.cost_usd) or 'unknown'} (estimated)",
        f"State:     {incident.state}, owner {plain(incident.owner or 'nobody', 128)}",
        f"Link:      {link}",
    ]
    lines += [
        f"{name + ':':<10} {', '.join(plain(each, 120) for each in found[:8])}"
        for name, found in story.met.items()
    ]
    if story.bars:
        lines += ["", "Seen, and usual for it:"]
        lines += [
            f"  {b.name}: {b.seen}, usually {b.usual} {b.factor}".rstrip() for b in story.bars
        ]
    lines += ["", "What happened (event time):"]
    for step in story.steps[:30]:
        more = f" (and {step.times - 1} more)" if step.times > 1 else ""
        told = plain(step.finding.summary, 300)
        lines.append(f"  {utc(step.time)}  {step.finding.detector}: {told}{more}")
    if story.runbook:
        lines += ["", "What to do:"]
        lines += [f"  {n}. {plain(step, 300)}" for n, step in enumerate(story.runbook, 1)]
    return "\n".join([*lines, "", f"Incident {incident.id}, revision {incident.revision}"])
