"""Carries the outbox to the destinations: one thread each, so that none delays another.

One more thread does what time wants: it keeps this process's leases, and calls `chores`.
"""

import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from alerts.base import Sink
from alerts.courier import Courier
from alerts.outbox import MAX_DEAD, MAX_ERROR, Outbox
from alerts.outbox_lease import RENEW_S, Leases
from alerts.retry import Retry
from alerts.store_engine import Target, open_store
from alerts.text import scrub

IDLE_S = 5.0  # longest sleep with nothing to do (another process may have queued something)
CHORES_S = 1.0

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
        target: the store: a file, a URL, or an engine.
        sinks: the destinations; their names must differ. They are closed by `stop`.
        on_fault: called once with destination and reason when only an operator can help (or
            nothing got through for `retry.patience_s`), also across restarts.
        on_recovered: called once with the destination when it works again.
        chores: called every `CHORES_S`, such as `AlertStore.tick`.
        leases: which destinations this process may send to.
        wall: epoch seconds, for what is stored; `clock`: seconds, for what is waited.
        jitter: uniform in [0, 1).
    """

    def __init__(
        self,
        target: Target,
        sinks: Sequence[Sink],
        *,
        retry: Retry | None = None,
        on_fault: Callable[[str, str], None] = lambda name, reason: None,
        on_recovered: Callable[[str], None] = lambda name: None,
        chores: Callable[[], object] = lambda: None,
        max_dead: int = MAX_DEAD,
        leases: Leases | None = None,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._engine = open_store(target)
        self._leases = leases or Leases(self._engine)
        self._chores = chores
        self._wake = {sink.name: threading.Event() for sink in sinks}
        if len(self._wake) != len(sinks):
            raise ValueError("two destinations have the same name")
        self._sinks = tuple(sinks)
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._deadline = 0.0
        self._clock, self._wall = clock, wall
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
                may_send=self._leases.held,
            )
            for sink in sinks
        ]

    @property
    def destinations(self) -> tuple[str, ...]:
        """Their names, for `Outbox.enqueue`."""
        return tuple(self._wake)

    def start(self) -> None:
        """Begins with whatever is in the outbox."""
        for courier in self._couriers:
            self._begin(f"deliver-{courier.name}", partial(self._run, courier))
        self._begin("deliver", self._keep)

    def _begin(self, name: str, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, name=name, daemon=True)
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
            thread.name.removeprefix("deliver-")
            for thread in self._threads
            if thread.is_alive() and thread.name != "deliver"
        ]
        for sink in self._sinks:
            if sink.name not in busy:
                _close(sink)
        self._safely(lambda: self._leases.give_back(busy))
        return busy

    def status(self) -> dict[str, Status]:
        """Every destination, configured or with rows left."""
        return status(self._engine, self.destinations)

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

    def _run(self, courier: Courier) -> None:
        woken = self._wake[courier.name]
        outbox = Outbox(self._engine, self._wall)
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

    def _keep(self) -> None:
        renewed = self._clock()
        while not self._stopping.wait(CHORES_S):
            if self._clock() - renewed >= RENEW_S:
                renewed = self._clock()
                self._safely(self._leases.renew)
            self._safely(self._chores)

    def _safely(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # they come again
            said = isinstance(error, (sqlite3.Error, OSError))
            what = str(error) if said else type(error).__name__
            log.error("outbox: %s; trying again", scrub(what, MAX_ERROR))


def status(target: Target, destinations: Sequence[str] = ()) -> dict[str, Status]:
    """How every destination stands, read from the store; any process may ask."""
    outbox = Outbox(target)
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


def _close(sink: Sink) -> None:
    try:
        sink.close()
    except Exception as error:
        log.warning("destination %s: %s while closing", sink.name, type(error).__name__)
