"""Derives findings again from recorded files, without a journal."""

from collections import deque
from collections.abc import Sequence
from typing import Any

from schemas.records import Rollup
from streams.explain import Derivation

MAX_ROLLUPS = 2000  # closed windows of an entity that are kept
MAX_FOUND = 1000  # revisions that begin with what was asked for


def search(recordings: Sequence[Any], id: str, core: Any) -> list[dict[str, Any]]:
    """The revisions of the one finding whose id begins so, oldest first; none if not exactly one.

    Raises:
        OSError, UnknownFormat: a recording cannot be read.
    """
    from schemas.finding import as_json
    from streams.replay import Replay

    found: dict[str, list[dict[str, Any]]] = {}
    for output in Replay(list(recordings), core, close=True).run():
        for finding in output.findings:
            if finding.id.startswith(id) and len(found) < MAX_FOUND:
                found.setdefault(finding.id, []).append(as_json(finding))
    return next(iter(found.values())) if len(found) == 1 else []


def derive_recorded(
    recordings: Sequence[Any], finding: dict[str, Any], core: Any
) -> tuple[Derivation, list[Rollup]]:
    """Judges recordings until the same revision comes out; also its entity's closed windows.

    A recording numbers its events in its own way, so positions are not compared.

    Raises:
        OSError, UnknownFormat: a recording cannot be read.
    """
    from schemas.finding import as_json
    from streams.replay import Replay

    entity = (finding["entity"]["lane"], finding["entity"]["id"])
    rolled: deque[Rollup] = deque(maxlen=MAX_ROLLUPS)
    replay = Replay(list(recordings), core, close=True)
    for output in replay.run():
        rolled += [one for one in output.rollups if (one.entity.lane, one.entity.id) == entity]
        for found in output.findings:
            if (found.id, found.revision) == (finding["id"], finding["revision"]):
                equal = _comparable(as_json(found)) == _comparable(finding)
                how = "the same finding" if equal else "the finding, with other details"
                return (
                    Derivation(equal, f"Judging {replay.pipeline.position:,} events gave {how}."),
                    list(rolled),
                )
    made, now = finding["provenance"]["settings"], core.fingerprint()
    why = f"; it was made by settings {made}, and these are {now}" if made != now else ""
    told = f"Judging {replay.pipeline.position:,} recorded events did not give it{why}."
    return Derivation(False, told), list(rolled)


def _comparable(finding: dict[str, Any]) -> dict[str, Any]:
    return {**finding, "provenance": {**finding["provenance"], "position": 0}}
