"""The pure core: events in, findings out. No I/O, no threads, no wall clock, no global state.

The same events give the same findings, however they are cut into blocks and across any snapshot and
restore. `docs/architecture.md` states the rules; `tests/test_pipeline_properties.py` holds them
against an oracle that sees one event at a time.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Self

import msgspec
import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from detectors import CATALOG, Detector
from detectors.base import moment
from detectors.features import WINDOWS
from schemas.decode import EventRecord
from schemas.finding import Lane as LaneName
from schemas.reader import Reader
from schemas.records import Control, Heartbeat
from streams.clock import START, Clock, Held
from streams.columns import Columns
from streams.controls import Controls
from streams.health import FLOOD, IDS_FORGOTTEN, Overflows
from streams.inspectors import Inspectors
from streams.lane import Lane
from streams.output import CoreSettings, Output, Rejection, Stats
from streams.part import Part
from streams.redelivery import Redelivery
from streams.reports import Reporter
from streams.snapshot import STATE_VERSION, BadSnapshot, pack, unpack
from streams.sources import Sources

__all__ = ["CoreSettings", "Output", "Pipeline", "Rejection", "Stats"]

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
DAY_MS = 86_400_000
END = 2**60


class Pipeline:
    """Judges a stream of canonical events.

    Args:
        settings: what decides findings.
        only: names of lanes with windows and of inspecting detectors; all of them when None.

    >>> from schemas.testing import event
    >>> pipeline = Pipeline()
    >>> lines = [event(f"2026-10-01T00:00:0{i}Z", id=f"e{i}").to_json() for i in range(3)]
    >>> pipeline.process(b"\\n".join(lines)).findings
    []
    >>> pipeline.stats.judged
    3
    """

    def __init__(
        self, settings: CoreSettings | None = None, only: Collection[str] | None = None
    ) -> None:
        self.settings = settings or CoreSettings()
        self.position = 0
        self._counts: Counter[str] = Counter()
        self._clock = Clock()
        self._lateness_ms = 1000 * self.settings.lateness_s
        self._reader = Reader()
        self._redelivery = Redelivery(self._lateness_ms)
        self._controls = Controls(self.settings)
        versions = (self.settings.fingerprint(), self.settings.prices, STATE_VERSION)
        self._reporter = Reporter(*versions)
        self._sources = Sources()
        self._detectors = detectors = [
            kind(getattr(self.settings, kind.told))
            for kind in CATALOG
            if self.settings.asked(kind.about.id)
        ]
        shown = [one for one in detectors if only is None or one.about.id in only]
        self._inspectors = Inspectors(shown, self._reporter)
        names: list[LaneName] = list(dict.fromkeys(spec.lane for spec in WINDOWS))
        wanted = [name for name in names if only is None or name in only]
        self._lanes = self._make_lanes(wanted, detectors)
        self._overflows = Overflows(self._full)
        self._span_ms = min(spec.width_ms for spec in WINDOWS) - self._lateness_ms

    def _make_lanes(self, names: list[LaneName], detectors: list[Detector]) -> list[Lane]:
        return [
            Lane(
                name,
                [spec for spec in WINDOWS if spec.lane == name],
                detectors,
                self.settings.alert_budget,
                self._lateness_ms,
                self.settings.max_keys,
                self.settings.max_pairs,
                self._reporter,
            )
            for name in names
        ]

    # --- in and out -------------------------------------------------------------------------

    def process(self, block: bytes) -> Output:
        """Judges canonical NDJSON: any number of events and control records, one per line."""
        output = Output()
        read = self._reader.read(block)
        for place, line, error in read.broken:
            if not self._control(line, self.position + place):
                self._counts["rejected"] += 1
                fault = Rejection(self.position + place, error.field, error.reason, line)
                output.rejections.append(fault)
        columns, positions = Columns(read.records, read.values), self.position + read.places
        self.position += read.lines
        self._counts["events"] += len(columns.records)
        if len(columns.records):
            records, times, positions, refused = self._clock.admit(
                columns.records, columns.times, positions
            )
            if refused:
                self._refuse(refused, output)
            if records is not columns.records:
                columns = Columns.of(records, times)
            if len(records):
                self._judge(columns, positions, output)
        self._tell(output)
        return output

    def close(self) -> Output:
        """Judges everything as if time ran on: closes every open window."""
        output = self.finish()
        for lane in self._lanes:
            clock = np.array([END], np.int64)
            lane.close(clock, np.array([self.position], np.int64), self._clock.now_ms)
        self._tell(output)
        return output

    def finish(self) -> Output:
        """At the end of an input: decides about an event that waits for a witness."""
        output = Output()
        held = self._clock.held
        released = self._clock.release()
        if released is not None:
            position, record, time = released
            columns = Columns.of([record], np.array([time]))
            self._judge(columns, np.array([position]), output)
        elif held is not None:
            self._refuse([held], output)
        self._tell(output)
        return output

    def mute(self, detector: str) -> None:
        """Asks a detector no more: one that fails again and again. Snapshots know nothing of it."""
        for one in self._detectors:
            if one.about.id == detector:
                vars(one)["judge"] = lambda window: None
        self._inspectors.mute(detector)

    def _control(self, line: bytes, position: int) -> bool:
        if b'"control"' not in line:
            return False
        try:
            self._controls.add(Control.model_validate_json(line), position)
        except ValidationError:
            return False
        self._counts["controls"] += 1
        return True

    def _refuse(self, refused: list[Held], output: Output) -> None:
        reason = "clock_ahead: more than an hour ahead of every other event"
        for position, record, _ in refused:
            raw = msgspec.json.encode(record)
            output.rejections.append(Rejection(position, "timestamp", reason, raw))
        self._counts["rejected"] += len(refused)
        self._counts["events"] -= len(refused)

    # --- judging ----------------------------------------------------------------------------

    def _judge(self, columns: Columns, positions: Ints, output: Output) -> None:
        after, on_time = self._clock.late(columns.times, self._lateness_ms)
        kept = self._accept(columns, after, on_time, output)
        self._spread(columns, kept, after, positions, output)

    def _accept(self, columns: Columns, after: Ints, on_time: Flags, output: Output) -> Ints:
        """The events that are neither late nor seen before."""
        on_time = on_time | columns["usage_bucket"]  # tells of a time that is over, so never late
        kept = np.flatnonzero(on_time)
        self._counts["late"] += len(on_time) - len(kept)
        self._sources.note(columns)
        output.heartbeats += self._sources.due(int(after[-1]))
        if len(kept):
            kept = self._redelivery.filter(columns, kept, self._clock.now_ms, int(after[-1]))
        return kept

    def _spread(
        self,
        columns: Columns,
        kept: Ints,
        after: Ints,
        positions: Ints,
        output: Output,
    ) -> None:
        """Shows events to lanes and inspectors."""
        records, times = columns.records, columns.times
        self._counts["kept"] += len(kept)
        clock = after[kept]
        start = 0
        while start < len(kept):
            stop = int(np.searchsorted(clock, clock[start] + self._span_ms, "right"))
            rows = kept[start:stop]
            whole = len(rows) == len(records)
            part = Part(rows, times[rows], clock[start:stop], positions[rows], whole)
            for lane in self._lanes:
                output.rollups += lane.process(part, columns)
            start = stop
        if len(kept):
            whole = len(kept) == len(records)
            part = Part(kept, times[kept], clock, positions[kept], whole)
            self._inspectors.inspect(part, columns)
        self._clock.now_ms = int(after[-1])
        self._health(int(positions[-1]))

    # --- beside findings --------------------------------------------------------------------

    def _tell(self, output: Output) -> None:
        told = (self._controls.apply(finding) for finding in self._reporter.take())
        output.findings += [finding for finding in told if finding is not None]
        self._controls.reach(self.position)
        self._controls.forget(self._clock.now_ms)

    def _health(self, sequence: int) -> None:
        """Announces what had to be forgotten, once a day and place."""
        now = self._clock.now_ms
        day = now // DAY_MS
        for lane in self._lanes:
            if lane.flooded and self._counts[f"flood/{lane.name}"] != day:
                self._counts[f"flood/{lane.name}"] = day
                FLOOD.report(self._reporter, lane.name, day, now, sequence, lane.keys)
            lane.flooded = False
        if self._redelivery.forgotten and self._counts["ids/day"] != day:
            self._counts["ids/day"] = day
            IDS_FORGOTTEN.report(
                self._reporter, "credential", day, now, sequence, self._redelivery.forgotten
            )
            self._redelivery.forgotten = 0
        self._overflows.report(self._reporter, now, sequence)

    def _full(self) -> Iterator[tuple[str, int]]:
        """How often each bounded memory was full."""
        yield "operators' decisions", self._controls.dropped
        yield from self._inspectors.overflows()
        for lane in self._lanes:
            yield from lane.overflows()

    def heartbeats(self) -> list[Heartbeat]:
        """A sign of life of every source."""
        now = self._clock.now_ms
        return [] if now == START else self._sources.heartbeats(now)

    @property
    def clock(self) -> datetime | None:
        """The largest event time so far."""
        return None if self._clock.now_ms == START else moment(self._clock.now_ms)

    @property
    def stats(self) -> Stats:
        """What became of every line so far."""
        counts, again, lanes = self._counts, self._redelivery, self._lanes
        return Stats(
            events=counts["events"],
            judged=counts["kept"] - again.added,
            late=counts["late"],
            duplicates=again.duplicates + self._clock.copies,
            conflicts=again.conflicts,
            merged=again.merged,
            rejected=counts["rejected"],
            controls=counts["controls"],
            held=int(self._clock.held is not None),
            hidden=self._controls.hidden,
            open_windows=sum(len(w.cells) for lane in lanes for w in lane.windows),
            closed_windows=sum(w.closed for lane in lanes for w in lane.windows),
            lane_visits=sum(lane.visits for lane in lanes),
            evicted_keys=sum(lane.keys.evicted for lane in lanes),
            refused_keys=sum(lane.keys.refused for lane in lanes),
        )

    # --- snapshots --------------------------------------------------------------------------

    def snapshot(self) -> bytes:
        """Everything it knows, with the position it has reached."""
        held = self._clock.held
        return pack(
            {
                "settings": self.settings.fingerprint(),
                "position": self.position,
                "counts": dict(sorted(self._counts.items())),
                "clock": [self._clock.now_ms, self._clock.copies],
                "held": held and [held[0], msgspec.json.encode(held[1]), held[2]],
                "redelivery": self._redelivery.state(),
                "controls": self._controls.state(),
                "sources": self._sources.state(),
                "inspectors": self._inspectors.state(),
                "overflows": self._overflows.state(),
                "lanes": {lane.name: lane.state() for lane in self._lanes},
            }
        )

    @classmethod
    def restore(
        cls,
        data: bytes,
        settings: CoreSettings | None = None,
        only: Collection[str] | None = None,
    ) -> Self:
        """A pipeline that goes on where the snapshot was taken.

        Raises:
            BadSnapshot: broken, of another version, or made under other settings.
        """
        pipeline, state = cls(settings, only), unpack(data)
        if state["settings"] != pipeline.settings.fingerprint():
            raise BadSnapshot("snapshot was made under other settings")
        pipeline.position = state["position"]
        pipeline._counts = Counter(state["counts"])
        pipeline._clock.now_ms, pipeline._clock.copies = state["clock"]
        if state["held"]:
            position, record, time = state["held"]
            held = msgspec.json.decode(record, type=EventRecord)
            pipeline._clock.held = (position, held, time)
        pipeline._redelivery.load(state["redelivery"])
        pipeline._controls.load(state["controls"])
        pipeline._sources.load(state["sources"])
        pipeline._inspectors.load(state["inspectors"])
        pipeline._overflows.load(state["overflows"])
        for lane in pipeline._lanes:
            lane.load(state["lanes"][lane.name])
        return pipeline
