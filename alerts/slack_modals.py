"""The forms behind buttons: what it would do, for how long, and why. Pure."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from alerts.incident import MAX_TOLD, Incident
from alerts.silences import Preview
from alerts.slack_message import headline
from alerts.slack_press import FORM, Verb
from alerts.slack_text import code, context, mrkdwn, plain_text, prose, section, words
from schemas.finding import Finding

MAX_PREVIEWS = 10  # detectors whose silence is previewed
MAX_EXAMPLES = 5
MAX_STEPS = 20
MAX_STEP = 400
TITLES: dict[Verb, str] = {
    "snooze": "Snooze",
    "expected": "This is expected",
    "false_positive": "False positive",
    "runbook": "Runbook",
}
SPANS: dict[Verb, dict[str, timedelta]] = {
    "snooze": {
        "1 hour": timedelta(hours=1),
        "4 hours": timedelta(hours=4),
        "24 hours": timedelta(hours=24),
        "7 days": timedelta(days=7),
    },
    "expected": {
        "1 day": timedelta(days=1),
        "7 days": timedelta(days=7),
        "30 days": timedelta(days=30),
        "90 days": timedelta(days=90),
    },
}
USUAL = {"snooze": "4 hours", "expected": "30 days"}
_TOLD: dict[Verb, str] = {
    "snooze": "It is put off and stays quiet unless it gets worse. Findings still come in.",
    "expected": "It is closed, and what the same detectors find on the same entity is hidden until"
    " the end you choose. A replay of the journal hides it, too.",
    "false_positive": "It was nothing. Later findings open another incident that names this one. To"
    " hide the like, choose Expected.",
}


def form(
    verb: Verb,
    incident: Incident,
    channel: str,
    previews: Sequence[tuple[str, Preview]] = (),
) -> dict[str, Any]:
    """The modal of a deed that needs more than a press.

    Args:
        previews: what `expected` would have hidden, by detector.
    """
    blocks = [section("what", headline(incident)), section("told", _TOLD[verb])]
    if previews:
        blocks += _hidden(previews)
    if verb in SPANS:
        blocks.append(_span(verb))
    blocks.append(_reason(optional=verb != "expected"))
    about = {"verb": verb, "incident": incident.id, "channel": channel}
    return {
        "type": "modal",
        "callback_id": FORM,
        "private_metadata": json.dumps(about),
        "title": plain_text(TITLES[verb]),
        "submit": plain_text("Do it"),
        "close": plain_text("Cancel"),
        "blocks": blocks,
    }


def runbook(incident: Incident, finding: Finding, page: str | None) -> dict[str, Any]:
    """The modal with all that is to be done."""
    steps = [
        f"{number}. {prose(step, MAX_STEP)}"
        for number, step in enumerate(finding.runbook[:MAX_STEPS], 1)
    ]
    blocks = [section("what", headline(incident))]
    for at in range(0, len(steps), 5):  # a text takes 3000 characters
        text = mrkdwn("\n".join(steps[at : at + 5]))
        blocks.append({"type": "section", "block_id": f"steps-{at}", "text": text})
    if not steps:
        blocks.append(section("none", "This detector has no runbook."))
    where = f"; the page is docs/runbooks/{finding.detector}.md"
    blocks.append(context("notes", words(f"{finding.detector}{where}", 200)))
    if page:
        button = {"type": "button", "action_id": "tm_open", "url": page}
        open_it = [button | {"text": plain_text("Open in the feed")}]
        blocks.append({"type": "actions", "block_id": "do", "elements": open_it})
    return {
        "type": "modal",
        "title": plain_text(TITLES["runbook"]),
        "close": plain_text("Close"),
        "blocks": blocks,
    }


def refusal(reason: str) -> dict[str, Any]:
    """What a form shows when it could not be done."""
    return {"response_action": "errors", "errors": {"reason": words(reason, 200)}}


def end_of(verb: Verb, chosen: str, now: datetime) -> datetime | None:
    """The end that was chosen; None where there is none to choose."""
    spans = SPANS.get(verb)
    return None if spans is None else now + spans.get(chosen, spans[USUAL[verb]])


def _hidden(previews: Sequence[tuple[str, Preview]]) -> list[dict[str, Any]]:
    blocks = []
    for number, (detector, preview) in enumerate(previews[:MAX_PREVIEWS]):
        lines = [f"*{prose(detector, 80)}*: {prose(preview.told, 300)}"]
        lines += [
            f"• {code(str(each['severity']), 20)} {prose(str(each['title']), 120)}"
            f" ({prose(str(each['state']).replace('_', ' '), 20)})"
            for each in list(preview.examples)[:MAX_EXAMPLES]
        ]
        text = mrkdwn("\n".join(lines))
        blocks.append({"type": "section", "block_id": f"hidden-{number}", "text": text})
    return blocks


def _span(verb: Verb) -> dict[str, Any]:
    options = [{"text": plain_text(name), "value": name} for name in SPANS[verb]]
    usual = next(each for each in options if each["value"] == USUAL[verb])
    select = {"type": "static_select", "action_id": "lasts", "options": options}
    return {
        "type": "input",
        "block_id": "lasts",
        "label": plain_text("For how long"),
        "element": select | {"initial_option": usual},
    }


def _reason(*, optional: bool) -> dict[str, Any]:
    return {
        "type": "input",
        "block_id": "reason",
        "optional": optional,
        "label": plain_text("Why"),
        "hint": plain_text("It stands in the incident's history, under your name."),
        "element": {"type": "plain_text_input", "action_id": "reason", "max_length": MAX_TOLD},
    }
