"""Delivers one destination's rows in order: retries, holds, bisects, and loses none.

A step is one look at the queue; the thread around it only sleeps. What is told apart:
`RetryLater` pauses the destination, `RetryLater(operator=True)` holds it and tells the operator
once, `Rejected` is bisected until the one record that is refused is alone and becomes a dead
letter, `Partly` says all of that of each record, `NotYet` is no failure. After `BREAKER` failures
in a row one record alone is tried until the destination takes it. Sending comes before recording,
so a crash between the two sends again under the same key.
"""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from typing import NoReturn

from alerts.base import NotYet, Partly, Rejected, RetryLater, Sink
from alerts.outbox import MAX_ERROR, Outbox, Row
from alerts.outbox_lease import RENEW_S
from alerts.retry import Retry
from alerts.text import scrub

RECORD_RETRY_S = 1.0  # pause while the outbox itself cannot be written
BREAKER = 3  # failures in a row after which only one record is risked at a time

log = logging.getLogger("tripmeter.alerts")


class Courier:
    """One destination and where it stands; use it from one thread.

    Args: as of `Deliverer`; `may_send` says whether this process is the one that sends there,
        `pause` sleeps for some seconds and says whether we are stopping.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        retry: Retry,
        on_fault: Callable[[str, str], None],
        on_recovered: Callable[[str], None],
        max_dead: int,
        wall: Callable[[], float],
        clock: Callable[[], float],
        jitter: Callable[[], float],
        pause: Callable[[float], bool],
        may_send: Callable[[str], bool] = lambda name: True,
    ) -> None:
        self.name = sink.name
        self._sink = sink
        self._retry = retry
        self._on_fault = on_fault
        self._on_recovered = on_recovered
        self._max_dead = max_dead
        self._wall = wall
        self._clock = clock
        self._jitter = jitter
        self._pause = pause
        self._may_send = may_send
        self._failures = 0
        self._failing_since: float | None = None
        self._held: bool | None = None  # None until read from the database
        self._not_before: float | None = None

    def step(self, outbox: Outbox) -> float | None:
        """Tries the next batch.

        Returns:
            Seconds until it makes sense to try again: 0 when there may be more to do at once, None
            when nothing is queued.
        """
        try:
            return self._step(outbox)
        except Exception as error:  # a thread that ends would be silence
            said = isinstance(error, (sqlite3.Error, OSError))
            what = str(error) if said else type(error).__name__
            log.error("outbox of %s: %s; trying again", self.name, scrub(what, MAX_ERROR))
            return RECORD_RETRY_S

    def _step(self, outbox: Outbox) -> float | None:
        open_breaker = self._failures >= BREAKER
        rows = outbox.pending(self.name, 1 if open_breaker else self._sink.batch)
        if not rows:
            return None
        if not self._may_send(self.name):  # another process does; it may die
            self._held = self._not_before = None
            return RENEW_S
        if self._held is None:
            self._held = self.name in outbox.holds()
        now = self._clock()
        if self._not_before is None:  # after a start: what was asked for before it still counts
            left = rows[0].next_try - self._wall()
            self._not_before = now + max(0.0, min(left, self._retry.asked_cap_s))
        if now < self._not_before:
            return self._not_before - now
        try:
            self._deliver(outbox, rows)
        except _Paused as paused:
            return paused.seconds
        return 0.0

    def _deliver(self, outbox: Outbox, rows: Sequence[Row]) -> None:
        readable = []
        for row in rows:
            try:
                readable.append(row.delivery())
            except ValueError:
                if len(rows) == 1:
                    return self._bury(outbox, row, "what is stored cannot be read back")
                return self._halves(outbox, rows)
        try:
            self._sink.send(readable)
        except Rejected as error:
            if len(rows) > 1:
                return self._halves(outbox, rows)
            return self._bury(outbox, rows[0], str(error))
        except Partly as error:
            return self._each(outbox, rows, error)
        except NotYet as error:
            raise _Paused(error.after_s or 0.0) from None
        except RetryLater as error:
            self._postpone(outbox, rows, str(error), error.after_s, error.operator)
        except Exception as error:  # a bug in a sink must not lose anything
            # its text may hold content, its name does not
            self._postpone(outbox, rows, f"unexpected {type(error).__name__}", None, False)
        self._record(lambda: outbox.delivered(self.name, rows))
        return self._works(outbox)

    def _each(self, outbox: Outbox, rows: Sequence[Row], said: Partly) -> None:
        taken = [row for row in rows if row.key in said.taken]
        if taken:
            self._record(lambda: outbox.delivered(self.name, taken))
            self._works(outbox)
        for row in rows:
            if row.key in said.rejected and row.key not in said.taken:
                self._bury(outbox, row, said.rejected[row.key])
        rest = [row for row in rows if row.key not in said.taken and row.key not in said.rejected]
        if rest and isinstance(said.later, NotYet):
            raise _Paused(said.later.after_s or 0.0)
        if rest:
            later = said.later or RetryLater("nothing was said about this record")
            self._postpone(outbox, rest, str(later), later.after_s, later.operator)

    def _halves(self, outbox: Outbox, rows: Sequence[Row]) -> None:
        middle = len(rows) // 2
        self._deliver(outbox, rows[:middle])
        self._deliver(outbox, rows[middle:])

    def _bury(self, outbox: Outbox, row: Row, reason: str) -> None:
        if outbox.counts().get(self.name, {}).get("dead", 0) >= self._max_dead:
            full = f"{self._max_dead} records were refused; retry or discard them (last: {reason})"
            self._postpone(outbox, [row], full, None, True)
        self._record(lambda: outbox.bury(self.name, row, reason))
        log.warning("%s refused %s: %s", self.name, row.key, scrub(reason, MAX_ERROR))
        self._works(outbox)

    def _postpone(
        self,
        outbox: Outbox,
        rows: Sequence[Row],
        reason: str,
        after_s: float | None,
        operator: bool,
    ) -> NoReturn:
        now = self._clock()
        self._failures += 1
        if self._failing_since is None:
            self._failing_since = now
        operator = operator or now - self._failing_since >= self._retry.patience_s
        if operator and after_s is None:
            delay = self._retry.hold_s
        else:
            delay = self._retry.pause(self._failures, after_s, self._jitter)
        self._not_before = now + delay
        if operator and not self._held:
            reason = scrub(reason, MAX_ERROR)
            log.error("%s is on hold: %s", self.name, reason)
            if self._tell(lambda: self._on_fault(self.name, reason)):
                self._record(lambda: outbox.hold(self.name, self._wall(), reason))
                self._held = True
        elif self._failures == 1:
            log.warning("%s: %s; trying again", self.name, scrub(reason, MAX_ERROR))
        held = operator or bool(self._held)
        next_try = self._wall() + delay
        self._record(lambda: outbox.postpone(self.name, rows, next_try, reason, held=held))
        raise _Paused(delay)

    def _works(self, outbox: Outbox) -> None:
        self._failures = 0
        self._failing_since = None
        if self._held:
            self._record(lambda: outbox.release(self.name))
            self._held = False
            log.info("%s works again", self.name)
            self._tell(lambda: self._on_recovered(self.name))

    def _record(self, write: Callable[[], None]) -> None:
        while True:  # sending again because we could not note it would be a duplicate
            try:
                return write()
            except (sqlite3.Error, OSError) as error:
                log.error("outbox: %s; trying again", scrub(str(error), MAX_ERROR))
                if self._pause(RECORD_RETRY_S):
                    raise

    def _tell(self, call: Callable[[], None]) -> bool:
        try:
            call()
        except Exception as error:
            log.error("%s: %s while telling the operator", self.name, type(error).__name__)
            return False
        return True


class _Paused(Exception):
    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds
