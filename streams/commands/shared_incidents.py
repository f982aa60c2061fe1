"""What the commands about incidents, silences and the outbox have in common."""

import argparse
import getpass
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streams.commands.shared import add_config, add_data, add_json, fail, print_json, print_table

if TYPE_CHECKING:
    from alerts.incident import Incident
    from alerts.incident_desk import Desk
    from alerts.store import AlertStore
    from streams.settings import Settings

MAX_IDS = 1000  # incidents one command acts on
_UNITS = {"m": 60, "h": 3600, "d": 86_400}


class NoStore(Exception):
    """There is nothing to look at; the text says where."""


def add_common(parser: argparse.ArgumentParser) -> None:
    """`--data`, `--config`, `--json`."""
    add_data(parser)
    add_config(parser)
    add_json(parser)


def add_by(parser: argparse.ArgumentParser, *, reason: bool) -> None:
    """`--by` and `--reason`."""
    parser.add_argument(
        "--by", default=user(), metavar="NAME", help=f"who decides (default: {user()})"
    )
    parser.add_argument("--reason", default="", required=reason, help="why, for the history")


def add_until(parser: argparse.ArgumentParser, what: str, default: str) -> None:
    """`--for`."""
    parser.add_argument(
        "--for",
        dest="until",
        metavar="TIME",
        help=f"how long {what}: 30m, 4h, 7d, or an instant (default: {default})",
    )


def user() -> str:
    """Who runs the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user in this container
        return "command line"


def end_of(text: str | None, now: datetime) -> datetime | None:
    """`30m`, `4h`, `7d` from now, or an ISO 8601 instant.

    Raises:
        ValueError: neither, or it has passed.
    """
    if text is None:
        return None
    if text[:-1].isdigit() and text[-1:] in _UNITS:
        return now + timedelta(seconds=int(text[:-1]) * _UNITS[text[-1]])
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r}: write 30m, 4h, 7d or 2026-01-31T12:00:00Z") from None
    instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    if instant <= now:
        raise ValueError(f"{text!r} has passed")
    return instant


def settings_of(arguments: argparse.Namespace) -> "Settings":
    """The configuration; `tripmeter check` looks at what these commands do not need."""
    from streams.configuration import load

    return load(arguments.config)


def target_of(data: Path, settings: "Settings") -> Path | str:
    """Where the store is.

    Raises:
        NoStore: nobody has made one yet.
    """
    from streams.store import STORE_FILE

    if url := settings.store.url():
        return url
    if not (data / STORE_FILE).exists():
        raise NoStore(f"nothing in {data}: has `tripmeter serve` run there? see --data")
    return data / STORE_FILE


def store_of(arguments: argparse.Namespace, settings: "Settings") -> "AlertStore":
    """The store, with the destinations that are to hear of what is done.

    Raises:
        NoStore: nobody has made one yet.
    """
    from alerts.store import AlertStore
    from streams.delivery import Delivery

    data = Path(arguments.data)
    target = target_of(data, settings)
    router = Delivery(data, settings).router
    return AlertStore(target, router, settings.incidents.policy())


def desk_of(arguments: argparse.Namespace) -> "Desk":
    """Where the command line decides.

    Raises:
        NoStore: nobody has made a store yet.
    """
    from alerts.incident_desk import Desk
    from streams.decide import from_outside

    settings = settings_of(arguments)
    store = store_of(arguments, settings)
    return Desk(store, from_outside(Path(arguments.data), settings))


def answered(work: Callable[[], int]) -> int:
    """Runs a command and puts what can go wrong in words."""
    import sqlite3

    from alerts.incident import NotPossible
    from alerts.silences import BadSilence
    from alerts.store import UnknownIncident
    from alerts.store_engine import BadStore
    from streams.journal import JournalFull

    try:
        return work()
    except (NoStore, BadStore, NotPossible, BadSilence, UnknownIncident, ValueError) as error:
        return fail(str(error))
    except (sqlite3.Error, OSError, JournalFull) as error:
        return fail(f"the store cannot be used now: {error}", 69)


def shown(incidents: Iterable["Incident"], arguments: argparse.Namespace, title: str) -> None:
    """Prints incidents as lines of JSON or as a table."""
    if arguments.json:
        print_json(as_json(each) for each in incidents)
        return
    print_table(
        title,
        ("id", "state", "severity", "since", "last", "count", "cost", "entity", "tenant", "title",
         "owner"),
        [
            (
                i.id[:12],
                state_of(i),
                i.severity,
                i.since.strftime("%Y-%m-%d %H:%M"),
                i.last.strftime("%Y-%m-%d %H:%M"),
                i.count,
                f"${i.cost_usd:,.2f}" if i.cost_usd is not None else "",
                i.entity.id,
                i.tenant,
                i.title,
                i.owner,
            )
            for i in incidents
        ],
    )  # fmt: skip


def iso(at: float | None) -> str | None:
    """Epoch seconds as people read them."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def state_of(incident: "Incident") -> str:
    """The state in a few words."""
    words = incident.state.replace("_", " ")
    if incident.until is not None:
        words += f" until {incident.until:%Y-%m-%d %H:%M}"
    if incident.inhibited_by is not None and incident.active:
        words += f" (part of {incident.inhibited_by[:12]})"
    return words


def as_json(incident: "Incident") -> dict[str, Any]:
    """An incident as plain values, with what follows from them."""
    return {
        **incident.model_dump(mode="json"),
        "key": incident.key,
        "cost_usd": incident.cost_usd,
        "active": incident.active,
    }


def act(arguments: argparse.Namespace, verb: Any, **more: Any) -> int:
    """Does one thing to each incident that is named; 2 when one of them could not be done."""

    def work() -> int:
        from alerts.incident import Action, NotPossible
        from alerts.silences import BadSilence
        from alerts.store import UnknownIncident

        now = datetime.now(UTC)
        until = end_of(getattr(arguments, "until", None), now)
        desk = desk_of(arguments)
        action = Action(
            verb=verb, by=arguments.by, at=now, reason=arguments.reason, until=until, **more
        )
        done, code = [], 0
        for id in arguments.ids[:MAX_IDS]:
            try:
                done.append(desk.act(id, action))
            except (UnknownIncident, NotPossible, BadSilence) as error:
                code = fail(f"{id}: {error}")
        shown(done, arguments, "Incidents")
        return code

    return answered(work)
