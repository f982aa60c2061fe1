"""Chooses which events of the first lane another lane gets, and for which of its shards."""

from collections.abc import Iterator

import numpy as np

from detectors import CATALOG
from streams.kafka.lanes import ADDS, FOR_ALL, FOR_KEY, Ints, LaneSpec, Narrow
from streams.kafka.routed import Events
from streams.narrow import Narrow as Spared
from streams.output import CoreSettings, Kept
from streams.part import Part


class Forward:
    """What one lane is sent.

    Events that a detector would be spared anyway are not sent (see `streams.narrow`). What spares
    them is a cache that only ever lets more through, so that it is not part of any snapshot.

    Args:
        lane: which.
        shards: how many it has.
        core: what decides findings.
    """

    def __init__(self, lane: LaneSpec, shards: int, core: CoreSettings) -> None:
        self.lane = lane
        self.shards = shards
        self._home = lane.home(shards)
        self._narrow = Narrow(lane.fields)
        kinds = {kind.about.id: kind for kind in CATALOG}
        every = {kind.takes for kind in kinds.values() if kind.about.id in lane.judges}
        self._windows = [mask for mask in lane.masks if mask not in every]

        def spared(names: tuple[str, ...]) -> list[tuple[str, Spared]]:
            found = [kinds[name] for name in names if name in kinds]
            return [(kind.takes, Spared(kind(getattr(core, kind.told)))) for kind in found]

        self._keyed, self._all = spared(lane.judges), spared(lane.judges_all)

    def __call__(self, events: Events, kept: Kept) -> Iterator[tuple[int, Events]]:
        """Each shard that gets something, and what it gets.

        Args:
            events: a block of the first lane.
            kept: which of them count.
        """
        marks = np.zeros(len(kept.rows), np.uint8)
        marks[self._chosen(events, kept, self._keyed, self._windows)] |= FOR_KEY
        marks[self._chosen(events, kept, self._all, [])] |= FOR_ALL
        chosen = np.flatnonzero(marks)
        if not len(chosen):
            return
        rows, marks = kept.rows[chosen], marks[chosen]
        adds = np.where(kept.added[chosen], ADDS, 0).astype(np.uint8)
        block = self._narrow(b"\n".join([events.lines[row] for row in rows.tolist()]))
        lines = block.split(b"\n")
        places = self.lane.places(kept.columns, rows, self.shards)
        wanted = set(places[(marks & FOR_KEY) > 0].tolist())
        for place in sorted(wanted | ({self._home} if (marks & FOR_ALL).any() else set())):
            mine = np.where(places == place, marks & FOR_KEY, 0)
            if place == self._home:
                mine = mine | (marks & FOR_ALL)
            here = np.flatnonzero(mine)
            some = rows[here]
            yield (
                place,
                Events(
                    events.clock[some],
                    events.partition[some],
                    events.place[some],
                    (mine[here] | adds[here]).astype(np.uint8),
                    [lines[at] for at in here.tolist()],
                ),
            )

    def _chosen(
        self, events: Events, kept: Kept, detectors: list[tuple[str, Spared]], masks: list[str]
    ) -> Ints:
        """Places among the kept rows."""
        columns, rows = kept.columns, kept.rows
        found = [np.flatnonzero(columns[mask][rows]) for mask in masks if columns.any(mask)]
        if detectors:
            part = Part(rows, columns.times[rows], events.clock[rows], rows)
            for mask, spared in detectors:
                if columns.any(mask):
                    found.append(spared(part, columns, np.flatnonzero(columns[mask][rows])))
        return np.concatenate(found) if found else np.zeros(0, np.int64)
