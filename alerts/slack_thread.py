"""The thread under an incident's message: the evidence, later findings, the end. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alerts.evidence import comparisons, events
from alerts.incident import LOUD, RUNNER, Entry, Incident
from alerts.slack_message import MAX_REASON, QUIET, person
from alerts.slack_text import (
    amount,
    context,
    escape,
    instant,
    lasting,
    money,
    mrkdwn,
    prose,
    section,
    until,
    words,
)
from alerts.slack_told import Told
from schemas.finding import Finding

MAX_EVENTS = 5  # events behind a finding, shown
MAX_IDS = 10  # their ids
MAX_CELL = 40
MAX_TABLE = 2800  # characters of a table; Slack takes 3000
MAX_ASIDE = 200
MAX_STEPS = 8
MAX_STEP = 300
GATHER_S = 60.0  # later findings are told at most so often; the end tells the rest
EVENT = "tripmeter_reply"
CHART = "chart"
_COLUMNS = ("time", "request_model", "tool_name", "client_address", "user_agent", "status")
_NEWS = {
    "reopened": "It happens again",
    "worse": "It is worse",
    "woke": "It still goes on",
    "released": "It stands alone now",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of the thread.

    Attributes:
        part: names it; a part is told once.
        message: arguments of `chat.postMessage`; None for the chart, drawn when it is sent.
        findings: how many findings the thread tells of with it.
    """

    part: str
    message: dict[str, Any] | None
    findings: int


def next_reply(
    incident: Incident, finding: Finding, told: Told, now: float, *, chart: bool
) -> Reply | None:
    """What the thread lacks first; None when it has everything there is to tell now.

    Args:
        finding: its newest.
        told: what the thread has.
        now: epoch seconds.
        chart: whether a chart can be drawn and uploaded.
    """
    known = told.findings
    for entry in incident.history:
        if (part := part_of(entry)) and not told.has(part):
            return Reply(part, _news(incident, entry), known)
    if not told.has("evidence"):
        return Reply("evidence", evidence(finding, incident), incident.count)
    if chart and not told.has(CHART) and comparisons(finding):
        return Reply(CHART, None, known)
    new = incident.count - known
    if new > 0 and (now - told.replied >= GATHER_S or not incident.active):
        part = f"later@{incident.count}"
        return Reply(part, _later(finding, incident, new), incident.count)
    if not incident.active and incident.closed is not None:
        part = f"end@{incident.closed.timestamp():.3f}"
        if not told.has(part):
            return Reply(part, _end(incident), known)
    return None


def part_of(entry: Entry) -> str:
    """The reply that tells of an entry of the history; empty when none does."""
    news = entry.change in LOUD and entry.change != "opened"
    return f"{entry.change}@{entry.at.timestamp():.3f}" if news else ""


def news(incident: Incident, until: float | None = None) -> tuple[str, ...]:
    """The replies that a message which is posted only now (or was, then) makes superfluous."""
    entries = [e for e in incident.history if until is None or e.at.timestamp() <= until]
    return tuple(part for entry in entries if (part := part_of(entry)))


