"""`tripmeter ingest`: the same endpoints as `serve`, in front of the events topic."""

import asyncio
import logging
from datetime import datetime
from pathlib import Path
from typing import Any

from schemas.adapters import Adapted, Rejected, adapt
from schemas.identity import Pepper
from streams import tokens
from streams.configuration import BadConfig
from streams.ingest import Ingest
from streams.kafka import installation
from streams.kafka.appender import Appender
from streams.kafka.invalid import find_seal
from streams.kafka.records import MAX_EVENT_BYTES
from streams.metrics import Metrics
from streams.settings import Settings
from streams.web import Server, address, listen
from streams.wiring import context

EXIT_FAILED = 70  # the producer cannot go on; a supervisor should start us again
WATCH_S = 0.5

log = logging.getLogger("tripmeter.ingest")


def ingest(data: Path, settings: Settings) -> int:
    """Takes events in until SIGTERM or SIGINT; gives the exit code.

    Raises:
        BadConfig: before anything listens; another pepper than the installation's is one.
        BrokerAway: no broker answered.
    """
    kafka, base = settings.kafka, settings.base
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    pepper = shared_pepper(settings, data)
    seal = find_seal(kafka, base, data)
    if (plain := tokens.make_first(data)) is not None:
        log.info("first run: an ingest token is in %s; only its hash is used from now on", plain)
    known = tokens.load(data, settings)
    listener = listen(settings)
    appender = Appender(kafka, base, seal)
    metrics = Metrics()
    endpoints = Ingest(
        settings.server,
        known,
        appender,
        appender,
        metrics,
        _adapter(settings, pepper),
        appender.record,
        lambda: not_ready(appender),
    )
    metrics.watch(lambda: _reading(appender))
    server = Server(endpoints.app())
    server.until_signal()

    async def run() -> None:
        await appender.start()
        watch = asyncio.create_task(_watch(appender, server))
        log.info("listening on %s", address(listener))
        try:
            await server.serve(sockets=[listener])
        finally:
            watch.cancel()
            await appender.stop()

    try:
        asyncio.run(run())
    finally:
        endpoints.close()
        listener.close()
    return EXIT_FAILED if appender.failure else 0


def shared_pepper(settings: Settings, data: Path) -> Pepper:
    """The installation's pepper, made here only when the installation has none yet.

    Raises:
        BadConfig: the installation has one and this process has none, or another.
    """
    kafka, base = settings.kafka, settings.base
    pepper = installation.find_pepper(kafka, base, data)
    agreed = installation.agree(kafka, base, pepper)
    if pepper is not None:
        return pepper
    if agreed.pepper is not None:
        raise BadConfig(
            [
                f"kafka.pepper_file: the installation has {agreed.pepper} and {data} has no pepper;"
                " copy its `pepper` file here (mode 0600), or name it with kafka.pepper_file"
            ]
        )
    made = installation.make_pepper(kafka, base, data)
    installation.agree(kafka, base, made)
    log.info("first pepper of this installation: %s/pepper; every process needs a copy", data)
    return made


def not_ready(appender: Appender) -> list[str]:
    """Why `/readyz` says 503."""
    reasons = []
    if appender.failure:
        reasons.append(appender.failure)
    if appender.away_s:
        reasons.append(f"no broker has answered for {appender.away_s:.0f} s")
    return reasons


def _adapter(settings: Settings, pepper: Pepper) -> Any:
    def to_events(body: bytes, format: str, source: str, observed: datetime) -> Adapted:
        adapted = adapt(body, format, context(settings, pepper.secret, source, observed))
        large = [line for line in adapted.events if len(line) > MAX_EVENT_BYTES]
        if not large:
            return adapted
        reason = f"an event of more than {MAX_EVENT_BYTES} bytes"
        refused = [Rejected("", reason, line, index) for index, line in enumerate(large)]
        kept = [line for line in adapted.events if len(line) <= MAX_EVENT_BYTES]
        return Adapted(kept, [*adapted.rejections, *refused], adapted.ignored)

    return to_events


async def _watch(appender: Appender, server: Server) -> None:
    while not server.should_exit:
        if appender.failure:
            log.error("%s", appender.failure)
            server.should_exit = True
        await asyncio.sleep(WATCH_S)


def _reading(appender: Appender) -> dict[str, Any]:
    gauges = {"kafka_away_seconds": appender.away_s, "ingest_waiting_appends": appender.waiting}
    return {"gauges": gauges}
