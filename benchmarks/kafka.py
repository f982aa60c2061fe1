"""What workers do on a real broker on the same machine, beside what the obvious builds do.

    python benchmarks/make_events.py events.ndjson --span 600
    python benchmarks/kafka.py events.ndjson [--events 1000000] [--workers 1,2] \\
        [--quix PYTHON] [--bytewax PYTHON]

The events are on a topic of four partitions before anything is measured: one event a record, lz4,
with the key's id as key. Then, one after the other and from the same topic: `tripmeter worker` with
the full catalog until every event is judged, then the builds of `kafka_peers.py`, which says what
each is and what it is spared. At last every one of them is compared with one worker of this run,
and who is faster than we are is said.

Quix Streams and Bytewax need environments of their own, and are skipped without:

    python3 -m venv ../quix && ../quix/bin/pip install quixstreams river
    python3 -m venv ../bytewax && ../bytewax/bin/pip install bytewax confluent-kafka orjson river
    ... --quix ../quix/bin/python --bytewax ../bytewax/bin/python

Wall time is from the first event to the last, the broker's share of the cores included: of a worker
until every lane has judged everything, and until the first lane has. CPU time is of the consumers
alone. The others read as much of the topic as takes them some ten seconds on an idle machine, which
for a million events needs all of it.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[0] = str(ROOT)  # instead of this folder, where this file would pass for the library

import httpx  # noqa: E402

from benchmarks.kafka_cluster import cpu_s, load, made, produce, rss_mib  # noqa: E402
from benchmarks.kafka_peers import LONGEST_S, ROLES, Measured, compared  # noqa: E402

CHUNK = 4000
START_S = 60.0
STALLED_S = 120.0


def main() -> None:
    """Prints one line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--workers", default="1", help="how many at a time, with commas")
    for name, engine in (("quix", "Quix Streams"), ("bytewax", "Bytewax")):
        parser.add_argument(f"--{name}", metavar="PYTHON", help=f"of {engine}'s environment")
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    from tests.kafka_broker import running

    with options.file.open("rb") as file:
        lines = [line.rstrip() for _, line in zip(range(options.events), file, strict=False)]
    pythons = {"": sys.executable, "quix": options.quix, "bytewax": options.bytewax}
    with running() as broker, tempfile.TemporaryDirectory() as folder:
        counts = [int(count) for count in options.workers.split(",")]
        found = {n: measure_workers(broker, Path(folder), lines, n) for n in counts}
        if options.no_peers:
            return
        topic, others = f"bench{counts[0]}.events", dict[str, Measured]()
        for name, role in ROLES.items():
            python = pythons[role.needs]
            if not python:
                print(f"{name:14s} skipped: no --{role.needs} PYTHON", flush=True)
            elif one := peer(python, name, broker.bootstrap, topic, len(lines), folder):
                others[name] = one
    if 1 in found:
        for name, one in others.items():
            print(compared(found[1], name, one))


def _judged(workers: list[Any]) -> int:
    texts = [worker.probe("/metrics")[1] for worker in workers]
    found = [line for text in texts for line in text.splitlines()]
    name = "tripmeter_judged_events_total "
    return sum(int(float(line.removeprefix(name))) for line in found if line.startswith(name))


def measure_workers(broker: Any, folder: Path, lines: list[bytes], count: int) -> Measured:
    """Workers from their first event to their last."""
    name = f"bench{count}"
    there = made(broker, folder, name)
    from streams.kafka.lag import measure

    topic = there.names.events
    try:
        chunks = (lines[at : at + CHUNK] for at in range(0, len(lines), CHUNK))
        asyncio.run(produce(broker.bootstrap, topic, chunks))
        (folder / "topic").write_text(topic)
        begun, cpu, done = 0.0, 0.0, 0
        workers = [there.worker() for _ in range(count)]
        for worker in workers:
            worker.ready()
        cpu = sum(cpu_s(worker.pid) for worker in workers)
        begun = moved = time.monotonic()
        while done < len(lines) and time.monotonic() - moved < STALLED_S:
            time.sleep(0.5)
            try:
                now = _judged(workers)
            except httpx.TimeoutException:  # it compiles its loops
                continue
            moved, done = (time.monotonic() if now > done else moved), now
        first = time.monotonic() - begun
        while measure(there.kafka).total and time.monotonic() - moved < STALLED_S:
            time.sleep(0.2)
        wall = time.monotonic() - begun
        cpu = sum(cpu_s(worker.pid) for worker in workers) - cpu
        rss = sum(rss_mib(worker.pid) for worker in workers)
        print(
            f"worker x{count}  {done} of {len(lines)} events, {done / wall:,.0f} events/s"
            f" ({done / first:,.0f} in the first lane),"
            f" {1e6 * cpu / max(done, 1):.1f} us CPU an event, {rss} MiB; {load()}",
            flush=True,
        )
        _lanes(broker, there, len(lines))
        return Measured(max(done, 1), wall, cpu)
    finally:
        there.end()


def _lanes(broker: Any, there: Any, events: int) -> None:
    """What each lane's topic holds, from the broker's files."""
    from streams.kafka.lanes import SPECS

    data = broker.folder / "data"
    for spec in SPECS:
        topic = there.names.lane(spec.name)
        files = [file for part in data.glob(f"{topic}-*") for file in part.glob("*.log")]
        size = sum(_used(file) for file in files)
        records = sum(part.end for part in _ends(there, topic))
        print(
            f"  lane {spec.name:11s} {records:8d} records, {size / events:7.1f} bytes"
            " for each event of the stream",
            flush=True,
        )


def _used(file: Path) -> int:
    return file.stat().st_blocks * 512


def _ends(there: Any, topic: str) -> list[Any]:
    from streams.kafka.lag import measure

    return [part for part in measure(there.kafka).workers if part.topic == topic]


# --- the others ---------------------------------------------------------------------------------


def peer(
    python: str, role: str, bootstrap: str, topic: str, most: int, folder: str
) -> Measured | None:
    """Runs one of the others in a process of its own, which writes into a folder that goes."""
    script = Path(__file__).with_name("kafka_peers.py")
    wanted = min(ROLES[role].events, most)
    command = [str(Path(python).absolute()), str(script), role, bootstrap, topic, str(wanted)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=START_S + LONGEST_S, cwd=folder
        )
        one = Measured(**json.loads(done.stdout))
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        said = done.stderr.strip()[-500:] if isinstance(error, ValueError) else error
        print(f"{role:14s} failed: {said}", flush=True)
        return None
    print(
        f"{role:14s} {one.events} events{'' if one.events >= wanted else f' of {wanted}'},"
        f" {one.rate:,.0f} events/s, {one.cpu_us:.1f} us CPU an event; {load()}",
        flush=True,
    )
    return one


if __name__ == "__main__":
    main()
