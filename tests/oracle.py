"""The rules of the core once more, one event at a time, in plain dictionaries.

It shares with the core what is written down (window specs, channels, each detector's `judge`,
`inspect` and constants) and none of the machinery: no columns, blocks, slots, wheels or pinned
arrays. What is usual for a key comes from `river`.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import streams.alarms as alarm_constants
import streams.limits as limit_constants
from detectors import CATALOG, Detector
from detectors.base import Channel, Usual, Window
from detectors.features import WINDOWS, WindowSpec
from detectors.records import eased, most
from schemas.decode import decode_line
from schemas.finding import Entity, Severity, finding_id
from streams.pipeline import CoreSettings
from tests.oracle_admission import Admission
from tests.oracle_events import MET, SELECTS, TAKES, amounts, milliseconds, window_of
from tests.oracle_habit import MONTH_MS, UNUSUAL, Habit, rare, tail_limit

DAY_MS = 86_400_000
NEVER_OVER = 2**62
KEY_OF = {"credential": "api_key.id", "origin": "client.address"}
HOUR_SPEC = WINDOWS[1]


def quiet_windows(spec: WindowSpec) -> int:
    """For how many windows a detector is quiet about more of the same."""
    return max(alarm_constants.QUIET_MS // spec.width_ms, alarm_constants.LEAST_QUIET)


@dataclass(order=True)
class Told:
    """What a finding must say."""

    order: tuple[int, int, int, str, str]  # position, close < inspect < trip, end, entity, detector
    id: str = field(compare=False)
    revision: int = field(compare=False)
    time_ms: int = field(compare=False)
    severity: Severity = field(compare=False)
    summary: str = field(compare=False)
    totals: dict[str, int] | None = field(compare=False)
    events: list[str] = field(compare=False)

    def row(self) -> tuple[Any, ...]:
        """Everything that is compared with a finding of the core."""
        position, _, _, entity, detector = self.order
        said = (self.severity.value, self.summary, self.totals, tuple(self.events[:20]))
        return (self.id, self.revision, detector, entity, self.time_ms, position, *said)


@dataclass
class Cell:
    """One open window."""

    spec: WindowSpec
    key: str
    number: int
    start: int
    first_ms: int
    event: dict[str, Any]
    mature: int
    tail: dict[str, Any]
    records: dict[str, int]
    ease: float
    base: list[int]
    limit: list[int]
    totals: dict[str, int] = field(default_factory=dict)
    values: dict[str, Counter[str]] = field(default_factory=dict)
    told: dict[str, tuple[Told, Any, Channel]] = field(default_factory=dict)

    @property
    def end(self) -> int:
        return self.start + self.spec.width_ms


class Oracle:
    """Judges a stream and remembers everything for ever."""

    def __init__(self, settings: CoreSettings) -> None:
        self.settings, self.lateness = settings, 1000 * settings.lateness_s
        self.found: list[Told] = []
        self.admission = Admission()
        self.counts = self.admission.counts
        self.clock: int | None = None
        self.cells: dict[tuple[str, str, int], Cell] = {}
        self.habits: dict[tuple[str, str], Habit] = {}
        self.met: dict[tuple[str, str, str], int] = {}
        self.met_in: set[tuple[str, str, str, int]] = set()
        self.alarms: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.told_on: dict[str, int] = {}
        self.detectors = [
            kind(settings.support) for kind in CATALOG if kind.about.id not in settings.modes
        ]

    def run(self, lines: Sequence[bytes]) -> list[Told]:
        """What the core must tell about these events, to the end of time."""
        for position, line in self.admission.witnessed(lines):
            self._event(position, json.loads(line), line)
        self._close(2**60, len(lines))
        return sorted(self.found)

    # --- time and redelivery ------------------------------------------------------------------

    def _event(self, position: int, event: dict[str, Any], line: bytes) -> None:
        time = milliseconds(event["timestamp"])
        before = time if self.clock is None else self.clock
        self.clock = max(before, time)
        if time < before - self.lateness:
            self.admission.counts["late"] += 1
            return
        if self.admission.seen(event, time):
            return
        self._close(self.clock, position)
        for spec in WINDOWS:
            self._add(spec, event, time, position)
        record, _ = decode_line(line)
        for detector in self.detectors:
            if detector.takes and TAKES[detector.takes](event):
                self._inspect(detector, record, time, position)

    # --- windows ------------------------------------------------------------------------------

    def _watched(self, spec: WindowSpec) -> list[tuple[Detector, Channel]]:
        return [(d, c) for d in self.detectors for c in d.channels if c.window == spec.name]

    def _add(self, spec: WindowSpec, event: dict[str, Any], time: int, position: int) -> None:
        if not SELECTS[spec.select](event):
            return
        key = event[KEY_OF[spec.lane]]
        marks = self._marks(key, event, time) if spec is WINDOWS[0] else event.get("marks", {})
        event["marks"] = marks
        number, start = window_of(spec, key, time)
        cell = self.cells.get((spec.name, key, number))
        if cell is None:
            cell = self._open(spec, key, number, start, time, event)
        for _, by in sorted(cell.told.items()):
            by[0].events.append(event["event.id"])
        for name, amount in amounts(spec, event, marks, cell.values).items():
            cell.totals[name] = cell.totals.get(name, 0) + amount
        self._judge(cell, event, time, position)

    def _marks(self, key: str, event: dict[str, Any], time: int) -> dict[str, bool]:
        number, _ = window_of(HOUR_SPEC, key, time)
        marks: dict[str, bool] = {}
        for kind, name in MET.items():
            value = event.get(name)
            new = fresh = begins = False
            if value is not None:
                pair = (key, kind, value)
                self.met[pair] = min(number, self.met.get(pair, number))
                new = self.met[pair] >= number - 1
                begins = (*pair, number) not in self.met_in
                fresh = new and begins
                self.met_in.add((*pair, number))
            marks[f"new_{kind}"], marks[f"fresh_{kind}"] = new, fresh
            marks[f"{kind}_begins_hour"] = begins
        marks["begins_hour"] = (key, "key", key, number) not in self.met_in
        self.met_in.add((key, "key", key, number))
        marks["stranger"] = marks["new_address"]
        marks["odd"] = marks["new_address"] and (marks["new_model"] or marks["new_client"])
        return marks

    def _open(
        self, spec: WindowSpec, key: str, number: int, start: int, time: int, event: dict[str, Any]
    ) -> Cell:
        habit = self.habits.get((spec.name, key), Habit())
        fit = [version for version in habit.versions if version[0] <= number - 2]
        known = fit[-1] if fit else (0, 0, Counter[str](), {}, Counter[str]())
        _, mature, counts, tail, records = known
        laws = {law.feature: law for law in spec.recorded}
        ease = self._ease(spec, number - habit.first if mature else 0, counts[UNUSUAL])
        base = []
        for _, channel in self._watched(spec):
            limit, feature = channel.above, channel.like or channel.feature
            share = self._spends(spec, channel, channel.share or 0.0)
            if channel.share and feature in spec.learned and tail:
                limit = max(limit, int(min(tail_limit(tail[feature], share), 2.0**61)))
            if channel.share and feature in spec.counted:
                months = (number - habit.first - 1) * spec.width_ms / MONTH_MS
                limit = max(limit, rare(counts[feature], months, share, spec.width_ms))
            if channel.share and feature in laws:
                width = spec.width_ms / MONTH_MS
                reach = laws[feature].limit(records[feature], mature, share * ease, width)
                limit = max(limit, int(min(reach, 2.0**61)))
            if mature < channel.mature or (channel.young and mature >= channel.young):
                limit = NEVER_OVER
            if number - habit.first < channel.aged:
                limit = NEVER_OVER
            base.append(limit)
        limits = list(base)
        for at, (detector, channel) in enumerate(self._watched(spec)):
            level = self._level(spec, key, detector, number)
            if level and level.get(channel.feature):
                limits[at] = max(limits[at], alarm_constants.ESCALATE * level[channel.feature])
        known = (mature, tail, records, ease)
        cell = Cell(spec, key, number, start, time, event, *known, base, limits)
        cell.totals = dict.fromkeys(spec.index, 0)
        self.cells[spec.name, key, number] = cell
        return cell

    def _spends(self, spec: WindowSpec, channel: Channel, share: float) -> float:
        budget = self.settings.alert_budget
        if any(law.feature == channel.feature for law in spec.recorded):
            budget = max(budget - limit_constants.FACTS, budget * limit_constants.LEAST_PART)
        return budget * share

    def _ease(self, spec: WindowSpec, age: int, unusual: int) -> float:
        width = spec.width_ms / MONTH_MS
        laws = {law.feature for law in spec.recorded}
        records = [c for _, c in self._watched(spec) if c.feature in laws]
        allowed = sum((self._spends(spec, c, c.share or 0.0) for c in records), 0.0)
        return eased(allowed, age * width, unusual, quiet_windows(spec) * width)

    def _judge(self, cell: Cell, event: dict[str, Any], time: int, position: int) -> None:
        watched = self._watched(cell.spec)
        while True:
            over = [
                at for at, (_, c) in enumerate(watched) if cell.totals[c.feature] > cell.limit[at]
            ]
            if not over:
                return
            for at in over:
                detector, channel = watched[at]
                verdict = None
                if detector.about.id not in cell.told:
                    verdict = detector.judge(self._view(cell, channel, False))
                    if verdict is None:
                        total = cell.totals[channel.feature]
                        cell.limit[at] = total + max(1, total // 4)
                        continue
                for other, (owner, _) in enumerate(watched):
                    if owner is detector:
                        cell.limit[other] = NEVER_OVER
                if verdict is not None:
                    told = self._tell(cell, detector, 1, 2, verdict, position)
                    told.events.append(event["event.id"])
                    cell.told[detector.about.id] = (told, verdict, channel)

    def _view(self, cell: Cell, channel: Channel, final: bool) -> Window:
        share = self._spends(cell.spec, channel, channel.share or 0.1)
        usual = {}
        for name in cell.spec.learned:
            tail = cell.tail.get(name, (0.0, 0.0, 0.0, 0.0))
            typical, log_tail, scale, rate = map(float, tail)
            limit = tail_limit(tail, share)
            usual[name] = Usual(typical, limit, cell.mature, log_tail, max(scale, 1e-9), rate)
        for law in cell.spec.recorded:
            width = cell.spec.width_ms / MONTH_MS
            record = cell.records.get(law.feature, 0)
            usual[law.feature] = most(law, record, cell.mature, share * cell.ease, width)
        return Window(
            spec=cell.spec.name,
            entity=Entity(lane=cell.spec.lane, id=cell.key),
            start_ms=cell.start,
            width_ms=cell.spec.width_ms,
            first_ms=cell.first_ms,
            totals=dict(cell.totals),
            tripped=channel.feature,
            usual=usual,
            windows=cell.mature,
            event=None,
            final=final,
        )

    def _tell(
        self, cell: Cell, detector: Detector, revision: int, kind: int, verdict: Any, position: int
    ) -> Told:
        entity = Entity(lane=cell.spec.lane, id=cell.key)
        told = Told(
            (position, kind, cell.end, cell.key, detector.about.id),
            finding_id(detector.about.id, entity, cell.spec.name, cell.start),
            revision,
            self.clock or 0,
            verdict.severity or detector.about.severity,
            verdict.summary,
            dict(cell.totals),
            [],
        )
        self.found.append(told)
        return told

    # --- closing ------------------------------------------------------------------------------

    def _close(self, clock: int, position: int) -> None:
        due = [cell for cell in self.cells.values() if cell.end + self.lateness <= clock]
        for cell in sorted(due, key=lambda c: (WINDOWS.index(c.spec), c.end, c.key)):
            del self.cells[cell.spec.name, cell.key, cell.number]
            habit = self.habits.setdefault((cell.spec.name, cell.key), Habit(first=cell.number))
            usual = self._finish(cell, position)
            habit.learn(cell.spec, cell.number, cell.totals, usual)

    def _finish(self, cell: Cell, position: int) -> bool:
        """Tells final revisions; returns whether the window is usual."""
        usual = True
        watched = self._watched(cell.spec)
        for detector in dict.fromkeys(owner for owner, _ in watched):
            name = detector.about.id
            over = any(
                owner is detector and cell.totals[c.feature] > cell.base[at]
                for at, (owner, c) in enumerate(watched)
            )
            if name in cell.told:
                self._final(cell, detector, position)
            elif not (over and self._level(cell.spec, cell.key, detector, cell.number) is not None):
                continue
            place = (cell.spec.name, cell.key, name)
            alarm = self.alarms.get(place)
            accepted = alarm_constants.ACCEPT_MS // cell.spec.width_ms
            if alarm is None or cell.number - alarm["start"] <= accepted:
                usual = False
            quiet = quiet_windows(cell.spec)
            if alarm is None or cell.number - alarm["last"] > quiet:
                alarm = self.alarms[place] = {"start": cell.number, "told": []}
            level = dict(alarm["told"][-1][1]) if alarm["told"] else {}
            for owner, channel in watched:
                if owner is detector:
                    seen = cell.totals[channel.feature]
                    level[channel.feature] = max(seen, level.get(channel.feature, 0))
            alarm["told"].append((cell.number, level))
            alarm["last"] = cell.number
        return usual

    def _final(self, cell: Cell, detector: Detector, position: int) -> None:
        first, verdict, tripped = cell.told[detector.about.id]
        named = (c for o, c in self._watched(cell.spec) if o is detector)
        channel = next(c for c in named if c.feature == tripped.feature)
        final = detector.judge(self._view(cell, channel, True))
        last = self._tell(cell, detector, 2, 0, final or verdict, position)
        worst = (first.severity, last.severity)
        last.severity = max(worst, key=lambda s: s.rank)
        last.time_ms = min(cell.end + self.lateness, last.time_ms)
        last.events = first.events
        first.events = first.events[:1]

    def _level(
        self, spec: WindowSpec, key: str, detector: Detector, number: int
    ) -> dict[str, int] | None:
        alarm = self.alarms.get((spec.name, key, detector.about.id))
        told = [one for one in alarm["told"] if one[0] <= number - 2] if alarm else []
        quiet = quiet_windows(spec)
        level: dict[str, int] | None = told[-1][1] if told else None
        return level if told and number - told[-1][0] <= quiet else None

    # --- single events ------------------------------------------------------------------------

    def _inspect(self, detector: Detector, record: Any, time: int, position: int) -> None:
        now = self.clock or 0
        if detector.memory is not None:
            detector.memory.tick(now)
        for verdict in detector.inspect(record, time):
            entity = Entity(lane=detector.lane, id=detector.entity(record) or "unknown")
            decisive_ms = verdict.decisive[1] if verdict.decisive else time
            id = finding_id(detector.about.id, entity, *verdict.parts, decisive_ms // DAY_MS)
            day = now // DAY_MS
            if id not in self.told_on or day - self.told_on[id] > 1:
                severity = verdict.severity or detector.about.severity
                decisive = verdict.decisive[0] if verdict.decisive else record.event_id
                events = [decisive, *(other for other, _ in verdict.others if other != decisive)]
                order = (position, 1, time, entity.id, detector.about.id)
                told = Told(order, id, 1, now, severity, verdict.summary, None, events)
                self.found.append(told)
            self.told_on[id] = day
