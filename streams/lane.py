"""One lane: its keys, what they met before, their windows, and the detectors that watch them."""

from collections.abc import Callable
from dataclasses import dataclass
from math import expm1
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.base import NANO, Channel, Detector, Usual, Window, moment
from detectors.features import CREDENTIAL_1H, WindowSpec
from detectors.habits import usual as read_tail
from schemas.decode import EventRecord
from schemas.finding import Entity, Finding
from schemas.finding import Lane as LaneName
from schemas.records import Rollup
from streams.columns import Columns
from streams.keys import REFUSED, Keys
from streams.pairs import Pairs, pair
from streams.reports import Reporter, Told, glimpse
from streams.table import Names
from streams.windows import Part, Trip, Windows

Ints = npt.NDArray[np.int64]
HABIT_WINDOWS = 3  # closed windows that make a habit, which is never evicted
NAME_OF: dict[LaneName, str] = {"credential": "api_key_id", "origin": "client_address"}
HASH_OF: dict[LaneName, str] = {"credential": "key", "origin": "address"}
MET = {"model": 1, "address": 2, "client": 3}


@dataclass(slots=True)
class Closed:
    """A batch of closed windows, as drawn in rollups."""

    spec: WindowSpec
    names: list[str]
    starts: Ints
    totals: Ints
    tails: Any

    def rollups(self) -> list[Rollup]:
        """One record per window."""
        rolled = []
        names = list(self.spec.index)
        cost = self.spec.index["nanousd"]
        for name, start, totals, tail in zip(
            self.names, self.starts.tolist(), self.totals.tolist(), self.tails.tolist(), strict=True
        ):
            usual = {
                feature: (round(one[0], 3), round(expm1(min(one[1], 40.0)), 3))
                for feature, one in zip(self.spec.learned, tail, strict=True)
            }
            rolled.append(
                Rollup.model_construct(
                    entity=Entity(lane=self.spec.lane, id=name),
                    tenant=None,
                    start=moment(start),
                    end=moment(start + self.spec.width_ms),
                    totals=dict(zip(names, totals, strict=True)),
                    usual=usual,
                    cost_usd=totals[cost] / NANO,
                )
            )
        return rolled


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
        self.reporter = reporter
        self.lateness_ms = lateness_ms
        self.budget = budget
        self.windows: list[Windows] = []
        self.keys = Keys(max_keys, self._grow)
        for spec in specs:
            watched = _watched(spec, detectors)
            self.windows.append(Windows(spec, self.keys, watched, budget, lateness_ms))
        self.alarms = [windows.alarms for windows in self.windows]
        self.told: list[dict[int, dict[str, Told]]] = [{} for _ in specs]
        self.pairs = Pairs(max_pairs)
        self.visits = 0
        self.flooded = False
        self._stands_at: int | None = None

    def _grow(self, capacity: int) -> None:
        for windows in self.windows:
            windows.grow(capacity)

    # --- a part ---------------------------------------------------------------------------

    def process(self, part: Part, columns: Columns) -> list[Closed]:
        """Closes what is due, adds the part's events, judges, closes what is due then."""
        closed = self.close(part.clock[:1], part.sequence[:1])
        chosen = np.flatnonzero(columns[self.windows[0].spec.select][part.rows])
        if len(chosen):
            self._add(_subset(part, chosen), columns)
        return closed + self.close(part.clock, part.sequence)

    def _add(self, part: Part, columns: Columns) -> None:
        records = columns.records
        names = columns.values(NAME_OF[self.name])
        hashes = columns[HASH_OF[self.name]][part.rows]
        keys = self.keys.numbers(hashes)
        new = np.flatnonzero(keys == REFUSED)
        if len(new):
            self._admit(hashes[new], lambda at: str(names[part.rows[new[at]]]))
            keys = self.keys.numbers(hashes)
            room = np.flatnonzero(keys != REFUSED)
            part, keys = _subset(part, room), keys[room]
            if not len(room):
                return
        self.visits += len(keys)
        np.maximum.at(self.keys.seen, keys, part.times)
        if self.name == "credential":
            self._meet(keys, part, columns)
        for number, windows in enumerate(self.windows):
            cells, trips = windows.add(keys, part, columns)
            self._collect(number, cells, part, records)
            if trips:
                self._settle(number, trips, part, columns)

    def _admit(self, hashes: Names, name_of: Callable[[int], str]) -> None:
        wanted = len(self.keys) + len(hashes)
        if wanted > self.keys.limit:
            self._evict(len(self.keys) + len(np.unique(hashes)) - self.keys.limit)
        if self.keys.admit(hashes, name_of):
            self.flooded = True

    def _meet(self, keys: Ints, part: Part, columns: Columns) -> None:
        """Marks events that use a model, an address or a client new to their key."""
        hours = self.windows[-1]
        numbers = (part.times + hours.phase(keys)) // CREDENTIAL_1H.width_ms
        asked = []
        for item, kind in MET.items():
            values = columns[item][part.rows]
            known = np.flatnonzero(values)
            names = pair(self.keys.hash[keys[known]], values[known], kind)
            asked.append((item, known, names))
        new, fresh = self.pairs.visit(
            np.concatenate([names for *_, names in asked]),
            np.concatenate([numbers[known] for _, known, _ in asked]),
        )
        begin = 0
        for item, known, names in asked:
            here = slice(begin, begin + len(names))
            begin += len(names)
            columns.fill(f"new_{item}", part.rows[known], new[here])
            columns.fill(f"fresh_{item}", part.rows[known], new[here] & fresh[here])
        stranger = columns["new_address"][part.rows]
        odd = stranger & (columns["new_model"] | columns["new_client"])[part.rows]
        columns.fill("stranger", part.rows, stranger)
        columns.fill("odd", part.rows, odd)

    def _evict(self, lacking: int) -> None:
        if lacking <= 0:
            return
        habit = np.zeros(self.keys.capacity, np.bool_)
        for windows in self.windows:
            habit |= windows.habits.n >= HABIT_WINDOWS
        gone = self.keys.quiet(lacking, habit)
        self.flooded = True
        if not len(gone):
            return
        numbers = set(gone.tolist())
        for number, windows in enumerate(self.windows):
            for cell in windows.forget(gone).tolist():
                self.told[number].pop(cell, None)
            self.alarms[number].forget(numbers)
        self.keys.forget(gone)

    # --- judging --------------------------------------------------------------------------

    def _collect(self, number: int, cells: Ints, part: Part, records: list[Any]) -> None:
        """Copies further events of windows that were told already."""
        told = self.told[number]
        wanted = [c for c, by in told.items() if any(one.collecting for one in by.values())]
        if not wanted:
            return
        for at in np.flatnonzero(np.isin(cells, wanted)).tolist():
            self._copy(told[int(cells[at])], part, at, records)

    def _copy(self, told: dict[str, Told], part: Part, at: int, records: list[Any]) -> None:
        time = int(part.times[at])
        for one in told.values():
            if one.collecting:
                one.events.append(glimpse(records[int(part.rows[at])], time))
                one.newest_ms = max(one.newest_ms, time)

    def _settle(self, number: int, trips: list[Trip], part: Part, columns: Columns) -> None:
        """Asks the detectors about trips, window by window, event by event."""
        windows, records = self.windows[number], columns.records
        names = columns.values(NAME_OF[self.name])
        by_cell: dict[int, list[Trip]] = {}
        for trip in trips:
            by_cell.setdefault(trip.cell, []).append(trip)
        for cell, group in by_cell.items():
            while group:
                for trip in group:
                    detector, channel = windows.watched[trip.channel]
                    if detector.about.id in self.told[number].get(cell, {}):
                        windows.disarm(cell, detector)
                        continue
                    row = int(part.rows[trip.at])
                    view = self._view(
                        number, cell, trip.totals, channel, names[row], records[row], False
                    )
                    verdict = detector.judge(view)
                    if verdict is None:
                        windows.rearm(trip)
                        continue
                    windows.disarm(cell, detector)
                    told = self.reporter.tripped(detector, view, verdict, part.at(trip.at))
                    self.told[number].setdefault(cell, {})[detector.about.id] = told
                    for after in windows.positions(cell, trip.at).tolist():
                        self._copy({"": told}, part, after, records)
                group = windows.again(group[0])

    def _view(
        self,
        number: int,
        cell: int,
        totals: Ints,
        channel: Channel,
        name: str,
        event: Any,
        final: bool,
    ) -> Window:
        windows = self.windows[number]
        spec = windows.spec
        mature = int(windows.mature[cell])
        share = self.budget * (channel.share or 0.1)
        usual: dict[str, Usual] = {
            feature: read_tail(windows.tail[cell, place], share, mature)
            for place, feature in enumerate(spec.learned)
        }
        end = int(windows.end_ms(np.array([cell]))[0])
        return Window(
            spec=spec.name,
            entity=Entity(lane=self.name, id=name),
            start_ms=end - spec.width_ms,
            width_ms=spec.width_ms,
            first_ms=int(windows.first_ms[cell]),
            totals=dict(zip(spec.index, totals.tolist(), strict=True)),
            tripped=channel.feature,
            usual=usual,
            windows=mature,
            event=event,
            final=final,
        )

    # --- closing --------------------------------------------------------------------------

    def close(self, clock: Ints, sequence: Ints) -> list[Closed]:
        """Closes the windows that are due at the last of these clocks."""
        closed: list[Closed] = []
        for number, windows in enumerate(self.windows):
            for cells, ends in windows.due(int(clock[-1])):
                at = np.searchsorted(clock, ends + self.lateness_ms)
                unusual = self._finish(number, cells, clock, sequence, at)
                if windows.spec is CREDENTIAL_1H:
                    closed += self._rollup(windows, cells, ends)
                ones = np.ones((len(cells), len(windows.spec.learned)), np.bool_)
                ones[unusual] = False
                windows.learn_and_free(cells, ones)
        return closed

    def close_all(self, clock: Ints, sequence: Ints, now_ms: int) -> None:
        """Closes every window as if time ran on; findings carry the time it stands at."""
        self._stands_at = now_ms
        self.close(clock, sequence)
        self._stands_at = None

    def _finish(self, number: int, cells: Ints, clock: Ints, sequence: Ints, at: Ints) -> list[int]:
        """Tells final revisions and remembers alarms; returns rows that must not be learned."""
        windows, alarms, told = self.windows[number], self.alarms[number], self.told[number]
        if not told and not alarms.keys:
            return []
        unusual: list[int] = []
        for row, (cell, key) in enumerate(
            zip(cells.tolist(), windows.key[cells].tolist(), strict=True)
        ):
            found = told.pop(cell, {})
            if not found and key not in alarms.keys:
                continue
            window, totals = int(windows.window[cell]), windows.total[cell]
            now, position = int(clock[at[row]]), int(sequence[at[row]])
            now = now if self._stands_at is None else self._stands_at
            for detector in windows.detectors:
                name = detector.about.id
                over = windows.over(cell, detector)
                if name in found:
                    one = found[name]
                    channel = windows.channel(detector, str(one.finding.evidence["tripped"]))
                    view = self._view(
                        number, cell, totals, channel, one.finding.entity.id, one.record, True
                    )
                    self.reporter.closed(
                        detector.about, view, detector.judge(view), one, (now, now, position)
                    )
                elif not (over and alarms.level(key, name, window) is not None):
                    continue
                named = dict(zip(windows.spec.index, totals.tolist(), strict=True))
                watched = {f: t for f, t in named.items() if f in windows.features_of(detector)}
                if not alarms.accepted(key, name, window):
                    unusual.append(row)
                alarms.note(key, name, window, watched)
        return unusual

    def _rollup(self, windows: Windows, cells: Ints, ends: Ints) -> list[Closed]:
        """Keys that have earned a full habit and were active."""
        keys = windows.key[cells]
        active = (windows.habits.row[keys] >= 0) & (windows.total[cells, 0] >= ROLLUP_CALLS)
        if not active.any():
            return []
        cells = cells[active]
        names = self.keys.names(keys[active])
        starts = ends[active] - windows.spec.width_ms
        return [Closed(windows.spec, names, starts, windows.total[cells], windows.tail[cells])]

    # --- snapshots ------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything it holds, in terms that do not depend on how blocks were cut."""
        states = []
        for number, windows in enumerate(self.windows):
            cells = windows.open_cells()
            told = {
                str(place): {
                    name: {
                        "finding": one.finding.to_json(),
                        "record": _encode(one.record),
                        "events": one.events,
                        "newest_ms": one.newest_ms,
                    }
                    for name, one in self.told[number][cell].items()
                }
                for place, cell in enumerate(cells.tolist())
                if cell in self.told[number]
            }
            states.append(
                {
                    "windows": windows.state(cells, self.keys.used()),
                    "alarms": self.alarms[number].state(),
                    "told": told,
                }
            )
        return {
            "keys": self.keys.state(),
            "pairs": self.pairs.state(),
            "windows": states,
            "visits": self.visits,
            "flooded": self.flooded,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave."""
        self.keys.load(state["keys"])
        self.pairs.load(state["pairs"])
        self.visits, self.flooded = state["visits"], state["flooded"]
        for number, (windows, saved) in enumerate(zip(self.windows, state["windows"], strict=True)):
            cells = windows.load(saved["windows"], self.keys.used())
            self.alarms[number].load(saved["alarms"])
            self.told[number] = {
                int(cells[int(place)]): {
                    name: Told(
                        Finding.model_validate_json(one["finding"]),
                        _decode(one["record"]),
                        one["events"],
                        one["newest_ms"],
                    )
                    for name, one in by.items()
                }
                for place, by in saved["told"].items()
            }


ROLLUP_CALLS = 10  # model calls in a window that make a rollup worth keeping


def _watched(spec: WindowSpec, detectors: list[Detector]) -> list[tuple[Detector, Channel]]:
    return [(d, c) for d in detectors for c in d.channels if c.window == spec.name]


def _subset(part: Part, chosen: Ints) -> Part:
    if len(chosen) == len(part.rows):
        return part
    return Part(part.rows[chosen], part.times[chosen], part.clock[chosen], part.sequence[chosen])


def _encode(record: Any) -> bytes:
    return msgspec.json.encode(record)


def _decode(data: bytes) -> Any:
    return msgspec.json.decode(data, type=EventRecord)
