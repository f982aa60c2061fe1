"""An incident as one Slack message: its newest finding, what became of it and who has taken it."""

from typing import Any

from alerts import slack_message
from alerts.incident import RUNNER, Incident
from alerts.slack_message import MAX_HEADLINE, words
from schemas.finding import Finding

GREY = "#718096"  # nothing is left to do
MAX_STATE = 600  # characters of what became of it, escapes included
_DECIDED = {"acked", "snoozed", "resolved", "false_positive"}


def to_message(incident: Incident, finding: Finding) -> dict[str, Any]:
    """The arguments of `chat.postMessage` and `chat.update`, but for channel and timestamp.

    Args:
        finding: its newest; gives the facts and what to do.
    """
    line = headline(incident)
    message = slack_message.to_message(finding)
    attachment = message["attachments"][0]
    what, *rest = attachment["blocks"]
    text = {"type": "plain_text", "text": words(said(incident), MAX_STATE), "emoji": False}
    state = {"type": "section", "block_id": "state", "text": text}
    attachment = {**attachment, "fallback": line, "blocks": [what, state, *rest]}
    if not incident.active:
        attachment["color"] = GREY
    payload = {"uid": incident.id, "revision": incident.revision}
    metadata = {**message["metadata"], "event_payload": payload}
    return {**message, "text": line, "metadata": metadata, "attachments": [attachment]}


def headline(incident: Incident) -> str:
    """One line: how bad or how it ended, what, whose."""
    ended = {"resolved": "RESOLVED", "false_positive": "FALSE ALARM"}.get(incident.state)
    trial = "" if incident.mode == "active" else "[monitor] "
    tenant = "" if incident.tenant is None else f" ({incident.tenant})"
    standing = ended or incident.severity.value.upper()
    return words(f"{trial}{standing}: {incident.title}{tenant}", MAX_HEADLINE)


def said(incident: Incident) -> str:
    """What became of it, in a sentence or two; what people wrote is still to be escaped."""
    decided = [entry for entry in incident.history if entry.change in _DECIDED]
    last = decided[-1] if decided else None
    who = "nobody" if last is None else last.by
    why = f" ({last.reason})" if last is not None and last.reason else ""
    end = f" until {incident.until:%Y-%m-%d %H:%M} UTC" if incident.until else ""
    match incident.state:
        case _ if incident.inhibited_by is not None:
            text = f"Part of incident {incident.inhibited_by}."
        case "acked":
            text = f"{incident.owner or who} has taken it{end}{why}."
        case "snoozed":
            text = f"Snoozed by {who}{end}{why}; it speaks up again when it gets worse."
        case "resolved":
            by = "by itself" if last is None or last.by == RUNNER else f"by {who}"
            text = f"Resolved {by}{why}."
        case "false_positive":
            text = f"Called a false alarm by {who}{why}."
        case _:
            text = "Nobody has taken it yet."
    more = f" {incident.count:,} findings so far." if incident.count > 1 else ""
    before = f" It happened before, as {incident.previous}." if incident.previous else ""
    return text + more + before
