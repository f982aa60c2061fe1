"""What others build for the same topic: `kafka.py` runs each of them in a process of its own.

    PYTHON benchmarks/kafka_peers.py ROLE HOST:PORT TOPIC EVENTS

This file runs in the environments of the others, too, so it needs nothing but the standard library
until a role begins. It prints one line of JSON: events, wall seconds and CPU seconds from the first
event to the last, Kafka client and all threads included, start not.

| role | what |
|---|---|
| plain | a Faust agent, `async for`, msgspec, a dict of counters |
| obvious | a Faust agent, pydantic, one river HalfSpaceTrees for all |
| quix-count | Quix Streams, JSON, a dict of counters |
| quix-state | Quix Streams, JSON, a counter a key in its state (RocksDB and a changelog topic) |
| quix-forest | Quix Streams, JSON, a HalfSpaceTrees a key in a dict |
| bytewax-count | Bytewax, JSON, `stateful_map` with a counter a key |
| bytewax-forest | Bytewax, JSON, `stateful_map` with a HalfSpaceTrees a key |

What they are spared: orjson reads their values (as Quix Streams does by itself); a forest has five
trees of height three and one feature, where river's usual one has ten of height eight; records come
keyed by API key, so that nobody has to partition them again; only quix-state keeps anything.
Bytewax runs without a recovery store and with an epoch longer than the run, so it copies no state;
it takes its usual 1000 records a poll and parses them as one batch.
"""

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
KEY, TOKENS = "api_key.id", "gen_ai.usage.input_tokens"
MOST_TOKENS = 16_384  # a forest's features lie between 0 and 1
FOREST = {"n_trees": 5, "height": 3, "window_size": 5, "seed": 42}
LONGEST_S = 120.0  # from the first event; what was read until then is the measurement
BATCH = 1000
EPOCH = timedelta(hours=1)


@dataclass(frozen=True)
class Role:
    """One of the others: its environment, how many events it reads (about 10 s), what it does."""

    needs: str
    events: int
    does: str


ROLES = {
    "plain": Role("", 150_000, "counts"),
    "obvious": Role("", 60_000, "asks one model"),
    "quix-count": Role("quix", 1_000_000, "counts"),
    "quix-state": Role("quix", 600_000, "counts"),
    "quix-forest": Role("quix", 100_000, "asks a model for each key"),
    "bytewax-count": Role("bytewax", 700_000, "counts"),
    "bytewax-forest": Role("bytewax", 100_000, "asks a model for each key"),
}


@dataclass(frozen=True)
class Measured:
    """What somebody needed for how many events."""

    events: int
    wall_s: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Events a second, by the clock."""
        return self.events / self.wall_s

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU time an event."""
        return 1e6 * self.cpu_s / self.events


def compared(ours: Measured, role: str, theirs: Measured) -> str:
    """How one worker compares with one of the others, whoever is the faster one."""
    clock, cpu = ours.rate / theirs.rate, theirs.cpu_us / ours.cpu_us
    if clock >= 1:
        return (
            f"{role:14s} one worker does {clock:.1f} times as many events a second"
            f" ({cpu:.1f} times by CPU time)"
        )
    return (
        f"{role:14s} IS FASTER than one worker: {1 / clock:.1f} times as many events a second"
        f" ({1 / cpu:.1f} times by CPU time); it {ROLES[role].does} and does nothing else"
    )


class Count:
    """Counts events from the first on, and ends the process when it has seen enough."""

    def __init__(self, enough: int) -> None:
        self._enough, self._seen = enough, 0
        self._wall = self._cpu = 0.0

    def begin(self) -> None:
        """The first event is there."""
        if not self._wall:
            self._wall, self._cpu = time.perf_counter(), time.process_time()
            late = threading.Timer(LONGEST_S, self._end)
            late.daemon = True
            late.start()

    def add(self, number: int) -> None:
        """So many more are done."""
        self._seen += number
        if self._seen >= self._enough:
            self._end()

    def one(self) -> None:
        """One more is done."""
        if not self._seen:
            self.begin()
        self.add(1)

    def _end(self) -> None:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        if not self._seen:
            print(f"not one event was done in {wall:.0f} s", file=sys.stderr, flush=True)
            os._exit(1)
        print(json.dumps(asdict(Measured(self._seen, wall, cpu))), flush=True)
        os._exit(0)


