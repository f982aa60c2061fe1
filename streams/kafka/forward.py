"""Chooses which events of the first lane another lane gets, and for which of its shards."""

from collections.abc import Iterator

import numpy as np

from detectors import CATALOG
from streams.kafka.lanes import ADDS, Flags, Group, Ints, LaneSpec
from streams.kafka.lines import Narrow
from streams.kafka.routed import Events, Marks
from streams.narrow import Narrow as Spared
from streams.output import CoreSettings, Kept
from streams.part import Part

ONCE = {"shared-session": ("session", "actor"), "one-origin-many-keys": ("key", "address")}
"""As a detector's own `once`, of one that is quick to pass over what it need not see; to send it is
not."""

Chosen = tuple[Ints, Ints, Marks]  # places among the kept rows, shards, marks


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
        self._narrow = Narrow(lane.fields)
        kinds = {kind.about.id: kind for kind in CATALOG}
        self._spared: dict[int, list[tuple[str, Spared]]] = {}
        for group in lane.groups:
            detectors = [
                kinds[name](getattr(core, kinds[name].told))
                for name in group.names
                if name in kinds and core.asked(name)
            ]
            for one in detectors:
                one.once = one.once or ONCE.get(one.about.id, ())  # type: ignore[misc]
            self._spared[group.mark] = [(one.takes, Spared(one)) for one in detectors]

    def __call__(self, events: Events, kept: Kept) -> Iterator[tuple[int, Events]]:
        """Each shard that gets something, and what it gets.

        Args:
            events: a block of the first lane.
            kept: which of them count.
        """
        found = [one for group in self.lane.groups if (one := self._of(group, events, kept))]
        if not found:
            return
        at, shards, marks = (np.concatenate(part) for part in zip(*found, strict=True))
        named, first = np.unique(shards * len(kept.rows) + at, return_inverse=True)
        both = np.zeros(len(named), np.uint8)
        np.bitwise_or.at(both, first, marks)
        shards, at = np.divmod(named, len(kept.rows))
        both |= np.where(kept.added[at], ADDS, 0).astype(np.uint8)
        sent, line = np.unique(at, return_inverse=True)
        lines = self._lines(events, kept.rows[sent])
        bounds = np.searchsorted(shards, np.arange(self.shards + 1))
        for shard in np.flatnonzero(np.diff(bounds)).tolist():
            here = slice(bounds[shard], bounds[shard + 1])
            some = lines.take(line[here])
            some.marks = both[here]
            yield shard, some

    def _lines(self, events: Events, rows: Ints) -> Events:
        """These events with the lane's fields."""
        some = events.take(rows)
        data, begins, ends = self._narrow(some.data, some.begins, some.ends)
        return Events(some.clock, some.partition, some.place, some.marks, data, begins, ends)

    def _of(self, group: Group, events: Events, kept: Kept) -> Chosen | None:
        """What one group of the lane gets."""
        columns, rows = kept.columns, kept.rows
        chosen: Flags = np.zeros(len(rows), np.bool_)
        if self.lane.name in group.names:
            for mask in self.lane.windows:
                chosen |= np.asarray(columns[mask][rows]) != 0
        part = Part(rows, columns.times[rows], events.clock[rows], rows)
        for mask, spared in self._spared[group.mark]:
            if columns.any(mask):
                chosen[spared(part, columns, np.flatnonzero(columns[mask][rows]))] = True
        at = np.flatnonzero(chosen)
        if not len(at):
            return None
        shards = group.places(columns, rows[at], self.shards)
        return at, shards, np.full(len(at), group.mark, np.uint8)
