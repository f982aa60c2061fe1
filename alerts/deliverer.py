"""Carries the outbox to the destinations: one thread each, so that none delays another."""

import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from alerts.base import Sink
from alerts.courier import Courier
from alerts.database import connect
from alerts.outbox import MAX_DEAD, Outbox
from alerts.retry import Retry

IDLE_S = 5.0  # longest sleep with nothing to do (another process may have queued something)

log = logging.getLogger("tripmeter.alerts")


@dataclass(frozen=True, slots=True)
class Status:
    """How one destination stands; the first four are rows.

    While it is on hold, everything that waits counts as `held`.
    """

    waiting: int = 0
    held: int = 0
    dead: int = 0
    delivered: int = 0
    on_hold: str | None = None
    last_error: str = ""


class Deliverer:
    """Threads that deliver until told to stop.

    Args:
        database: the file with the outbox's tables.
        sinks: the destinations; their names must differ. They are closed by `stop`.
        on_fault: called once with destination and reason when only an operator can help (or
            nothing got through for `retry.patience_s`), also across restarts.
        on_recovered: called once with the destination when it works again.
        wall: epoch seconds, for what is stored; `clock`: seconds, for what is waited.
        jitter: uniform in [0, 1).
    """

    def __init__(
        self,
        database: Path,
        sinks: Sequence[Sink],
        *,
        retry: Retry | None = None,
        on_fault: Callable[[str, str], None] = lambda name, reason: None,
        on_recovered: Callable[[str], None] = lambda name: None,
        max_dead: int = MAX_DEAD,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._wake = {sink.name: threading.Event() for sink in sinks}
        if len(self._wake) != len(sinks):
            raise ValueError("two destinations have the same name")
        self._sinks = tuple(sinks)
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._deadline = 0.0
        self._clock = clock
        self._couriers = [
            Courier(
                sink,
                retry=retry or Retry(),
                on_fault=on_fault,
                on_recovered=on_recovered,
                max_dead=max_dead,
                wall=wall,
                clock=clock,
                jitter=jitter,
                pause=self._stopping.wait,
            )
            for sink in sinks
        ]

    @property
    def destinations(self) -> tuple[str, ...]:
        """Their names, for `Outbox.enqueue`."""
        return tuple(self._wake)

    def start(self) -> None:
        """Begins with whatever is in the outbox.

        Raises:
            sqlite3.Error: the database cannot be opened.
        """
        for courier in self._couriers:
            connection = connect(self._database)
            thread = threading.Thread(
                target=self._run,
                args=(courier, connection),
                name=f"deliver-{courier.name}",
                daemon=True,
            )
            self._threads.append(thread)
            thread.start()

    def wake(self) -> None:
        """Says that there are new rows; never shortens a pause after a failure."""
        for event in self._wake.values():
            event.set()

    def stop(self, timeout_s: float = 10.0) -> list[str]:
        """Delivers what can be delivered at once, for at most `timeout_s`, then ends the threads.

        Returns:
            Destinations that were still busy; their rows come again at the next start.
        """
        self._deadline = self._clock() + timeout_s
        self._stopping.set()
        self.wake()
        end = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        busy = [
            thread.name.removeprefix("deliver-") for thread in self._threads if thread.is_alive()
        ]
        for sink in self._sinks:
            if sink.name not in busy:
                _close(sink)
        return busy

    def status(self) -> dict[str, Status]:
        """Every destination, configured or with rows left."""
        return status(self._database, self.destinations)

    def counts(self) -> dict[str, dict[str, int]]:
        """Destination -> state -> rows, for metrics."""
        return {
            name: {
                "waiting": now.waiting,
                "held": now.held,
                "dead": now.dead,
                "delivered": now.delivered,
            }
            for name, now in self.status().items()
        }

    def _run(self, courier: Courier, connection: sqlite3.Connection) -> None:
        woken = self._wake[courier.name]
        try:
            outbox = Outbox(connection)
            while not self._stopping.is_set() or self._clock() < self._deadline:
                woken.clear()
                delay = courier.step(outbox)
                if delay == 0.0:
                    continue
                if self._stopping.is_set():
                    break
                if delay is None:
                    woken.wait(IDLE_S)
                else:  # new rows do not shorten a pause
                    self._stopping.wait(delay)
        finally:
            connection.close()


def status(database: Path, destinations: Sequence[str] = ()) -> dict[str, Status]:
    """How every destination stands, read from the database; any process may ask."""
    connection = connect(database)
    try:
        outbox = Outbox(connection)
        counts, holds = outbox.counts(), outbox.holds()
        result = {}
        for name in dict.fromkeys((*destinations, *counts)):
            rows = counts.get(name, {})
            waiting, held = rows.get("waiting", 0), rows.get("held", 0)
            hold = holds.get(name)
            result[name] = Status(
                waiting=0 if hold else waiting,
                held=held + waiting if hold else held,
                dead=rows.get("dead", 0),
                delivered=rows.get("delivered", 0),
                on_hold=hold.reason if hold else None,
                last_error=outbox.last_error(name),
            )
        return result
    finally:
        connection.close()


def _close(sink: Sink) -> None:
    try:
        sink.close()
    except Exception as error:
        log.warning("destination %s: %s while closing", sink.name, type(error).__name__)
