"""One lane: its keys, what they met before, their windows, and the detectors that watch them."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.base import Detector
from detectors.features import CREDENTIAL_1H, WindowSpec
from schemas.finding import Lane as LaneName
from schemas.records import Rollup
from streams.columns import Columns
from streams.keys import REFUSED, Keys
from streams.pairs import Pairs, pair
from streams.part import Part
from streams.reports import Reporter
from streams.rollups import rollups
from streams.table import Names
from streams.teller import Teller
from streams.window_tenants import WindowTenants
from streams.windows import Windows

Ints = npt.NDArray[np.int64]
HABIT_WINDOWS = 3  # closed windows that make a habit, which is never evicted
NAME_OF: dict[LaneName, str] = {"credential": "api_key_id", "origin": "client_address"}
HASH_OF: dict[LaneName, str] = {"credential": "key", "origin": "address"}
MET = {"model": 1, "address": 2, "client": 3}


class Lane:
    """All state of one lane.

    Args:
        name: of the lane.
        specs: its windows.
        detectors: those in force.
        budget: false alerts a key-month.
        lateness_ms: of the pipeline.
        max_keys, max_pairs: bounds.
        reporter: takes the findings.
    """

    def __init__(
        self,
        name: LaneName,
        specs: list[WindowSpec],
        detectors: list[Detector],
        budget: float,
        lateness_ms: int,
        max_keys: int,
        max_pairs: int,
        reporter: Reporter,
    ) -> None:
        self.name = name
        self.lateness_ms = lateness_ms
        self.windows: list[Windows] = []
        self.keys = Keys(max_keys, self._grow)
        for spec in specs:
            watched = [(d, c) for d in detectors for c in d.channels if c.window == spec.name]
            if spec.recorded and not watched:
                continue  # nobody wants the records, and they take memory
            self.windows.append(Windows(spec, self.keys, watched, budget, lateness_ms))
        self.tellers = [Teller(windows, reporter, NAME_OF[name]) for windows in self.windows]
        self._hours = next((w for w in self.windows if w.spec is CREDENTIAL_1H), None)
        self.tenants = WindowTenants(self._hours.cells) if self._hours else None
        self.pairs = Pairs(max_pairs)
        self.visits = 0
        self.flooded = False

    def _grow(self, capacity: int) -> None:
        for windows in self.windows:
            windows.grow(capacity)

    def process(self, part: Part, columns: Columns) -> list[Rollup]:
        """Closes what is due, adds the part's events, judges, closes what is due then."""
        closed = self.close(part.clock[:1], part.sequence[:1])
        if columns.any(self.windows[0].spec.select):
            chosen = np.flatnonzero(part.of(columns[self.windows[0].spec.select]))
            if len(chosen):
                self._add(part.subset(chosen), columns)
        return closed + self.close(part.clock, part.sequence)

    def _add(self, part: Part, columns: Columns) -> None:
        hashes = part.of(columns[HASH_OF[self.name]])
        keys = self.keys.numbers(hashes)
        new = np.flatnonzero(keys == REFUSED)
        if len(new):
            name = NAME_OF[self.name]
            rows = part.rows[new].tolist()
            self._admit(hashes[new], lambda at: str(columns.text(name, rows[at])))
            keys = self.keys.numbers(hashes)
            room = np.flatnonzero(keys != REFUSED)
            if not len(room):
                return
            part, keys = part.subset(room), keys[room]
        self.visits += len(keys)
        np.maximum.at(self.keys.seen, keys, part.times)
        if self._hours is not None:
            self._meet(self._hours, keys, part, columns)
        for windows, teller in zip(self.windows, self.tellers, strict=True):
            cells, trips = windows.add(keys, part, columns)
            if self.tenants is not None and windows is self._hours:
                self.tenants.see(cells, part, columns)
                begins = part.rows[windows.opening]
                columns.fill("begins_hour", begins, np.ones(len(begins), np.bool_))
            teller.collect(cells, part, columns.records)
            teller.settle(trips, part, columns)

    def _meet(self, windows: Windows, keys: Ints, part: Part, columns: Columns) -> None:
        """Marks events that use a model, an address or a client new to their key."""
        hours = (part.times + windows.phase(keys)) // windows.spec.width_ms
        owners = self.keys.hash[keys]
        asked = []
        for item, kind in MET.items():
            values = part.of(columns[item])
            known = np.flatnonzero(values)
            asked.append((item, known, pair(owners[known], values[known], kind)))
        new, fresh = self.pairs.visit(
            np.concatenate([names for *_, names in asked]),
            np.concatenate([hours[known] for _, known, _ in asked]),
        )
        flags = {}
        begin = 0
        for item, known, names in asked:
            here = slice(begin, begin + len(names))
            begin += len(names)
            flags[item] = np.zeros(len(keys), np.bool_)
            flags[item][known] = new[here]
            if item == "address":
                columns.fill("address_begins_hour", part.rows[known], fresh[here])
            if item != "client":
                columns.fill(f"fresh_{item}", part.rows[known], new[here] & fresh[here])
        stranger = flags["address"]
        columns.fill("stranger", part.rows, stranger)
        columns.fill("odd", part.rows, stranger & (flags["model"] | flags["client"]))

    # --- keys -------------------------------------------------------------------------------

    def _admit(self, hashes: Names, name_of: Callable[[int], str]) -> None:
        """Gives new keys their numbers; when the lane is full, the quiet have to go."""
        if len(self.keys) + len(hashes) > self.keys.limit:
            lacking = len(self.keys) + len(np.unique(hashes)) - self.keys.limit
            if lacking > 0:
                self._evict(lacking)
        if self.keys.admit(hashes, name_of):
            self.flooded = True

    def _evict(self, lacking: int) -> None:
        self.flooded = True
        habit = np.zeros(self.keys.capacity, np.bool_)
        for windows in self.windows:
            habit |= windows.habits.n >= HABIT_WINDOWS
        gone = self.keys.quiet(lacking, habit)
        if len(gone):
            for windows, teller in zip(self.windows, self.tellers, strict=True):
                teller.forget(windows.forget(gone))
            self.keys.forget(gone)

    # --- closing ----------------------------------------------------------------------------

    def close(self, clock: Ints, sequence: Ints, stands_at: int | None = None) -> list[Rollup]:
        """Closes the windows that are due at the last of these clocks.

        What is told carries the moment from which its window may close: which event is the first
        after it depends on the order of arrival, and may be another part's.

        Args:
            stands_at: the time to write on findings when time runs on without events.
        """
        rolled: list[Rollup] = []
        for windows, teller in zip(self.windows, self.tellers, strict=True):
            for cells, ends in windows.due(int(clock[-1])):
                at = np.searchsorted(clock, ends + self.lateness_ms)
                decided = ends + self.lateness_ms
                if stands_at is not None:
                    decided = np.full(len(at), stands_at)
                unusual = teller.finish(cells, decided, sequence[at])
                if self.tenants is not None and windows is self._hours:
                    rolled += rollups(windows, cells, self.tenants)
                usual = np.ones(len(cells), np.bool_)
                usual[unusual] = False
                windows.learn_and_free(cells, usual)
        return rolled

    def overflows(self) -> Iterator[tuple[str, int]]:
        """How often what is remembered beside keys was full."""
        yield f"{self.name}: what keys used", self.pairs.forgotten
        for windows in self.windows:
            yield f"{windows.spec.name}: values", windows.amounts.overflows
            yield f"{windows.spec.name}: repeats", windows.amounts.forgotten
            yield f"{windows.spec.name}: alarms", windows.alarms.forgotten

    # --- snapshots --------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything it holds, in terms that do not depend on how blocks were cut."""
        states = []
        numbers = self.keys.used()
        for windows, teller in zip(self.windows, self.tellers, strict=True):
            cells = windows.cells.ordered()
            states.append({"told": teller.state(cells), **windows.state(cells, numbers)})
        return {
            "keys": self.keys.state(),
            "pairs": self.pairs.state(),
            "windows": states,
            "tenants": self.tenants.state() if self.tenants is not None else [],
            "visits": self.visits,
            "flooded": self.flooded,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        self.keys.load(state["keys"])
        self.pairs.load(state["pairs"])
        self.visits, self.flooded = state["visits"], state["flooded"]
        numbers = self.keys.used()
        for windows, teller, saved in zip(
            self.windows, self.tellers, state["windows"], strict=True
        ):
            teller.load(saved["told"], windows.load(saved, numbers))
        if self.tenants is not None:
            self.tenants.load(state["tenants"])
