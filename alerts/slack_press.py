"""What somebody pressed in Slack, read from its payload. Pure."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from alerts.incident import MAX_NAME, MAX_TOLD
from alerts.text import plain

MAX_ID = 64  # characters of an incident's id

Verb = Literal["ack", "resolve", "reopen", "snooze", "expected", "false_positive", "runbook"]
VERBS: dict[str, Verb] = {
    "tm_ack": "ack",
    "tm_resolve": "resolve",
    "tm_reopen": "reopen",
    "tm_snooze": "snooze",
    "tm_expected": "expected",
    "tm_false": "false_positive",
    "tm_runbook": "runbook",
}
FORM = "tripmeter_form"  # callback_id of our modals


@dataclass(frozen=True, slots=True)
class Press:
    """Who wants what.

    Attributes:
        user: Slack's id of the person; `name` is what Slack calls them.
        foreign: they belong to another workspace (a channel shared with another company).
        channel: id of the channel it was pressed in.
        trigger: lets a modal be opened, for three seconds.
        form: what a modal was filled in with; None for a button.
    """

    verb: Verb
    incident: str
    user: str
    name: str
    foreign: bool
    channel: str
    trigger: str = ""
    form: dict[str, str] | None = None

    @property
    def by(self) -> str:
        """As the history names them."""
        return plain(f"slack:{self.user} ({self.name})", MAX_NAME)


def read(payload: Any) -> Press | None:
    """The press in a payload of `block_actions` or `view_submission`; None if it is not ours."""
    if not isinstance(payload, dict):
        return None
    user, team = _table(payload, "user"), _table(payload, "team")
    id, name = _text(user, "id"), _text(user, "username") or _text(user, "name")
    home, here = _text(user, "team_id"), _text(team, "id")
    who: dict[str, Any] = {"user": id, "name": name or id, "foreign": bool(home and home != here)}
    if not id:
        return None
    if payload.get("type") == "block_actions":
        return _pressed(payload, who)
    if payload.get("type") == "view_submission":
        return _submitted(_table(payload, "view"), who)
    return None


def _pressed(payload: dict[str, Any], who: dict[str, Any]) -> Press | None:
    actions = payload.get("actions")
    action = actions[0] if isinstance(actions, list) and actions else None
    if not isinstance(action, dict):
        return None
    named, value = _text(action, "action_id"), _text(action, "value")
    if named == "tm_menu":
        named, _, value = _text(_table(action, "selected_option"), "value").partition("|")
    verb = VERBS.get(named)
    if verb is None or not value or len(value) > MAX_ID:
        return None
    container = _table(payload, "container")
    channel = _text(_table(payload, "channel"), "id") or _text(container, "channel_id")
    return Press(verb, value, channel=channel, trigger=_text(payload, "trigger_id"), **who)


def _submitted(view: dict[str, Any], who: dict[str, Any]) -> Press | None:
    if view.get("callback_id") != FORM:
        return None
    try:
        about = json.loads(_text(view, "private_metadata"))
        verb, incident, channel = about["verb"], about["incident"], about["channel"]
    except (ValueError, KeyError, TypeError):
        return None
    if verb not in VERBS.values():
        return None
    form = {}
    for block in _table(_table(view, "state"), "values").values():
        for name, value in block.items() if isinstance(block, dict) else ():
            if isinstance(value, dict):
                chosen = _table(value, "selected_option")
                form[str(name)] = (_text(chosen, "value") or _text(value, "value"))[:MAX_TOLD]
    return Press(verb, str(incident), channel=str(channel), form=form, **who)


def _table(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: dict[str, Any], name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""
