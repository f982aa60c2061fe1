"""What workers do on a real broker on the same machine, beside what the obvious builds do.

    python benchmarks/make_events.py events.ndjson --span 600
    python benchmarks/kafka.py events.ndjson [--events 1000000] [--workers 1,2] [--quix PYTHON]

The events are on a topic of four partitions before anything is measured: one event a record, lz4,
with the key's id as key. Then, one after the other and from the same topic:

    worker    `tripmeter worker` with the full catalog, until every event is judged
    plain     a Faust agent, `async for`, msgspec and a dict of counters
    obvious   a Faust agent, pydantic and one river HalfSpaceTrees
    quix      Quix Streams, JSON and one HalfSpaceTrees a key (own environment: --quix PYTHON)

Wall time is from the first event to the last, the broker's share of the cores included: of a worker
until every lane has judged everything, and until the first lane has. CPU time is of the consumers
alone. The obvious builds read a part of the topic, they are too slow for more.
"""

import argparse
import asyncio
import os
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

CHUNK = 4000
PART_EVENTS = {"plain": 60_000, "obvious": 30_000, "quix": 20_000}
START_S = 60.0
STALLED_S = 120.0


def main() -> None:
    """Prints one line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--workers", default="1", help="how many at a time, with commas")
    parser.add_argument(
        "--quix", metavar="PYTHON", help="of an environment with quixstreams, river"
    )
    parser.add_argument("--no-peers", action="store_true")
    options = parser.parse_args()
    from tests.kafka_broker import running

    with options.file.open("rb") as file:
        lines = [line.rstrip() for _, line in zip(range(options.events), file, strict=False)]
    with running() as broker, tempfile.TemporaryDirectory() as folder:
        for count in map(int, options.workers.split(",")):
            measure_workers(broker, Path(folder), lines, count)
        if not options.no_peers:
            for role in ("plain", "obvious"):
                peer(sys.executable, role, broker.bootstrap, f"tripmeter-{role}")
            if options.quix:
                peer(options.quix, "quix", broker.bootstrap, "tripmeter-quix")
            else:
                print("quix      skipped: no --quix PYTHON")


def _judged(workers: list[Any]) -> int:
    texts = [worker.probe("/metrics")[1] for worker in workers]
    found = [line for text in texts for line in text.splitlines()]
    name = "tripmeter_judged_events_total "
    return sum(int(float(line.removeprefix(name))) for line in found if line.startswith(name))


def measure_workers(broker: Any, folder: Path, lines: list[bytes], count: int) -> None:
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


def peer(python: str, role: str, bootstrap: str, group: str) -> None:
    """Runs one of the others in a process of its own, over the topic of one worker."""
    command = [python, __file__, "--role", role, bootstrap, "bench1.events", group]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    print(done.stdout.strip() or f"{role:9s} failed: {done.stderr.strip()[-300:]}", flush=True)


class Count:
    """Counts events of one of the others, and ends the process when it has seen enough."""

    def __init__(self, role: str) -> None:
        self.role, self.seen, self.begun, self.cpu = role, 0, 0.0, 0.0

    def one(self) -> None:
        """One more."""
        if not self.seen:
            self.begun, self.cpu = time.perf_counter(), time.process_time()
        self.seen += 1
        if self.seen >= PART_EVENTS[self.role]:
            wall, cpu = time.perf_counter() - self.begun, time.process_time() - self.cpu
            print(
                f"{self.role:9s} {self.seen} events, {self.seen / wall:,.0f} events/s,"
                f" {1e6 * cpu / self.seen:.1f} us CPU an event; {load()}",
                flush=True,
            )
            os._exit(0)


def run_faust(role: str, bootstrap: str, topic: str, group: str) -> None:
    """A Faust agent as its manual shows it."""
    import faust
    import msgspec

    class Small(msgspec.Struct, gc=False):
        key: str = msgspec.field(default="", name="api_key.id")
        tokens: int = msgspec.field(default=0, name="gen_ai.usage.input_tokens")

    app = faust.App(
        f"{group}-{time.time_ns()}",
        broker=f"kafka://{bootstrap}",
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        value_serializer="raw",
        key_serializer="raw",
    )
    source = app.topic(topic, value_type=bytes, value_serializer="raw", key_type=bytes)
    count, totals, read = Count(role), {}, msgspec.json.Decoder(Small).decode
    forest: Any = None
    if role == "obvious":
        from river import anomaly

        from schemas.event import Event

        forest = anomaly.HalfSpaceTrees(seed=1)

    @app.agent(source)
    async def agent(stream: Any) -> None:
        async for value in stream:
            if forest is None:
                event = read(value)
                totals[event.key] = totals.get(event.key, 0) + event.tokens
            else:
                seen = Event.model_validate_json(value)
                features = {"in": seen.input_tokens or 0, "out": seen.output_tokens or 0}
                forest.score_one(features)
                forest.learn_one(features)
            count.one()

    async def work() -> None:
        app.finalize()
        await app.start()
        await asyncio.sleep(280)

    asyncio.run(work())


def run_quix(bootstrap: str, topic: str, group: str) -> None:
    """Quix Streams with a model for each key."""
    from quixstreams import Application
    from river import anomaly

    app = Application(
        broker_address=bootstrap,
        consumer_group=f"{group}-{time.time_ns()}",
        auto_offset_reset="earliest",
        auto_create_topics=False,
    )
    count, forests = Count("quix"), {}

    def judge(event: dict[str, Any]) -> None:
        key = event.get("api_key.id", "")
        forest = forests.get(key)
        if forest is None:
            forest = forests[key] = anomaly.HalfSpaceTrees(n_trees=5, height=3, window_size=5)
        features = {"in": event.get("gen_ai.usage.input_tokens", 0)}
        forest.score_one(features)
        forest.learn_one(features)
        count.one()

    app.dataframe(app.topic(topic, value_deserializer="json")).update(judge)
    app.run()


if __name__ == "__main__":
    if "--role" in sys.argv:
        at = sys.argv.index("--role")
        role, *rest = sys.argv[at + 1 :]
        run_quix(*rest) if role == "quix" else run_faust(role, *rest)
    else:
        main()