def _feature(tokens: int | None) -> dict[str, float]:
    return {"in": min(1.0, (tokens or 0) / MOST_TOKENS)}


def faust(role: str, bootstrap: str, topic: str, count: Count) -> None:
    """A Faust agent as its manual shows it."""
    import faust
    import msgspec

    class Small(msgspec.Struct, gc=False):
        key: str = msgspec.field(default="", name=KEY)
        tokens: int = msgspec.field(default=0, name=TOKENS)

    app = faust.App(
        f"tripmeter-{role}-{time.time_ns()}",
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
    totals: dict[str, int] = {}
    read = msgspec.json.Decoder(Small).decode
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
        await asyncio.Event().wait()

    asyncio.run(work())


def quix(role: str, bootstrap: str, topic: str, count: Count) -> None:
    """Quix Streams, one application; a record's key is the API key."""
    from quixstreams import Application
    from river import anomaly

    app = Application(
        broker_address=bootstrap,
        consumer_group=f"tripmeter-{role}-{time.time_ns()}",
        auto_offset_reset="earliest",
        loglevel="WARNING",
    )
    totals: dict[str, int] = {}
    forests: dict[str, Any] = {}

    def counted(event: dict[str, Any]) -> None:
        key = event.get(KEY, "")
        totals[key] = totals.get(key, 0) + 1
        count.one()

    def kept(_event: dict[str, Any], state: Any) -> None:
        state.set("seen", state.get("seen", 0) + 1)
        count.one()

    def judged(event: dict[str, Any]) -> None:
        key = event.get(KEY, "")
        forest = forests.get(key)
        if forest is None:
            forest = forests[key] = anomaly.HalfSpaceTrees(**FOREST)
        features = _feature(event.get(TOKENS))
        forest.score_one(features)
        forest.learn_one(features)
        count.one()

    frame = app.dataframe(app.topic(topic, value_deserializer="json"))
    if role == "quix-state":
        frame.update(kept, stateful=True)
    else:
        frame.update(counted if role == "quix-count" else judged)
    app.run()


def bytewax(role: str, bootstrap: str, topic: str, count: Count) -> None:
    """Bytewax, one worker in one process."""
    import orjson
    from bytewax import operators as op
    from bytewax.connectors.kafka import KafkaSource
    from bytewax.dataflow import Dataflow
    from bytewax.outputs import DynamicSink, StatelessSinkPartition
    from bytewax.run import cli_main
    from river import anomaly

    class Done(StatelessSinkPartition[Any]):
        def write_batch(self, items: list[Any]) -> None:
            count.add(len(items))

    class Counted(DynamicSink[Any]):
        def build(self, *_: Any) -> Done:
            return Done()

    def parsed(messages: list[Any]) -> list[tuple[str, Any]]:
        count.begin()
        events = [orjson.loads(message.value) for message in messages]
        return [(event.get(KEY, ""), event.get(TOKENS)) for event in events]

    def counted(state: int | None, _tokens: Any) -> tuple[int, int]:
        state = (state or 0) + 1
        return state, state

    def judged(forest: Any, tokens: Any) -> tuple[Any, float]:
        if forest is None:
            forest = anomaly.HalfSpaceTrees(**FOREST)
        features = _feature(tokens)
        score = forest.score_one(features)
        forest.learn_one(features)
        return forest, score

    flow = Dataflow("peer")
    records = op.input("in", flow, KafkaSource([bootstrap], [topic], batch_size=BATCH))
    keyed = op.flat_map_batch("parse", records, parsed)
    mapper: Callable[..., Any] = counted if role == "bytewax-count" else judged
    op.output("out", op.stateful_map("state", keyed, mapper), Counted())
    cli_main(flow, epoch_interval=EPOCH)


def main() -> None:
    """Runs one role until it has read so many events."""
    sys.path[0] = str(ROOT)  # instead of this folder, where kafka.py would pass for the library
    role, bootstrap, topic, events = sys.argv[1:]
    run = {"": faust, "quix": quix, "bytewax": bytewax}[ROLES[role].needs]
    run(role, bootstrap, topic, Count(int(events)))


if __name__ == "__main__":
    main()
