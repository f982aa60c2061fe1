"""`tripmeter explain ID`: one finding in full, its habit drawn, and derived again."""

import argparse
from pathlib import Path
from typing import Any

from streams.commands.shared import (
    add_config,
    add_data,
    add_format,
    add_json,
    budget,
    fail,
    print_json,
    print_table,
)

REACH_S = 31 * 86_400.0  # of the habit that is drawn


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`ID`, where its events are, and what to draw."""
    add_data(parser)
    add_config(parser)
    add_json(parser)
    parser.add_argument("id", metavar="ID", help="id of a finding, or an unambiguous beginning")
    parser.add_argument("--no-replay", action="store_true", help="do not derive it again")
    parser.add_argument(
        "--recording",
        nargs="+",
        metavar="FILE",
        help="derive it from these recorded events; the data directory need not hold it",
    )
    add_format(parser)
    parser.add_argument("--alert-budget", type=budget, help="the recording was judged with this")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE.png", help="draw the habit and the break"
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints it; says whether judging its events again gives the same."""
    from schemas.adapters import UnknownFormat
    from streams.configuration import load
    from streams.wiring import EXTRAS, core_settings

    settings = load(arguments.config, EXTRAS)
    core = core_settings(settings)
    if arguments.alert_budget is not None:
        changed = {**dict(core), "alert_budget": arguments.alert_budget}
        core = type(core).model_validate(changed)
    url = settings.store.url()
    try:
        revisions = _stored(arguments, url)
        if revisions is None and not arguments.recording:
            return fail(
                f"no findings in {arguments.data}: has `tripmeter serve` run there? see --data"
            )
        if not revisions and arguments.recording:
            from streams.explain_recorded import search

            revisions = search(_recordings(arguments, settings), arguments.id, core)
        if not revisions:
            return fail(f"no single finding begins with {arguments.id!r}; see `tripmeter findings`")
        finding = revisions[-1]
        derivation, rollups = _derived(arguments, finding, core, settings)
    except (OSError, UnknownFormat) as error:
        return fail(str(error))
    return _show(arguments, revisions, derivation, rollups)


def _show(
    arguments: argparse.Namespace, revisions: list[Any], derivation: Any, rollups: list[Any]
) -> int:
    from streams.explain_chart import chart, lines, picture
    from streams.explain_story import contributions, story

    finding = revisions[-1]
    drawn = chart(finding, rollups)
    if arguments.json:
        told = None if derivation is None else {"same": derivation.same, "told": derivation.told}
        features = [one.told() for one in contributions(finding)]
        known = drawn.levels.plain() if drawn and drawn.levels else None
        said = {"revisions": revisions, "derivation": told, "features": features, "level": known}
        print_json([said])
    else:
        rows = story(finding, drawn.began if drawn else None, drawn.level if drawn else None)
        if derivation is not None:
            rows.append(("derived again", derivation.told))
        print_table(f"Finding {finding['id']}", ("", ""), rows)
        if drawn is not None:
            print("\n".join(lines(drawn)))
    if arguments.plot:
        if drawn is None:
            return fail("nothing to draw: no closed window of this entity is known")
        try:
            arguments.plot.write_bytes(picture(drawn))
        except ImportError:
            return fail("--plot needs `pip install '.[reports]'`")
        except OSError as error:
            return fail(str(error))
    return 0


def _stored(arguments: argparse.Namespace, url: str | None) -> list[Any] | None:
    """The finding's revisions in the data directory; None when there is no store."""
    from streams.store import Findings

    try:
        store = Findings(arguments.data, url)
    except FileNotFoundError:
        return None
    revisions = store.revisions(arguments.id)
    store.close()
    return revisions


def _derived(
    arguments: argparse.Namespace, finding: dict[str, Any], core: Any, settings: Any
) -> tuple[Any, list[Any]]:
    """What judging its events again gives, and the entity's closed windows."""
    url = settings.store.url()
    if arguments.recording:
        from streams.explain_recorded import derive_recorded

        return derive_recorded(_recordings(arguments, settings), finding, core)
    derivation = None
    if not arguments.no_replay:
        from streams.explain import derive

        derivation = derive(arguments.data, finding, core, url)
    return derivation, _rollups(arguments, finding, url)


def _rollups(arguments: argparse.Namespace, finding: dict[str, Any], url: str | None) -> list[Any]:
    from datetime import datetime

    from streams.store import Findings

    store = Findings(arguments.data, url)
    until = datetime.fromisoformat(finding["time"]).timestamp()
    entity = finding["entity"]
    found = store.rollups(entity["lane"], entity["id"], until - REACH_S, until)
    store.close()
    return found


def _recordings(arguments: argparse.Namespace, settings: Any) -> list[Any]:
    from streams.commands.backtest import recordings

    return recordings(arguments.recording, arguments.data, arguments.format, settings)
