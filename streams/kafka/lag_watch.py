"""Looks at the lag now and then, for the metrics of a process that is not busy."""

import logging
import threading
import time
from pathlib import Path

from streams.configuration import BadConfig
from streams.kafka.clients import BrokerAway
from streams.kafka.lag import Lag, measure
from streams.kafka.settings import KafkaSettings

EVERY_S = 15.0
STOP_S = 2.0

log = logging.getLogger("tripmeter.lag")


class LagWatch:
    """The newest lag, measured in a thread of its own."""

    def __init__(self, kafka: KafkaSettings, base: Path, every_s: float = EVERY_S) -> None:
        self._kafka = kafka
        self._base = base
        self._every_s = every_s
        self._stopping = threading.Event()
        self._lag: Lag | None = None
        self._at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="lag", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it, at the latest with the process."""
        self._stopping.set()
        self._thread.join(STOP_S)

    def gauges(self) -> dict[str, float]:
        """Records that wait, and how old that knowledge is, in seconds."""
        if self._lag is None:
            return {}
        return {
            "kafka_lag_records": self._lag.total,
            "kafka_lost_records": sum(part.lost for part in self._lag.workers),
            "kafka_undelivered_records": sum(part.lag for part in self._lag.deliver),
            "kafka_lag_age_seconds": time.monotonic() - self._at,
        }

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._lag = measure(self._kafka, self._base)
                self._at = time.monotonic()
            except (BrokerAway, BadConfig) as error:
                log.warning("the lag is not known: %s", error)
            self._stopping.wait(self._every_s)
