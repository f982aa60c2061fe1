"""An incident as a Slack message that can be read in ten seconds.

Pure. It says what happened, to whom, since when, how bad, what it costs, who has taken it and what
to do. Whatever an attacker can choose is neutralised and stands in plain text or in code; every
part has its own limit, so the whole is always below Slack's.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from alerts.evidence import Comparison, decided, details, values
from alerts.incident import RUNNER, Entry, Incident
from alerts.slack_text import (
    MAX_VALUE,
    amount,
    button,
    code,
    context,
    instant,
    lasting,
    link,
    money,
    mrkdwn,
    plain_text,
    prose,
    section,
    until,
    words,
)
from schemas.finding import Finding, Lane, Severity

MAX_TITLE = 150  # Slack's limit for a header
MAX_HEADLINE = 300  # characters as sent, escapes included; likewise below
MAX_SUMMARY = 1200
MAX_STEP = 300
MAX_STEPS = 3  # the runbook has all of them
MAX_FIELDS = 10  # Slack's limit for one section
MAX_LISTED = 3  # different values of one field
MAX_DETAILS = 2
MAX_NOTE = 160
MAX_REASON = 300

GREY = "#718096"  # nothing is left to do
COLORS = {
    Severity.CRITICAL: "#B00020",
    Severity.HIGH: "#E8590C",
    Severity.MEDIUM: "#F2A900",
    Severity.LOW: "#2B6CB0",
    Severity.INFO: GREY,
}
WHO: dict[Lane, str] = {
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
EVENT = "tripmeter_incident"  # type of the metadata by which a message is found again
QUIET = {
    "parse": "none",
    "mrkdwn": False,
    "link_names": False,
    "unfurl_links": False,
    "unfurl_media": False,
}  # Slack makes nothing of the text by itself


@dataclass(frozen=True, slots=True)
class Look:
    """What a message offers beside its text.

    Attributes:
        buttons: whether somebody may press any.
        feed_url: address of the feed, whose page of an incident is `/incidents/ID`.
    """

    buttons: bool = False
    feed_url: str = ""

    def page(self, incident: str) -> str | None:
        """Address of the incident's page."""
        return f"{self.feed_url.rstrip('/')}/incidents/{incident}" if self.feed_url else None


def to_message(incident: Incident, finding: Finding, look: Look | None = None) -> dict[str, Any]:
    """The arguments of `chat.postMessage` and `chat.update`, but for channel and timestamp.

    Args:
        finding: its newest; gives the facts and what to do.
    """
    line = headline(incident)
    color = COLORS[incident.severity] if incident.active else GREY
    title = words(f"{standing(incident)}: {incident.title}", MAX_TITLE)
    return {
        "text": line,
        **QUIET,
        "metadata": {
            "event_type": EVENT,
            "event_payload": {"uid": incident.id, "revision": incident.revision},
        },
        "blocks": [{"type": "header", "block_id": "title", "text": plain_text(title)}],
        "attachments": [
            {"color": color, "fallback": line, "blocks": _blocks(incident, finding, look or Look())}
        ],
    }


def standing(incident: Incident) -> str:
    """How bad it is, or that it is over."""
    match incident.state:
        case "resolved":
            word = "RESOLVED"
        case "false_positive":
            word = "FALSE ALARM"
        case _:
            word = incident.severity.value.upper()
    return word if incident.mode == "active" else f"[monitor] {word}"


def headline(incident: Incident) -> str:
    """One line: how bad, what, whose; what a phone shows."""
    tenant = "" if incident.tenant is None else f" ({incident.tenant})"
    return words(f"{standing(incident)}: {incident.title}{tenant}", MAX_HEADLINE)


def said(incident: Incident) -> str:
    """Who has taken it, or how it ended; one sentence of plain text."""
    return words(_sentence(incident), MAX_REASON)


def _sentence(incident: Incident) -> str:
    last = _decision(incident)
    who = "nobody" if last is None else person(last.by)
    why = f": {last.reason}" if last is not None and last.reason else ""
    end = f" until {until(incident.until)}" if incident.until else ""
    match incident.state:
        case _ if incident.inhibited_by is not None:
            text = f"Part of incident {incident.inhibited_by}; nothing to do here"
        case "acked":
            text = f"{person(incident.owner or who)} has taken it{end}{why}"
        case "snoozed":
            text = f"Snoozed by {who}{end}{why}; it speaks up again when it gets worse"
        case "resolved" | "false_positive":
            word = "Resolved" if incident.state == "resolved" else "Called a false alarm"
            by = "by itself" if last is None or last.by == RUNNER else f"by {who}"
            text = f"{word} {by}, {until(incident.closed or incident.changed)}{why}"
        case _ if incident.owner is not None:
            text = f"Open again; {person(incident.owner)} had taken it"
        case _:
            text = "Nobody has taken it yet"
    return f"{text}."


