"""Shows single events to the detectors that ask for them."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from detectors.base import Detector, Verdict
from detectors.long_memory import LongMemory
from detectors.memory import Memory
from schemas.finding import Entity
from streams.columns import Columns
from streams.narrow import Narrow
from streams.part import Part
from streams.reports import DAY_MS, Reporter
from streams.shown import Shown

TOLD_LIMIT = 20_000  # findings of a detector about single events, remembered per generation


class Inspectors:
    """The detectors that inspect events, and which of their findings were told.

    Args:
        detectors: those in force.
        reporter: takes the findings.
    """

    def __init__(self, detectors: list[Detector], reporter: Reporter) -> None:
        asked = [detector for detector in detectors if detector.takes]
        self._detectors = [one for one in asked if one.only is None or one.only]  # else: no list
        self._narrow = [Narrow(detector) for detector in self._detectors]
        self._reporter = reporter
        self._muted: set[str] = set()
        self._told = {one.about.id: Memory(DAY_MS, TOLD_LIMIT) for one in self._detectors}

    def inspect(self, part: Part, columns: Columns) -> None:
        """Asks one detector after the other about the events it takes, in order of arrival."""
        for detector, narrow in zip(self._detectors, self._narrow, strict=True):
            if detector.about.id in self._muted:
                continue
            chosen = part.of(columns[detector.takes]).nonzero()[0]
            if len(chosen) and narrow.wanted:
                chosen = narrow(part, columns, chosen)
            if len(chosen):
                self._ask(detector, part, chosen, columns)

    def mute(self, detector: str) -> None:
        """Asks a detector no more."""
        self._muted.add(detector)

    def _ask(self, detector: Detector, part: Part, chosen: Any, columns: Columns) -> None:
        """Shows a detector the events it picks, with its memory at the time of each."""
        memory, clock = detector.memory, part.clock
        if memory is None:
            self._show(detector, part, chosen, columns)
            return
        horizon_ms, runs = memory.horizon_ms, [chosen]
        if int(clock[chosen[0]]) // horizon_ms != int(clock[chosen[-1]]) // horizon_ms:
            turns = np.flatnonzero(np.diff(clock[chosen] // horizon_ms)) + 1
            runs = np.split(chosen, turns)
        for some in runs:
            memory.tick(int(clock[some[0]]))
            self._show(detector, part, some, columns)

    def _show(self, detector: Detector, part: Part, chosen: Any, columns: Columns) -> None:
        shown = Shown(part, columns, chosen)
        inspect = detector.inspect
        if type(detector).pick is Detector.pick:
            times = shown.times.tolist()
            for at, event, time in zip(chosen.tolist(), shown.records(), times, strict=True):
                for verdict in inspect(event, time):
                    self._tell(detector, verdict, event, part.at(at))
            return
        for place in detector.pick(shown):
            event, at = shown.record(place), int(chosen[place])
            for verdict in inspect(event, int(shown.times[place])):
                self._tell(detector, verdict, event, part.at(at))

    def _tell(
        self, detector: Detector, verdict: Verdict, event: Any, times: tuple[int, int, int]
    ) -> None:
        """Tells a fact once a day."""
        entity = Entity(
            lane=detector.lane, id=verdict.entity or detector.entity(event) or "unknown"
        )
        day = (verdict.decisive[1] if verdict.decisive else times[0]) // DAY_MS
        name = "\0".join((entity.id, *map(str, verdict.parts), str(day)))
        told = self._told[detector.about.id]  # of its own, for the clock of each starts over
        told.tick(times[1])
        if told.get(name) is None:
            self._reporter.inspected(detector, entity, verdict, event, times)
        told.put(name, 1)

    def overflows(self) -> Iterator[tuple[str, int]]:
        """How often the memory of each detector was full, and the one of what it told."""
        for detector in self._detectors:
            name, memory = detector.about.id, detector.memory
            if memory is not None:
                yield name, memory.overflows
                if isinstance(memory, LongMemory):
                    yield f"{name}: long memory", memory.long.overflows
            yield f"{name}: told", self._told[name].overflows

    def state(self) -> dict[str, Any]:
        """Everything they remember, as plain values."""
        memories = {
            detector.about.id: detector.memory.state()
            for detector in self._detectors
            if detector.memory is not None
        }
        told = {name: memory.state() for name, memory in self._told.items()}
        return {"told": told, "memories": memories}

    def load(self, state: dict[str, Any]) -> None:
        """Puts back what `state` gave; a detector that is new begins without memories."""
        for detector in self._detectors:
            if detector.about.id in state["told"]:
                self._told[detector.about.id].load(state["told"][detector.about.id])
            if detector.memory is not None and detector.about.id in state["memories"]:
                detector.memory.load(state["memories"][detector.about.id])
