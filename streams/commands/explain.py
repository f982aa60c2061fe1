"""`tripmeter explain ID`: one finding in full, and derived again from its events."""

import argparse

from streams.commands.shared import add_config, add_data, add_json, fail, print_json, print_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`ID`, and `--no-replay` for a quick look."""
    add_data(parser)
    add_config(parser)
    add_json(parser)
    parser.add_argument("id", metavar="ID", help="id of a finding, or an unambiguous beginning")
    parser.add_argument("--no-replay", action="store_true", help="do not derive it again")


def run(arguments: argparse.Namespace) -> int:
    """Prints it; says whether judging the journal again gives the same."""
    from streams.configuration import load
    from streams.explain import derive, story
    from streams.store import Findings
    from streams.wiring import EXTRAS, core_settings

    try:
        settings = load(arguments.config, EXTRAS)
        store = Findings(arguments.data, settings.store.url())
    except FileNotFoundError:
        return fail(f"no findings in {arguments.data}: has `tripmeter serve` run there? see --data")
    revisions = store.revisions(arguments.id)
    store.close()
    if not revisions:
        return fail(f"no single finding begins with {arguments.id!r}; see `tripmeter findings`")
    derivation = None
    if not arguments.no_replay:
        core = core_settings(settings)
        derivation = derive(arguments.data, revisions[-1], core, settings.store.url())
    if arguments.json:
        told = None if derivation is None else {"same": derivation.same, "told": derivation.told}
        print_json([{"revisions": revisions, "derivation": told}])
        return 0
    rows = story(revisions[-1])
    if derivation is not None:
        rows.append(("derived again", derivation.told))
    print_table(f"Finding {revisions[-1]['id']}", ("", ""), rows)
    return 0