def person(by: str) -> str:
    """A person's name without the id that Slack gives them.

    >>> person("slack:U012AB3CD (sam)"), person("ana")
    ('sam', 'ana')
    """
    if by.startswith("slack:") and by.endswith(")") and "(" in by:
        return by[by.index("(") + 1 : -1]
    return by


def _decision(incident: Incident) -> Entry | None:
    """What brought it into its state."""
    words = {"acked", "snoozed", "resolved", "false_positive"}
    found = [each for each in incident.history if each.change in words]
    return found[-1] if found else None


def _blocks(incident: Incident, finding: Finding, look: Look) -> list[dict[str, Any]]:
    fields = [mrkdwn(f"*{label}*\n{text}") for label, text in _facts(incident, finding)]
    blocks = [
        section("what", words(incident.summary[:1].upper() + incident.summary[1:], MAX_SUMMARY)),
        {"type": "section", "block_id": "facts", "fields": fields[:MAX_FIELDS]},
    ]
    if incident.active and incident.inhibited_by is None and finding.runbook:
        blocks.append(_todo(finding))
    if incident.state == "open" and incident.inhibited_by is None:
        blocks.append(section("state", said(incident)))
    else:  # who has it, or how it ended, comes first
        text = mrkdwn(f"*{prose(_sentence(incident), MAX_REASON)}*")
        blocks.insert(0, {"type": "section", "block_id": "state", "text": text})
    if pressed := _buttons(incident, look):
        blocks.append({"type": "actions", "block_id": "do", "elements": pressed})
    blocks.append(context("notes", *(words(note, MAX_NOTE) for note in _notes(incident))))
    return blocks


def _todo(finding: Finding) -> dict[str, Any]:
    steps = [
        f"{number}. {prose(step, MAX_STEP)}"
        for number, step in enumerate(finding.runbook[:MAX_STEPS], 1)
    ]
    text = "\n".join(("*What to do*", *steps))
    return {"type": "section", "block_id": "todo", "text": mrkdwn(text)}


def _buttons(incident: Incident, look: Look) -> list[dict[str, Any]]:
    pressed = []
    if look.buttons and not incident.active:
        pressed = [button("tm_reopen", "Reopen", incident.id)]
    elif look.buttons:
        first = button("tm_ack", "Acknowledge", incident.id, style="primary")
        if incident.state == "acked":
            first = button("tm_resolve", "Resolve", incident.id, style="primary")
        pressed = [
            first,
            button("tm_snooze", "Snooze", incident.id),
            button("tm_expected", "Expected", incident.id),
            button("tm_false", "False positive", incident.id),
        ]
    if look.buttons:
        pressed.append(button("tm_runbook", "Runbook", incident.id))
    if page := look.page(incident.id):
        pressed.append(link("tm_open", "Open", page))
    return pressed


def _facts(incident: Incident, finding: Finding) -> list[tuple[str, str]]:
    facts = []
    if incident.tenant is not None:
        facts.append(("Tenant", code(incident.tenant)))
    facts.append((WHO[incident.entity.lane], code(incident.entity.id)))
    facts.append(("Since", f"{instant(incident.since)}{_lasted(incident)}"))
    if incident.cost_usd is not None:
        label = "Estimated cost so far" if incident.active else "Estimated cost"
        facts.append((label, money(incident.cost_usd)))
    if incident.count > 1:
        facts.append(("Findings", f"{incident.count:,}"))
    if finding.title == incident.title:  # else its figures would explain another title
        facts += [("Seen", code(compared(each))) for each in decided(finding)[:1]]
        found = details(finding)[:MAX_DETAILS]
        facts += [(label.capitalize(), code(text)) for label, text in found]
    for name, label in _LISTED:
        found_values = values(finding, name)
        if found_values and found_values != [incident.entity.id]:
            facts.append((label, _listed(found_values)))
    return facts


def compared(each: Comparison) -> str:
    """What was seen against what is usual, in words."""
    if each.feature == "cost_usd":
        return f"{money(each.seen)}, usually {money(each.usual)}"
    return f"{amount(each.seen)} {each.feature}, usually {amount(each.usual)}"


def _listed(found: list[str]) -> str:
    shown = [code(value, MAX_VALUE // 2) for value in found[:MAX_LISTED]]
    more = f" and {len(found) - MAX_LISTED} more" if len(found) > MAX_LISTED else ""
    return " ".join(shown) + more


def _notes(incident: Incident) -> list[str]:
    notes = [f"{', '.join(incident.detectors[:3])} · {incident.id} revision {incident.revision}"]
    if incident.previous is not None:
        notes.append(f"it happened before: {incident.previous}")
    return notes


def _lasted(incident: Incident) -> str:
    lasted = incident.last - incident.since
    return f", for {lasting(lasted)}" if lasted >= timedelta(seconds=1) else ""