def evidence(finding: Finding, incident: Incident) -> dict[str, Any]:
    """What was seen beside what is usual, the events behind it, and all there is to do."""
    blocks = [section("what", "Evidence: " + words(finding.summary, 600))]
    rows = [("feature", "seen", "usual", "limit")]
    for each in comparisons(finding):
        show = money if each.feature == "cost_usd" else amount
        limit = "-" if each.limit is None else show(each.limit)
        rows.append((each.feature, show(each.seen), show(each.usual), limit))
    if len(rows) > 1:
        blocks.append(_table("habit", rows))
    copies = events(finding)[:MAX_EVENTS]
    names = [name for name in _COLUMNS if any(copy.get(name) is not None for copy in copies)]
    if names:
        table = [[str(copy.get(name, "-")) for name in names] for copy in copies]
        blocks.append(_table("events", [[name.replace("_", " ") for name in names], *table]))
    if finding.runbook:
        steps = [
            f"{number}. {prose(step, MAX_STEP)}"
            for number, step in enumerate(finding.runbook[:MAX_STEPS], 1)
        ]
        text = "\n".join(("*What to do*", *steps))
        blocks.append({"type": "section", "block_id": "todo", "text": mrkdwn(text)})
    cost = "" if incident.cost_usd is None else f"; {money(incident.cost_usd)} so far (estimated)"
    notes = [f"since {instant(incident.since)}{cost}"]
    if finding.probability is not None:
        notes.append(f"chance of this under its own habit: {finding.probability:.2g} a month")
    if finding.event_ids:
        notes.append(f"events: {', '.join(finding.event_ids[:MAX_IDS])}")
    if techniques := ", ".join(f"{each.framework} {each.id}" for each in finding.techniques[:4]):
        notes.append(techniques)
    notes.append(f"decided {instant(finding.time)} by {finding.detector}; finding {finding.id}")
    blocks.append(context("notes", *(words(note, MAX_ASIDE) for note in notes)))
    return _reply(incident, "evidence", "Evidence", blocks)


def _later(finding: Finding, incident: Incident, new: int) -> dict[str, Any]:
    title = f"{new} more findings, the newest:" if new > 1 else "One more finding:"
    line = f"{finding.severity.value}, {finding.title}: {finding.summary}"
    blocks = [
        section("what", f"{title} {words(line, 600)}"),
        context("notes", words(f"{instant(finding.time)} · {finding.detector}", MAX_ASIDE)),
    ]
    return _reply(incident, f"later@{incident.count}", title, blocks)


def _news(incident: Incident, entry: Entry) -> dict[str, Any]:
    reason = words(entry.reason, MAX_REASON)
    word = _NEWS[entry.change]
    text = f"{word} ({incident.severity.value}): {words(incident.summary, 600)}"
    line = words(f"{word}: {incident.title}", 300)
    note = f"{until(entry.at)}: {reason}" if reason else until(entry.at)
    blocks = [section("what", text), context("notes", note)]
    # an edit notifies nobody
    return _reply(incident, part_of(entry), line, blocks) | {"reply_broadcast": True}


def _end(incident: Incident) -> dict[str, Any]:
    entry = incident.history[-1]
    by = "by itself" if entry.by == RUNNER else f"by {words(person(entry.by), 80)}"
    word = "Resolved" if incident.state == "resolved" else "A false alarm"
    why = f": {words(entry.reason, MAX_REASON)}" if entry.reason else ""
    closed: datetime = incident.closed or incident.changed
    cost = f", an estimated {money(incident.cost_usd)}" if incident.cost_usd is not None else ""
    several = "findings" if incident.count > 1 else "finding"
    text = (
        f"{word} {by}, {until(closed)}{why}. It went on for"
        f" {lasting(incident.last - incident.since)}: {incident.count:,} {several}{cost}."
    )
    return _reply(incident, f"end@{closed.timestamp():.3f}", word, [section("what", text)])


def _reply(
    incident: Incident, part: str, text: str, blocks: list[dict[str, Any]]
) -> dict[str, Any]:
    payload = {"uid": incident.id, "part": part, "revision": incident.revision}
    return {
        "text": text,
        **QUIET,
        "metadata": {"event_type": EVENT, "event_payload": payload},
        "blocks": blocks,
    }


def _table(block_id: str, rows: Sequence[Sequence[str]]) -> dict[str, Any]:
    cells = [[escape(cell, MAX_CELL) for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in cells) for at in range(len(cells[0]))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in cells]
    text = ""
    for line in lines:
        if len(text) + len(line) > MAX_TABLE:
            break
        text += line.rstrip() + "\n"
    return {"type": "section", "block_id": block_id, "text": mrkdwn(f"```\n{text}```")}
