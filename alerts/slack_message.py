"""A finding as a Slack message that can be read in ten seconds.

Pure. It says what happened, to whom, since when, how bad, what it costs and what to do. Whatever
an attacker can choose is neutralised and stands in plain text or in code, where nothing is a
mention, a link or markup; every part has its own limit, so the whole is always below Slack's.
"""

from datetime import datetime, timedelta
from typing import Any

from alerts.evidence import Comparison, decided, details, values
from alerts.text import plain
from schemas.finding import Finding, Lane, Severity

MAX_HEADLINE = 300  # characters as sent, escapes included; likewise below
MAX_SUMMARY = 1200
MAX_VALUE = 160
MAX_STEP = 400
MAX_STEPS = 5
MAX_FIELDS = 10  # Slack's limit for one section
MAX_LISTED = 3  # different values of one field
MAX_DETAILS = 3
MAX_NOTE = 160

COLORS = {
    Severity.CRITICAL: "#B00020",
    Severity.HIGH: "#E8590C",
    Severity.MEDIUM: "#F2A900",
    Severity.LOW: "#2B6CB0",
    Severity.INFO: "#718096",
}
_WHO: dict[Lane, str] = {
    "credential": "Key",
    "session": "Session",
    "resource": "Resource",
    "service": "Service",
    "origin": "Address",
}
_LISTED = (
    ("client_address", "From"),
    ("request_model", "Model"),
    ("tool_name", "Tool"),
    ("resource_id", "Resource"),
)
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "`": "ˋ"}


def to_message(finding: Finding) -> dict[str, Any]:
    """The arguments of `chat.postMessage` and `chat.update`, but for channel and timestamp."""
    line = headline(finding)
    return {
        "text": line,
        "parse": "none",
        "mrkdwn": False,
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "metadata": {
            "event_type": "tripmeter_finding",
            "event_payload": {"uid": finding.id, "revision": finding.revision},
        },
        "attachments": [
            {"color": COLORS[finding.severity], "fallback": line, "blocks": _blocks(finding)}
        ],
    }


def headline(finding: Finding) -> str:
    """One line: how bad, what, whose."""
    tenant = "" if finding.tenant is None else f" ({finding.tenant})"
    trial = "" if finding.mode == "active" else "[monitor] "
    line = f"{trial}{finding.severity.value.upper()}: {finding.title}{tenant}"
    return words(line, MAX_HEADLINE)


def escape(text: str, limit: int) -> str:
    """Plain text for Slack: at most `limit` characters with its escapes, none of them torn.

    >>> escape("<!channel> & co", 40)
    '&lt;!channel&gt; &amp; co'
    """
    parts: list[str] = []
    room = limit
    for character in plain(text, limit):
        part = _ESCAPES.get(character, character)
        if len(part) > room - 1:  # one is kept for the mark of the cut
            parts.append("…")
            break
        parts.append(part)
        room -= len(part)
    return "".join(parts)


def words(text: str, limit: int) -> str:
    """Plain text in which no address is a link.

    >>> words("see https://evil.example", 40)
    'see https[:]//evil.example'
    """
    return escape(text.replace("://", "[:]//"), limit)


def code(text: str, limit: int = MAX_VALUE) -> str:
    """Text as code: nothing in it can end the code or begin markup."""
    return f"`{escape(text.strip() or '-', limit)}`"


def _blocks(finding: Finding) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = [
        {
            "type": "section",
            "block_id": "what",
            "text": _plain(words(finding.summary, MAX_SUMMARY)),
        },
        {"type": "section", "block_id": "facts", "fields": _fields(finding)},
    ]
    if finding.runbook:
        steps = [
            f"{number}. {words(step, MAX_STEP)}"
            for number, step in enumerate(finding.runbook[:MAX_STEPS], 1)
        ]
        text = "\n".join(("What to do", *steps))
        blocks.append({"type": "section", "block_id": "todo", "text": _plain(text)})
    notes = [{"type": "plain_text", "text": note, "emoji": False} for note in _notes(finding)]
    blocks.append({"type": "context", "block_id": "notes", "elements": notes})
    return blocks


def _fields(finding: Finding) -> list[dict[str, Any]]:
    facts = [("Severity", finding.severity.value.capitalize())]
    facts.append((_WHO[finding.entity.lane], code(finding.entity.id)))
    if finding.tenant is not None:
        facts.append(("Tenant", code(finding.tenant)))
    facts.append(("Since", f"{_instant(finding.since)}{_lasted(finding)}"))
    if finding.cost_usd is not None:
        facts.append(("Estimated cost so far", f"${_money(finding.cost_usd)}"))
    facts += [("Seen", code(_compared(each))) for each in decided(finding)[:1]]
    facts += [(label.capitalize(), code(text)) for label, text in details(finding)[:MAX_DETAILS]]
    for name, label in _LISTED:
        found = values(finding, name)
        if found and found != [finding.entity.id]:
            facts.append((label, _listed(found)))
    return [_markdown(f"*{label}*\n{text}") for label, text in facts[:MAX_FIELDS]]


def _listed(found: list[str]) -> str:
    shown = [code(value, MAX_VALUE // 2) for value in found[:MAX_LISTED]]
    more = f" and {len(found) - MAX_LISTED} more" if len(found) > MAX_LISTED else ""
    return " ".join(shown) + more


def _notes(finding: Finding) -> list[str]:
    state = "" if finding.final else ", still going on"
    notes = [f"{finding.detector} · {finding.id} revision {finding.revision}{state}"]
    if finding.probability is not None:
        notes.append(f"chance of this under its own habit: {finding.probability:.2g} a month")
    if techniques := ", ".join(f"{each.framework} {each.id}" for each in finding.techniques):
        notes.append(techniques)
    return [words(note, MAX_NOTE) for note in notes]


def _compared(each: Comparison) -> str:
    if each.feature == "cost_usd":
        return f"${_money(each.seen)}, usually ${_money(each.usual)}"
    return f"{_amount(each.seen)} {each.feature}, usually {_amount(each.usual)}"


def _money(dollars: float) -> str:
    return f"{dollars:,.2f}" if abs(dollars) < 1e12 else f"{dollars:.3g}"


def _amount(value: float) -> str:
    return f"{value:,.0f}" if 100 <= abs(value) < 1e15 else f"{value:.3g}"


def _instant(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _lasted(finding: Finding) -> str:
    lasted = finding.time - finding.since
    if lasted < timedelta(seconds=1):
        return ""
    seconds = round(lasted.total_seconds())
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f", for {seconds // size} {unit}"
    return f", for {seconds} s"


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _markdown(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}
