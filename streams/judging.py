"""The one thread that judges: journal lines go in, findings and snapshots come out, exactly once.

Position is everything: the pipeline knows how many lines it has seen, a snapshot carries that
number, and after a crash the journal is read again from there. Findings that come a second time
have the same id and revision and are already stored.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from schemas.finding import Finding
from streams.aside import Aside, Blame, Core, Muted, OutOfStep, where
from streams.disk import no_space
from streams.journal import Journal
from streams.journal_reader import JournalDamaged, JournalGap
from streams.own_findings import detector_muted, event_set_aside, journal_gap
from streams.quarantine import Quarantine, Refused
from streams.store import Snapshot, Store

BLOCK_EVENTS = 2000  # lines judged at a time
IDLE_S = 0.5  # longest wait for a wake-up (another process may have appended)
RETRY_S = 1.0  # pause while the disk is full
TRIM_EVERY_S = 60.0

T = TypeVar("T")

log = logging.getLogger("tripmeter.judge")


@dataclass(frozen=True, slots=True)
class Cadence:
    """When to make a snapshot: after so much time or so many events, whichever comes first."""

    snapshot_every_s: float = 30.0
    snapshot_every_events: int = 1_000_000


class Judge:
    """Runs a pipeline over a journal until told to stop.

    Args:
        core: the pipeline, at the position of the snapshot it was restored from, or at 0.
        judged: position of the newest snapshot, even if it could not be restored.
        again: the core of the newest stored snapshot that loads, or a new one; None when it cannot
            be had, and then the first failure of a detector is the last.
        restore: the core of a snapshot.
        found: called with the findings that are new, after they are stored.
        failed: called when judging cannot go on; the process should end.
    """

    def __init__(
        self,
        core: Core,
        journal: Journal,
        store: Store,
        quarantine: Quarantine,
        *,
        judged: int = 0,
        again: Callable[[], Core] | None = None,
        restore: Callable[[bytes], Core] | None = None,
        cadence: Cadence | None = None,
        found: Callable[[Sequence[Finding]], None] = lambda _: None,
        failed: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.core = core
        self.failure: str | None = None
        self.blocked: str | None = None
        self._journal = journal
        self._store = store
        self._quarantine = quarantine
        self._judged = max(judged, core.position)
        self._blame = None if again is None or restore is None else Blame(again, restore)
        self._stored = core.position
        self._cadence = cadence or Cadence()
        self._found = found
        self._failed = failed
        self._monotonic = monotonic
        self._progress = self._snapshot_at = self._trim_at = monotonic()
        self._snapshot_position = journal.watermark = core.position
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="judge", daemon=True)

    def start(self) -> None:
        """Begins to judge; nothing may be appended to the journal before."""
        self._align()
        self._stored = self.core.position
        self._thread.start()

    def stop(self) -> None:
        """Judges what the journal still holds, makes a snapshot, and returns."""
        self._stopping.set()
        self._journal.wake()
        self._thread.join()

    def lag(self) -> int:
        """Lines in the journal whose judgement is not yet stored."""
        return max(0, self._journal.end() - self._stored)

    def seconds_since_progress(self) -> float:
        """0 while there is nothing to do."""
        return self._monotonic() - self._progress if self.lag() else 0.0

    def record(self, findings: Sequence[Finding]) -> None:
        """Stores findings of the runner itself."""
        self._found(self._store.record(findings))

    def _run(self) -> None:
        try:
            while True:
                stopping = self._stopping.is_set()  # before the journal is looked at
                busy = self._step()
                if not busy and stopping:
                    break
                self._housekeeping()
                if not busy:
                    self._journal.wait(self.core.position, IDLE_S)
            if self.core.position != self._snapshot_position:
                self._keep(snapshot=self._snapshot())
        except Exception as error:
            self.failure = type(error).__name__
            # The text of an error may hold data; its type and place do not.
            log.error("judging stopped at position %d: %s", self.core.position, where(error))
            self._failed()

    def _align(self) -> None:
        """Makes journal and pipeline agree on where to go on, and announces what is missing."""
        position, oldest, end = self.core.position, self._journal.oldest(), self._journal.end()
        if self._judged > end:  # the journal was removed or restored: its numbers go on from ours
            self._journal.begin_at(self._judged)
            self._gap(end, self._judged)
            self.core.position = self._judged
        elif position < oldest:
            if self._judged < oldest:
                self._gap(self._judged, oldest)
            self.core.position = oldest

    def _step(self) -> bool:
        begun, blame = self.core.position, self._blame
        if blame is not None and blame.passed_over(begun):
            self.core.position += 1
            return True
        try:
            usual = BLOCK_EVENTS
            batch = self._journal.read(begun, blame.room(begun, usual) if blame else usual)
        except JournalDamaged as damage:
            self._gap(damage.first, damage.end)
            self.core.position = self._stored = damage.end
            return True
        except JournalGap as gap:
            self._gap(begun, gap.oldest)
            self.core.position = self._stored = gap.oldest
            return True
        if batch is None:
            return False
        if blame is not None and blame.suspect is not None and begun >= blame.suspect:
            self._carefully(blame, batch.data.split(b"\n")[:-1])
            return True
        try:
            output = self.core.process(batch.data)
        except Exception as error:
            if blame is None:
                raise
            self._rewind(blame, batch.first, error)
            return True
        if self.core.position != batch.first + batch.count:
            raise OutOfStep(f"{self.core.position} instead of {batch.first + batch.count}")
        self._take(output)
        return True

    def _take(self, output: Any) -> None:
        """Stores what judging brought to light."""
        if output.rejections:
            self._put_away([_refused(bad) for bad in output.rejections])
        self._keep(output.findings, output.rollups, output.heartbeats, self._due())
        self._moved()

    def _moved(self) -> None:
        self._stored = max(self._stored, self.core.position)
        self._progress = self._monotonic()

    # --- failures ---------------------------------------------------------------------------

    def _rewind(self, blame: Blame, position: int, error: Exception) -> None:
        """Goes back to the newest snapshot; the block that failed is judged with care then."""
        log.error("judging failed in the block at position %d: %s", position, where(error))
        blame.suspect = position
        self.core = blame.newest()
        self._judged = max(self._judged, self._snapshot_position)
        self._align()

    def _carefully(self, blame: Blame, lines: list[bytes]) -> None:
        """Judges the block that failed, without the events that make a detector fail."""
        for core, came in blame.judge(self.core, lines):
            self.core = core
            if isinstance(came, Aside):
                self._set_aside(came)
            elif isinstance(came, Muted):
                log.error("%s fails again and again: it is not asked any more", came.detector)
                self._keep([detector_muted(came, datetime.now(UTC))])
            else:
                self._take(came)
            self._moved()
        blame.suspect = None
        self._keep(snapshot=self._snapshot())

    def _set_aside(self, aside: Aside) -> None:
        log.error("the event at position %d is set aside: %s", aside.position, aside.error)
        place, told = f"journal:{aside.position}", f"it made judging fail ({aside.error})"
        self._put_away([Refused("journal", place, "canonical", "", told, aside.line)])
        self._keep([event_set_aside(aside, datetime.now(UTC))])

    def _put_away(self, refused: list[Refused]) -> None:
        self._patiently(lambda: self._quarantine.add_all(refused))

    def _housekeeping(self) -> None:
        if (snapshot := self._due()) is not None:
            self._keep(snapshot=snapshot)
        if self._monotonic() - self._trim_at >= TRIM_EVERY_S:
            self._trim_at = self._monotonic()
            self._journal.trim()
            self._quarantine.tidy()

    def _due(self) -> Snapshot | None:
        if self._blame is not None and self._blame.suspect is not None:
            return None  # older than the newest there is, or in the middle of a block
        events = self.core.position - self._snapshot_position
        waited = self._monotonic() - self._snapshot_at
        if events >= self._cadence.snapshot_every_events or (
            events and waited >= self._cadence.snapshot_every_s
        ):
            return self._snapshot()
        return None

    def _snapshot(self) -> Snapshot:
        return Snapshot(self.core.position, self.core.snapshot())

    def _keep(
        self,
        findings: Sequence[Finding] = (),
        rollups: Sequence[Any] = (),
        heartbeats: Sequence[Any] = (),
        snapshot: Snapshot | None = None,
    ) -> None:
        new = self._patiently(lambda: self._store.record(findings, rollups, heartbeats, snapshot))
        if new:
            self._found(new)
        if snapshot is not None:
            self._snapshot_at = self._monotonic()
            self._snapshot_position = snapshot.position
            self._journal.watermark = snapshot.position

    def _patiently(self, write: Callable[[], T]) -> T:
        """Writes, and while the disk is full waits for space: what was judged is not lost."""
        while True:
            try:
                result = write()
            except (sqlite3.Error, OSError) as error:
                if not no_space(error) or self._stopping.is_set():
                    raise
                if self.blocked is None:
                    log.error("results cannot be stored: %s; judging waits", error)
                self.blocked = str(error)
                self._stopping.wait(RETRY_S)
            else:
                self.blocked = None
                return result

    def _gap(self, wanted: int, oldest: int) -> None:
        log.error("events %d to %d are not in the journal and will not be judged", wanted, oldest)
        self._keep([journal_gap(wanted, oldest, datetime.now(UTC))])


def _refused(bad: Any) -> Refused:
    place = f"journal:{bad.position}"
    return Refused("journal", place, "canonical", bad.field, bad.reason, bad.raw)
