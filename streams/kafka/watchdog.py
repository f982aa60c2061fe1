"""Ends a worker that has work and does not get on; its supervisor starts it again.

Rebalances of a consumer group can leave a member that is assigned, alive and stuck. Nothing inside
it can be trusted to notice, so a thread of its own looks on.
"""

import asyncio
import io
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable

EXIT_STUCK = 75
LOOK_S = 1.0

log = logging.getLogger("tripmeter.watchdog")


class Watchdog:
    """Looks at a worker from outside its event loop.

    Args:
        waits: whether there is work that this worker should do now.
        moved_at: monotonic time at which it last got on.
        budget_s: seconds it may take.
        end: called with the exit code when it is over.
    """

    def __init__(
        self,
        waits: Callable[[], bool],
        moved_at: Callable[[], float],
        budget_s: float,
        loop: asyncio.AbstractEventLoop,
        end: Callable[[int], None] = os._exit,
    ) -> None:
        self._waits, self._moved_at, self._budget_s = waits, moved_at, budget_s
        self._loop, self._end = loop, end
        self._since: float | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._stopping.set()

    def look(self, now: float) -> bool:
        """Whether the worker is stuck: work has waited, and nothing moved, for the budget."""
        if not self._waits():
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - max(self._since, self._moved_at()) > self._budget_s

    def _run(self) -> None:
        last = time.monotonic()
        while not self._stopping.wait(LOOK_S):
            now = time.monotonic()
            if now - last > 2 * LOOK_S:
                self._since = None  # we were stopped ourselves; the loop gets its time first
            last = now
            if self.look(now):
                print(stacks(self._loop), file=sys.stderr, flush=True)
                log.error("work waits and nothing moved for %.0f s; ending", self._budget_s)
                self._end(EXIT_STUCK)
                return


def stacks(loop: asyncio.AbstractEventLoop) -> str:
    """Where every task and every thread stands; places only, no values."""
    out = io.StringIO()
    for task in asyncio.all_tasks(loop):
        out.write(f"task {task.get_name()}\n")
        for frame in task.get_stack(limit=12):
            code = frame.f_code
            out.write(f"  {code.co_filename}:{frame.f_lineno} {code.co_name}\n")
    for number, frame in sys._current_frames().items():
        out.write(f"thread {number}\n")
        for step in traceback.extract_stack(frame)[-12:]:
            out.write(f"  {step.filename}:{step.lineno} {step.name}\n")
    return out.getvalue()
