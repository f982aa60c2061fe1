"""`tripmeter outbox`: who waits for what, and what was refused."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from streams.commands.shared import fail, print_json, print_table
from streams.commands.shared_incidents import add_common, answered, iso, settings_of, target_of

DEFAULT_LIMIT = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`list`, `dead`, `retry`, `discard`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, help in (
        ("list", "how each destination stands"),
        ("dead", "what destinations refused, and why"),
        ("retry", "send refused records again, in their old place"),
        ("discard", "give refused records up for good"),
    ):
        action = actions.add_parser(name, help=help, description=help)
        if name != "list":
            action.add_argument("--destination", metavar="NAME", help="only of this destination")
        if name == "dead":
            action.add_argument("--limit", type=int, default=DEFAULT_LIMIT, metavar="N")
        if name in ("retry", "discard"):
            action.add_argument("numbers", nargs="*", type=int, metavar="NUMBER")
            action.add_argument("--all", action="store_true", help="instead of numbers")
        add_common(action)


def run(arguments: argparse.Namespace) -> int:
    """Runs the action."""
    actions = {"list": _list, "dead": _dead, "retry": _again, "discard": _again}
    return answered(lambda: actions[arguments.action](arguments))


def _list(arguments: argparse.Namespace) -> int:
    from alerts.deliverer import status
    from alerts.outbox import Outbox
    from alerts.outbox_lease import owner_of
    from alerts.store_engine import open_store
    from streams.delivery import Delivery

    data, settings = Path(arguments.data), settings_of(arguments)
    engine = open_store(target_of(data, settings))
    names = Delivery(data, settings).router.names
    outside = Outbox(engine).outside()
    rows = [
        {
            "destination": name,
            "configured": name in names,
            **asdict(each),
            "sent_by": owner_of(engine, name),
            "full_since": iso(outside.get(name)),
        }
        for name, each in status(engine, names).items()
    ]
    if arguments.json:
        print_json(rows)
        return 0
    columns = ("destination", "waiting", "held", "dead", "delivered", "full_since", "on_hold",
               "last_error")  # fmt: skip
    print_table("Outbox", columns, [[row[name] for name in columns] for row in rows])
    return 0


def _dead(arguments: argparse.Namespace) -> int:
    from alerts.outbox import Outbox

    outbox = Outbox(target_of(Path(arguments.data), settings_of(arguments)))
    letters = outbox.dead_letters(arguments.destination, arguments.limit)
    if arguments.json:
        print_json(
            {
                "number": letter.number,
                "destination": letter.destination,
                "key": letter.key,
                "attempts": letter.attempts,
                "reason": letter.reason,
                "finding": json.loads(letter.body) if letter.body else None,
            }
            for letter in letters
        )
        return 0
    print_table(
        "Refused records",
        ("number", "destination", "key", "attempts", "reason"),
        [(x.number, x.destination, x.key, x.attempts, x.reason) for x in letters],
    )
    return 0


def _again(arguments: argparse.Namespace) -> int:
    from alerts.outbox import MAX_DEAD, Outbox

    if bool(arguments.numbers) == arguments.all:
        return fail("give numbers (see `tripmeter outbox dead`) or --all")
    outbox = Outbox(target_of(Path(arguments.data), settings_of(arguments)))
    numbers = set(arguments.numbers)
    letters = outbox.dead_letters(arguments.destination, MAX_DEAD)
    chosen = [x.number for x in letters if arguments.all or x.number in numbers]
    change = outbox.retry_dead if arguments.action == "retry" else outbox.discard_dead
    done = change(chosen)
    if arguments.json:
        print(json.dumps({arguments.action: done}))
    else:
        told = "wait again" if arguments.action == "retry" else "are gone"
        print(f"{done} records {told}")
    return 0 if done or arguments.all else fail("there is no refused record of these numbers")
