"""Derives a finding again from the journal, and says plainly when that is not possible."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.aside import MAX_SET_ASIDE
from streams.journal_reader import JournalDamaged, JournalGap, JournalReader
from streams.store import Findings

BLOCK_EVENTS = 2000


@dataclass(frozen=True, slots=True)
class Derivation:
    """What came of it.

    Attributes:
        same: True when the same revision came out byte for byte, False when another did or none,
            None when it could not be tried.
        told: one sentence for the operator.
    """

    same: bool | None
    told: str


def derive(data: Path, finding: dict[str, Any], core: Any, url: str | None = None) -> Derivation:
    """Replays the journal up to the event that decided, from the nearest state there is."""
    from schemas.finding import Finding
    from streams.pipeline import Pipeline

    wanted = Finding.model_validate(finding)
    if wanted.family == "health" and wanted.provenance.settings == "":
        return Derivation(None, "It was made by the runner, not by a detector: nothing to replay.")
    decided = wanted.provenance.position
    store = Findings(data, url)
    try:
        journal = JournalReader(data / "journal.db")
    except FileNotFoundError:
        return Derivation(None, "It cannot be derived again: there is no journal.")
    pipeline: Pipeline | None = None
    for snapshot in store.snapshots_until(decided):
        if snapshot.position < journal.oldest():
            break
        try:
            pipeline = Pipeline.restore(snapshot.data, core)
        except Exception:  # noqa: S112  (made by other settings or another version)
            continue
        break
    if pipeline is None and journal.oldest() > 0:
        return Derivation(
            None,
            f"It cannot be derived again: the journal begins at event {journal.oldest()},"
            f" the finding was decided at {decided}, and no snapshot lies between.",
        )
    pipeline = pipeline or Pipeline(core)
    begin = pipeline.position
    aside = _set_aside(store)
    try:
        while pipeline.position <= decided:
            at = pipeline.position
            if at in aside:
                pipeline.position += 1
                continue
            ends = (at + BLOCK_EVENTS, decided + 1, *(one for one in aside if one > at))
            batch = journal.read(at, min(ends) - at)
            if batch is None:
                break
            for found in pipeline.process(batch.data).findings:
                if (found.id, found.revision) == (wanted.id, wanted.revision):
                    return _compared(found.to_json() == wanted.to_json(), begin, decided)
    except (JournalGap, JournalDamaged) as error:
        return Derivation(None, f"It cannot be derived again: {error}.")
    return Derivation(
        False,
        f"Judging events {begin} to {decided} again did not give it: settings, detectors or"
        " decisions of operators have changed since.",
    )


def _set_aside(store: Findings) -> set[int]:
    """Positions of the events that `serve` could not judge and went on without."""
    told = store.select(detector="event-set-aside", limit=MAX_SET_ASIDE)
    places = (one["evidence"].get("position") for one in told)
    return {place for place in places if isinstance(place, int)}


def _compared(equal: bool, begin: int, decided: int) -> Derivation:
    how = "the same finding, byte for byte" if equal else "the finding, with other details"
    return Derivation(equal, f"Judging events {begin} to {decided} again gave {how}.")
