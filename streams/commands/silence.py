"""`tripmeter silence`: what is hidden, by whom, why and until when."""

import argparse
import json
from datetime import UTC, datetime

from schemas.finding import LANES, Entity
from streams.commands.shared import fail, print_json, print_table
from streams.commands.shared_incidents import (
    add_by,
    add_common,
    add_until,
    answered,
    desk_of,
    end_of,
    user,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`list`, `add`, `preview`, `end ID`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, help in (
        ("list", "what is hidden now"),
        ("add", "hide matching findings for a time"),
        ("preview", "what `add` would have hidden in the last 30 days"),
        ("end", "end one now"),
    ):
        action = actions.add_parser(name, help=help, description=help)
        if name in ("add", "preview"):
            action.add_argument("--detector", metavar="NAME")
            action.add_argument("--entity", metavar="LANE:ID", help="such as credential:hmac:...")
            action.add_argument("--tenant", metavar="NAME")
            add_until(action, "it hides", "must be given with `add`")
            add_by(action, reason=name == "add")
        elif name == "end":
            action.add_argument("id", metavar="ID")
            action.add_argument("--by", default=user(), metavar="NAME")
        else:
            action.add_argument("--all", action="store_true", help="those that are over, too")
        add_common(action)


def run(arguments: argparse.Namespace) -> int:
    """Runs the action."""
    actions = {"list": _list, "add": _add, "preview": _preview, "end": _end}
    return answered(lambda: actions[arguments.action](arguments))


def _list(arguments: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    found = desk_of(arguments).silences.list(now, all=arguments.all)
    if arguments.json:
        print_json(each.as_json(now) for each in found)
        return 0
    print_table(
        "Silences",
        ("id", "what", "detector", "entity", "tenant", "owner", "reason", "until", "ended"),
        [
            (
                s.control.id[:12],
                s.control.action,
                s.control.detector,
                s.control.entity.id if s.control.entity else "",
                s.control.tenant,
                s.control.owner,
                s.control.reason,
                s.control.until.isoformat(timespec="minutes") if s.control.until else "",
                s.ended.isoformat(timespec="minutes") if s.ended else "",
            )
            for s in found
        ],
    )
    return 0


def _add(arguments: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    until = end_of(arguments.until, now)
    if until is None:
        return fail("a silence needs an end: --for 4h")
    desk = desk_of(arguments)
    silence = desk.silence(
        owner=arguments.by,
        reason=arguments.reason,
        until=until,
        detector=arguments.detector,
        entity=_entity(arguments.entity),
        tenant=arguments.tenant,
    )
    preview = desk.preview(silence.control)
    if arguments.json:
        print(json.dumps({**silence.as_json(now), "preview": preview.as_json()}))
    else:
        print(f"{silence.control.id} until {until.isoformat(timespec='minutes')}. {preview.told}")
    return 0


def _preview(arguments: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    desk = desk_of(arguments)
    until = end_of(arguments.until or "1d", now)
    assert until is not None  # noqa: S101  (a text was given)
    draft = desk.drafted(
        arguments.by,
        arguments.reason or "preview",
        until,
        arguments.detector,
        _entity(arguments.entity),
        arguments.tenant,
    )
    preview = desk.preview(draft)
    if arguments.json:
        print(json.dumps(preview.as_json()))
        return 0
    print(preview.told)
    if preview.examples:
        rows = [(e["id"][:12], e["state"], e["severity"], e["title"]) for e in preview.examples]
        print_table("For example", ("id", "state", "severity", "title"), rows)
    return 0


def _end(arguments: argparse.Namespace) -> int:
    ended = desk_of(arguments).end(arguments.id, arguments.by)
    if arguments.json:
        print(json.dumps(ended.as_json(datetime.now(UTC))))
    else:
        print(f"{ended.control.id} is over")
    return 0


def _entity(text: str | None) -> Entity | None:
    if text is None:
        return None
    lane, colon, id = text.partition(":")
    if not colon or not id or lane not in LANES:
        raise ValueError(f"--entity: write LANE:ID; lanes are {', '.join(LANES)}")
    return Entity(lane=lane, id=id)
