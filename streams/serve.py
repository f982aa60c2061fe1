"""The embedded runner: ingest, judging and alerting in one process, over one data directory."""

import fcntl
import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from schemas.adapters import Adapted, adapt
from schemas.finding import Finding
from schemas.identity import Pepper
from streams import tokens
from streams.decide import into_journal
from streams.delivery import Delivery
from streams.ingest import Ingest
from streams.journal import Journal, Limits
from streams.judging import Cadence, Judge
from streams.metrics import Metrics
from streams.pipeline import CoreSettings, Pipeline
from streams.quarantine import Quarantine
from streams.reload import Reload
from streams.serve_feed import serve_feed
from streams.settings import DAY_S, Settings
from streams.snapshot import BadSnapshot
from streams.store import Keep, Store
from streams.web import Server, address, listen
from streams.wiring import context, core_settings

EXIT_BUSY = 75  # another process uses the data directory
EXIT_FAILED = 70  # judging stopped; a supervisor should start us again

log = logging.getLogger("tripmeter.serve")


class DataInUse(Exception):
    """Another `serve` runs on this data directory."""


@contextmanager
def exclusive(data: Path) -> Iterator[None]:
    """Holds the data directory for this process.

    Raises:
        DataInUse: somebody else has it.
    """
    with (data / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            owner = file.read(20).strip() or "unknown"
            raise DataInUse(
                f"{data} is in use by another tripmeter serve (process {owner});"
                " stop it, or choose another --data"
            ) from None
        _write_owner(file)
        yield


def _write_owner(file: IO[str]) -> None:
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()


def serve(data: Path, settings: Settings, load: Callable[[], Settings] | None = None) -> int:
    """Serves until SIGTERM or SIGINT, then drains, makes a snapshot, and gives the exit code.

    Args:
        load: reads the configuration again, on SIGHUP; without it nobody listens to that.
    Raises:
        BadConfig: before anything of the data directory is touched where possible.
        DataInUse: another process serves from it.
    """
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with exclusive(data), ExitStack() as closing:
        if (plain := tokens.make_first(data)) is not None:
            log.info(
                "first run: an ingest token is in %s; only its hash is used from now on", plain
            )
        known = tokens.load(data, settings)
        pepper = Pepper.load(data / "pepper")
        listener = listen(settings)
        closing.callback(listener.close)
        return _serve(data, settings, load, known, pepper, listener, closing)


def _serve(
    data: Path,
    settings: Settings,
    load: Callable[[], Settings] | None,
    known: tokens.Tokens,
    pepper: Pepper,
    listener: socket.socket,
    closing: ExitStack,
) -> int:
    metrics = Metrics()
    quarantine = Quarantine(
        data,
        max_bytes=settings.quarantine.max_bytes,
        keep_s=settings.quarantine.keep_days * DAY_S,
    )
    closing.callback(quarantine.close)
    delivery = Delivery(data, settings)
    store = Store(
        data,
        url=settings.store.url(),
        router=delivery.router,
        policy=settings.incidents.policy(),
        keep=Keep(
            rollups_s=settings.store.rollups_keep_days * DAY_S,
            rollups=settings.store.max_rollups,
            findings=settings.store.max_findings,
            anchor_every_s=settings.store.anchor_every_s,
        ),
    )
    closing.callback(store.close)
    journal = open_journal(data, settings)
    closing.callback(journal.close)

    def found(findings: Sequence[Finding]) -> None:
        for finding in findings:
            metrics.found(finding.detector, finding.severity)
            log.info(
                "finding %s revision %d: %s (%s)",
                finding.id, finding.revision, finding.detector, finding.severity,
            )  # fmt: skip
        delivery.wake()

    server: Server | None = None

    def end() -> None:
        if server is not None:
            server.should_exit = True

    decides = core_settings(settings)
    core, judged = restore(store, decides)
    judge = Judge(
        core,
        journal,
        store,
        quarantine,
        judged=judged,
        again=lambda: restore(store, decides)[0],
        restore=lambda data: Pipeline.restore(data, decides),
        cadence=Cadence(settings.store.snapshot_every_s, settings.store.snapshot_every_events),
        found=found,
        failed=end,
    )

    def to_events(body: bytes, format: str, source: str, observed: datetime) -> Adapted:
        return adapt(body, format, context(settings, pepper.secret, source, observed))

    ingest = Ingest(
        settings.server,
        known,
        journal,
        quarantine,
        metrics,
        to_events,
        judge.record,
        lambda: _not_ready(judge, journal, settings),
    )
    closing.callback(ingest.close)
    metrics.watch(lambda: _reading(judge, journal, quarantine, delivery))
    server = Server(ingest.app())
    server.until_signal()
    if load is not None:
        Reload(load, delivery, settings).on_hangup()
    judge.start()
    delivery.start(store.alerts, judge.record, into_journal(journal))
    log.info("listening on %s", address(listener))
    with serve_feed(
        settings, store, into_journal(journal), lambda: _troubles(judge, journal, settings)
    ):
        server.run(sockets=[listener])
    log.info("stopping: %d events left to judge", judge.lag())
    judge.stop()
    delivery.stop()
    log.info("stopped at position %d", judge.core.position)
    return EXIT_FAILED if judge.failure else 0


def open_journal(data: Path, settings: Settings) -> Journal:
    """The journal of a data directory, within the limits of the configuration."""
    kept = settings.journal
    return Journal(
        data / "journal.db",
        Limits(kept.max_bytes, kept.keep_bytes, kept.keep_days * DAY_S),
    )


def restore(store: Store, core: CoreSettings) -> tuple[Pipeline, int]:
    """The pipeline of the newest snapshot that loads, or a new one, and what was judged before."""
    judged = 0
    for snapshot in store.snapshots():
        judged = max(judged, snapshot.position)
        try:
            pipeline = Pipeline.restore(snapshot.data, core)
        except Exception as error:  # of other settings, of another version, or damaged
            told = error if isinstance(error, BadSnapshot) else type(error).__name__
            log.warning("the snapshot at %d is not used: %s", snapshot.position, told)
            continue
        log.info("restored at position %d", snapshot.position)
        return pipeline, judged
    if judged:
        log.warning("the journal is judged again from the oldest event it has")
    return Pipeline(core), judged


def _troubles(judge: Judge, journal: Journal, settings: Settings) -> tuple[list[str], int]:
    return _not_ready(judge, journal, settings), judge.lag()


def _not_ready(judge: Judge, journal: Journal, settings: Settings) -> list[str]:
    reasons = []
    if judge.failure:
        reasons.append(f"judging stopped: {judge.failure}")
    if judge.blocked:
        reasons.append("findings cannot be stored: the disk is full")
    if journal.refusing():
        reasons.append("events cannot be stored: the journal or the disk is full")
    waited = judge.seconds_since_progress()
    if waited > settings.server.progress_budget_s:
        reasons.append(f"no progress for {waited:.0f} s with {judge.lag()} events waiting")
    return reasons


def _reading(
    judge: Judge, journal: Journal, quarantine: Quarantine, delivery: Delivery
) -> dict[str, Any]:
    stats = judge.core.stats
    names = ("events", "late", "duplicates", "conflicts", "merged", "rejected", "hidden")
    return {
        "counts": {f"judged_{name}": getattr(stats, name, 0) for name in names}
        | {"quarantine_dropped": quarantine.dropped()},
        "gauges": {
            "journal_bytes": journal.used_bytes(),
            "lag_events": judge.lag(),
            "position": judge.core.position,
            "seconds_since_progress": judge.seconds_since_progress(),
            "open_windows": getattr(stats, "open_windows", 0),
            "quarantine_entries": quarantine.count(),
        },
        "outbox": delivery.status(),
    }
