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
from typing import Any, Protocol, TypeVar

from schemas.finding import Finding
from streams.disk import no_space
from streams.journal import Journal
from streams.journal_reader import JournalDamaged, JournalGap
from streams.own_findings import journal_gap
from streams.quarantine import Quarantine, Refused
from streams.store import Snapshot, Store

BLOCK_EVENTS = 2000  # lines judged at a time
IDLE_S = 0.5  # longest wait for a wake-up (another process may have appended)
RETRY_S = 1.0  # pause while the disk is full
TRIM_EVERY_S = 60.0

T = TypeVar("T")

log = logging.getLogger("tripmeter.judge")


class Core(Protocol):
    """What the runner needs of a pipeline."""

    position: int

    @property
    def stats(self) -> Any:
        """Counts of what became of every line."""

    def process(self, block: bytes) -> Any:
        """Judges lines."""

    def snapshot(self) -> bytes:
        """Everything it remembers."""


class OutOfStep(RuntimeError):
    """The pipeline counted other lines than the journal has; going on could lose or repeat some."""


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
                busy = self._step()
                if not busy and self._stopping.is_set():
                    break
                self._housekeeping()
                if not busy:
                    self._journal.wait(self.core.position, IDLE_S)
            if self.core.position != self._snapshot_position:
                self._keep(snapshot=self._snapshot())
        except Exception as error:
            self.failure = type(error).__name__
            # The text of an error may hold data; its type and place do not.
            log.error("judging stopped at position %d: %s", self.core.position, _where(error))
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
        try:
            batch = self._journal.read(self.core.position, BLOCK_EVENTS)
        except JournalDamaged as damage:
            self._gap(damage.first, damage.end)
            self.core.position = self._stored = damage.end
            return True
        except JournalGap as gap:
            self._gap(self.core.position, gap.oldest)
            self.core.position = self._stored = gap.oldest
            return True
        if batch is None:
            return False
        output = self.core.process(batch.data)
        if self.core.position != batch.first + batch.count:
            raise OutOfStep(f"{self.core.position} instead of {batch.first + batch.count}")
        if output.rejections:
            refused = [_refused(bad) for bad in output.rejections]
            self._patiently(lambda: self._quarantine.add_all(refused))
        self._keep(output.findings, output.rollups, output.heartbeats, self._due())
        self._stored = self.core.position
        self._progress = self._monotonic()
        return True

    def _housekeeping(self) -> None:
        if (snapshot := self._due()) is not None:
            self._keep(snapshot=snapshot)
        if self._monotonic() - self._trim_at >= TRIM_EVERY_S:
            self._trim_at = self._monotonic()
            self._journal.trim()

    def _due(self) -> Snapshot | None:
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


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
    return f"{type(error).__name__} at {place}"
