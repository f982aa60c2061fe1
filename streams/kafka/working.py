"""One `tripmeter worker` process from start to end."""

import asyncio
import gc
import logging
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

from streams.configuration import BadConfig
from streams.kafka import installation
from streams.kafka.instance import TooManyWorkers, instance
from streams.kafka.invalid import find_seal
from streams.kafka.probes import application
from streams.kafka.watchdog import Watchdog
from streams.kafka.worker import Worker
from streams.settings import Settings
from streams.web import Server, address, listen

EXIT_FAILED = 70  # the worker cannot go on; a supervisor should start it again
EXIT_BUSY = 75
COLLECT_S = 20.0
SILENT_S = 120.0  # an assigned partition of which no broker says anything for so long

log = logging.getLogger("tripmeter.worker")


def work(data: Path, settings: Settings) -> int:
    """Works until SIGTERM or SIGINT; gives the exit code.

    Raises:
        BadConfig: topics are missing, or shards or the pepper are others.
        BrokerAway: no broker answered.
    """
    kafka, base = settings.kafka, settings.base
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    pepper = installation.find_pepper(kafka, base, data)
    agreed = installation.agree(kafka, base, pepper)
    settings = settings.model_copy(update={"kafka": agreed.settle(kafka)})
    seal = find_seal(kafka, base, data)
    if pepper is None:
        log.info("no pepper here: raw keys and contents are refused, canonical events need none")
    if kafka.accept_raw:
        log.warning("accept_raw: prompts and answers may be on %s.events", kafka.prefix)
    listener = listen(settings)
    try:
        with instance(data) as name:
            worker = Worker(settings, data, pepper, seal, name)
            asyncio.run(_run(worker, settings, listener))
    except TooManyWorkers as error:
        raise BadConfig([f"--data: {error}"]) from None
    finally:
        listener.close()
    return EXIT_FAILED if worker.failure else 0


async def _run(worker: Worker, settings: Settings, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stopping.set)
    gc.freeze()
    gc.disable()  # records hold no cycles; what Faust leaves is collected now and then
    worker.metrics.watch(lambda: reading(worker))
    server = Server(application(worker.metrics, lambda: not_ready(worker)))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    collecting = asyncio.create_task(_collect())
    watchdog = Watchdog(
        lambda: waits(worker),
        lambda: worker.moved_at,
        settings.server.progress_budget_s,
        loop,
    )
    watchdog.start()
    log.info("worker %s; probes on %s", worker.instance, address(listener))
    try:
        await worker.run()
    finally:
        watchdog.stop()
        collecting.cancel()
        server.should_exit = True
        await serving
    # Faust's own shutdown waits for streams that nobody needs any more; all is written down.
    logging.shutdown()
    os._exit(EXIT_FAILED if worker.failure else 0)


async def _collect() -> None:
    while True:
        await asyncio.sleep(COLLECT_S)
        gc.collect(1)


def waits(worker: Worker) -> bool:
    """Whether records wait for this worker, as far as the broker said; or it says nothing more."""
    consumer = worker.app.consumer
    for tp, one in {**worker.routes.routes, **worker.runs.runs}.items():
        seen = consumer.end_seen(tp)
        if seen is None:
            continue
        behind = seen.end > max(one.expect, seen.position, seen.delivered + 1)
        taken = seen.delivered >= one.expect
        if behind or taken or time.time() - seen.when_ms / 1000 > SILENT_S:
            return True
    return False


def not_ready(worker: Worker) -> list[str]:
    """Why `/readyz` says 503."""
    reasons = [worker.failure] if worker.failure else []
    if not worker.assigned_at:
        reasons.append("no partitions yet")
    elif waits(worker) and (quiet := time.monotonic() - worker.moved_at) > 10:
        reasons.append(f"no progress for {quiet:.0f} s with records waiting")
    return reasons


def reading(worker: Worker) -> dict[str, Any]:
    """Figures for `/metrics`."""
    runs = list(worker.runs.runs.values())
    first = [pipe.stats for run in runs if run.first
             for pipe in run.shard.pipelines.values()]  # fmt: skip
    names = ("events", "late", "duplicates", "conflicts", "merged", "hidden")
    return {
        "counts": {f"judged_{name}": sum(getattr(one, name) for one in first) for name in names}
        | {
            "lost_records": worker.lost,
            "lane_gaps": sum(run.shard.gaps for run in runs),
            "unreadable_lane_records": sum(run.shard.unreadable for run in runs),
        },
        "gauges": {
            "assigned_partitions": len(worker.routes.routes),
            "assigned_shards": len(runs),
            "waiting_events": sum(run.shard.merge.waiting for run in runs),
            "seconds_since_progress": time.monotonic() - worker.moved_at,
            "snapshot_bytes": worker.runs.snapshot_bytes,
            "snapshot_pause_seconds": worker.runs.longest_pause_s,
            "restore_seconds": worker.restoring_s,
        },
    }
