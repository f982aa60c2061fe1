"""SIGHUP: destinations and routes are read again, without a restart and without losing anything."""

import logging
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from streams.configuration import BadConfig
from streams.delivery import Delivery
from streams.settings import Settings

RELOADED = ("destinations", "routes")

log = logging.getLogger("tripmeter.serve")


class Reload:
    """Reads the configuration again when it is told to.

    Args:
        load: reads and checks the file.
        running: what is in force now.
    """

    def __init__(self, load: Callable[[], Settings], delivery: Delivery, running: Settings) -> None:
        self._load = load
        self._delivery = delivery
        self._running = running
        self._one = threading.Lock()

    def on_hangup(self) -> None:
        """Does so on every SIGHUP, in a thread of its own; call it from the main thread.

        In a terminal SIGHUP says that the terminal is gone, and ends the process as ever.
        """
        if sys.stdin is not None and sys.stdin.isatty():
            return

        def begin(*_: Any) -> None:
            threading.Thread(target=self.now, name="reload", daemon=True).start()

        signal.signal(signal.SIGHUP, begin)

    def now(self) -> bool:
        """Reads it; a configuration that cannot be used changes nothing, and is said to the log."""
        with self._one:
            try:
                settings = self._load()
            except BadConfig as error:
                log.error("the configuration is not used, the one before stays:\n%s", error)
                return False
            try:
                self._delivery.reload(settings)
            except ValueError as error:  # BadDestinations
                log.error("the destinations are not used, those before stay: %s", error)
                return False
            later = restart_needed(self._running, settings)
            log.info("destinations and routes are read again: %s", self._names())
            if later:
                log.warning("changed, but only a restart makes it count: %s", ", ".join(later))
            return True

    def _names(self) -> str:
        return ", ".join(self._delivery.router.names) or "none"


def restart_needed(before: Settings, after: Settings) -> list[str]:
    """Names of tables that differ and are not read again."""
    names = [name for name in Settings.model_fields if name not in (*RELOADED, "base")]
    return [name for name in names if getattr(before, name) != getattr(after, name)]
