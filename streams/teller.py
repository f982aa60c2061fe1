"""Asks the detectors about one spec's windows, and follows what they told until it closes."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from detectors.base import Channel, Usual, Window
from detectors.habits import usual as read_tail
from detectors.records import most as read_record
from schemas.decode import EventRecord
from schemas.finding import Entity, Finding
from streams.columns import Columns
from streams.part import Ints, Part
from streams.reports import Reporter, Told, glimpse
from streams.windows import Trip, Windows

FACT_SHARE = 0.1  # of the budget: where the band of usual is drawn for channels with fixed limits


class Teller:
    """The findings about open windows.

    Args:
        windows: the windows.
        reporter: takes the findings.
        name_of: attribute of an event that names the lane's key.
    """

    def __init__(self, windows: Windows, reporter: Reporter, name_of: str) -> None:
        self.windows = windows
        self.reporter = reporter
        self._name_of = name_of
        self._told: dict[int, dict[str, Told]] = {}  # cell -> detector -> finding

    def settle(self, trips: list[list[Trip]], part: Part, columns: Columns) -> None:
        """Asks about trips, window by window, event by event."""
        windows, records = self.windows, columns.records
        for group in trips:
            while group:
                for trip in group:
                    detector, channel = windows.limits.watched[trip.channel]
                    told = self._told.setdefault(trip.cell, {})
                    if detector.about.id in told:
                        windows.disarm(trip.cell, detector)
                        continue
                    row = int(part.rows[trip.at])
                    name = columns.text(self._name_of, row)
                    view = self._view(trip.cell, trip.totals, channel, name, records[row])
                    verdict = detector.judge(view)
                    if verdict is None:
                        windows.rearm(trip)
                        continue
                    windows.disarm(trip.cell, detector)
                    one = self.reporter.tripped(detector, view, verdict, part.at(trip.at))
                    told[detector.about.id] = one
                    for after in windows.positions(trip.cell, trip.at).tolist():
                        _copy(one, part, after, records)
                group = windows.again(group[0])
            if not self._told.get(trip.cell, True):
                del self._told[trip.cell]

    def collect(self, cells: Ints, part: Part, records: Sequence[Any]) -> None:
        """Copies further events of windows that were told already."""
        wanted = [c for c, by in self._told.items() if any(o.collecting for o in by.values())]
        if wanted:
            for at in np.flatnonzero(np.isin(cells, wanted)).tolist():
                for one in self._told[int(cells[at])].values():
                    _copy(one, part, at, records)

    def finish(self, cells: Ints, clock: Ints, sequence: Ints) -> list[int]:
        """Tells final revisions of closing windows and remembers alarms.

        Args:
            clock, sequence: of the event that closes each window.
        Returns:
            Which of the windows must not be learned.
        """
        windows, alarms = self.windows, self.windows.alarms
        unusual: list[int] = []
        if not self._told and not alarms.keys:
            return unusual
        rows = windows.cells
        for place, (cell, key) in enumerate(
            zip(cells.tolist(), rows.key[cells].tolist(), strict=True)
        ):
            told = self._told.pop(cell, {})
            if not told and key not in alarms.keys:
                continue
            window, totals = int(rows.window[cell]), rows.total[cell]
            for detector in windows.limits.detectors:
                name = detector.about.id
                if name in told:
                    one = told[name]
                    tripped = str(one.finding.evidence["tripped"])
                    channel = windows.limits.channel(detector, tripped)
                    id = one.finding.entity.id
                    view = self._view(cell, totals, channel, id, one.record, final=True)
                    now = int(clock[place])
                    times = (now, now, int(sequence[place]))
                    verdict = detector.judge(view)
                    self.reporter.closed(detector.about, view, verdict, one, times)
                elif alarms.level(key, name, window) is None or not windows.over(cell, detector):
                    continue
                if not alarms.accepted(key, name, window):
                    unusual.append(place)
                alarms.note(key, name, window, windows.limits.levels(detector, totals))
        return unusual

    def forget(self, cells: Ints) -> None:
        """Drops what was told about the windows of evicted keys."""
        for cell in cells.tolist():
            self._told.pop(cell, None)

    def _view(
        self, cell: int, totals: Ints, channel: Channel, name: str, event: Any, final: bool = False
    ) -> Window:
        spec, rows = self.windows.spec, self.windows.cells
        habits, number = self.windows.habits, int(rows.window[cell])
        tails, known, counts, records = habits.pinned(rows.key[[cell]], rows.window[[cell]])
        mature = int(known[0])
        share = self.windows.limits.spends(channel, channel.share or FACT_SHARE)
        usual: dict[str, Usual] = {
            feature: read_tail(tails[0, place], share, mature)
            for place, feature in enumerate(spec.learned)
        }
        age = number - int(habits.first[rows.key[cell]]) if mature else 0
        share *= self.windows.limits.ease(age, int(counts[0, -1]))
        for law, record in zip(spec.recorded, records[0].tolist(), strict=True):
            usual[law.feature] = read_record(law, record, mature, share, habits.months_per_window)
        return Window(
            spec=spec.name,
            entity=Entity(lane=spec.lane, id=name),
            start_ms=int(rows.end_ms[cell]) - spec.width_ms,
            width_ms=spec.width_ms,
            first_ms=int(rows.first_ms[cell]),
            totals=dict(zip(spec.index, totals.tolist(), strict=True)),
            tripped=channel.feature,
            usual=usual,
            windows=mature,
            event=event,
            final=final,
        )

    def state(self, cells: Ints) -> dict[str, Any]:
        """What was told about these windows, as plain values."""
        return {
            str(place): {
                name: {
                    "finding": one.finding.to_json(),
                    "record": msgspec.json.encode(one.record),
                    "events": one.events,
                    "newest_ms": one.newest_ms,
                }
                for name, one in self._told[cell].items()
            }
            for place, cell in enumerate(cells.tolist())
            if cell in self._told
        }

    def load(self, state: dict[str, Any], cells: Ints) -> None:
        """Puts back what `state` gave for the same windows."""
        self._told = {
            int(cells[int(place)]): {
                name: Told(
                    Finding.model_validate_json(one["finding"]),
                    msgspec.json.decode(one["record"], type=EventRecord),
                    one["events"],
                    one["newest_ms"],
                )
                for name, one in by.items()
            }
            for place, by in state.items()
        }


def _copy(told: Told, part: Part, at: int, records: Sequence[Any]) -> None:
    if told.collecting:
        time = int(part.times[at])
        told.events.append(glimpse(records[int(part.rows[at])], time))
        told.newest_ms = max(told.newest_ms, time)
