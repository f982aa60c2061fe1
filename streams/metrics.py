"""What Prometheus may know about this process: counts and times, never contents."""

import re
import time
from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

MAX_REASONS = 64  # distinct labels of rejections; further ones are counted as "other"
MAX_DETECTORS = 256
MAX_LABEL = 60  # characters
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_NUMBER = re.compile(r"\d+(\.\d+)?")

Reading = Callable[[], dict[str, Any]]


class Metrics:
    """Counters of one process, in a registry of their own."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.registry = CollectorRegistry()
        self._monotonic = monotonic
        self._reasons: set[str] = set()
        self._detectors: set[str] = set()
        make = self.registry
        self.events = Counter(
            "tripmeter_events_total", "Events accepted into the journal", ["source"], registry=make
        )
        self.ignored = Counter(
            "tripmeter_ignored_total",
            "Records that are not about model or tool calls",
            ["source"],
            registry=make,
        )
        self._rejected = Counter(
            "tripmeter_rejected_total", "Records not accepted", ["source", "reason"], registry=make
        )
        self._findings = Counter(
            "tripmeter_findings_total",
            "New finding revisions",
            ["detector", "severity"],
            registry=make,
        )
        self.requests = Counter(
            "tripmeter_ingest_requests_total", "Answers given", ["path", "status"], registry=make
        )
        self.latency = Histogram(
            "tripmeter_ingest_seconds", "Time to answer", ["path"], registry=make
        )

    def rejected(self, source: str, reason: str, count: int = 1) -> None:
        """Counts refused records by the first words of the reason, whatever numbers are in it."""
        kind = _NUMBER.sub("N", reason)[:MAX_LABEL]
        self._rejected.labels(source, _bounded(kind, self._reasons, MAX_REASONS)).inc(count)

    def found(self, detector: str, severity: str) -> None:
        """Counts a new finding revision."""
        detector = _bounded(detector, self._detectors, MAX_DETECTORS)
        self._findings.labels(detector, severity).inc()

    def watch(self, reading: Reading) -> None:
        """Adds gauges that are read when somebody asks.

        Args:
            reading: gives `late`, `duplicates`, `merged`, `judged` (counts), `gauges` (name ->
                value) and `outbox` (destination -> state -> rows).
        """
        self.registry.register(_Live(reading))

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self.registry)


class _Live:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        now = self._reading()
        for name, value in now.get("counts", {}).items():
            yield CounterMetricFamily(f"tripmeter_{name}", f"Events: {name}", value=value)
        for name, value in now.get("gauges", {}).items():
            yield GaugeMetricFamily(f"tripmeter_{name}", name.replace("_", " "), value=value)
        outbox = GaugeMetricFamily(
            "tripmeter_outbox_rows", "Findings not yet delivered", labels=["destination", "state"]
        )
        for destination, states in now.get("outbox", {}).items():
            for state, rows in states.items():
                outbox.add_metric([destination, state], rows)
        yield outbox


def _bounded(label: str, known: set[str], limit: int) -> str:
    if label not in known:
        if len(known) >= limit:
            return "other"
        known.add(label)
    return label
