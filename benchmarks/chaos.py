"""Workers and a broker that are killed and stopped at random moments, against a replay.

    python benchmarks/chaos.py [--kills 50] [--workers 3] [--seed 0] [--hours 20]

Starts a real broker and workers, produces a day of traffic with attacks to four partitions, and
meanwhile does one of these every few seconds: SIGKILL of a worker (started again after 0 to 8 s),
SIGSTOP of a worker for longer than its session and then SIGCONT (a zombie), SIGKILL of the broker
(started again). A worker that ends by itself is started again, as a supervisor would, and counted.
At the end all findings are compared with a replay of the same lines: no revision may be missing or
more, the last of each must say the same, and one that came twice must say the same twice. (What
a finding says while its window is open depends on the order of events, and events of one key are
spread over partitions here.) Exit code 1 if that is not so.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.pop(0)  # this folder holds a kafka.py
sys.path.insert(0, str(Path(__file__).parent.parent))

from streams.kafka.settings import KafkaSettings
from tests.kafka_broker import Broker, running
from tests.kafka_worker import Cluster, Process, cluster, expected, settled
from tests.lanes_in_memory import essence
from tests.traffic import small_day

PARTITIONS = 4
ZOMBIE_S = 13.0  # the session is 10 s
CATCH_UP_S = 300.0


def main() -> int:
    """Runs it and prints a summary as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=50, help="faults in all")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hours", type=int, default=20, help="rounds of attacks, one an hour")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    lines = small_day(options.seed, hours=range(1, 1 + options.hours))
    kafka = KafkaSettings(events_partitions=PARTITIONS, shards=8, prefix="chaos")
    with running() as broker, tempfile.TemporaryDirectory() as folder:
        kafka = kafka.model_copy(update={"bootstrap": broker.bootstrap})
        with cluster(kafka, Path(folder), snapshot_every_s=3) as there:
            summary = _run(there, broker, lines, rng, options)
    print(json.dumps(summary, indent=1))
    return 0 if summary["exact"] else 1


def _run(
    there: Cluster, broker: Broker, lines: list[bytes], rng: random.Random, options: Any
) -> dict[str, Any]:
    workers = [there.worker() for _ in range(options.workers)]
    for worker in workers:
        worker.ready()
    faults: Counter[str] = Counter()
    finished = threading.Event()
    pace = options.kills * 4.5 / len(lines)  # seconds for each event
    feeding = threading.Thread(target=_feed, args=(there, lines, rng.random(), pace, finished))
    begun = time.monotonic()
    feeding.start()
    for number in range(options.kills):
        time.sleep(rng.uniform(1, 4))
        kind = rng.choices(("kill", "zombie", "broker"), (7, 2, 1))[0]
        faults[kind] += 1
        faults["ended by itself"] += _supervise(workers)
        _fault(kind, rng, workers, broker)
        print(f"{time.monotonic() - begun:6.1f} s  {number + 1:3d} {kind}", file=sys.stderr)
    last = time.monotonic()
    feeding.join()
    fed = time.monotonic()
    while time.monotonic() - fed < CATCH_UP_S:
        faults["ended by itself"] += _supervise(workers)
        try:
            there.caught_up(5)
        except AssertionError:
            continue
        break
    behind_s = time.monotonic() - fed
    want, found = expected(lines), there.findings()
    got: dict[tuple[str, int], Any] = {}
    contradictions = 0
    contradicted: set[str] = set()
    for one in found:
        if one.family != "health":
            said = essence(one)
            before = got.setdefault((one.id, one.revision), said)
            contradictions += before != said
            contradicted |= {f"{one.detector}: {n}" for n in said if said[n] != before.get(n)}
    plain, other = settled(want), settled(got)
    missing, extra = want.keys() - got.keys(), got.keys() - want.keys()
    both = sorted(plain.keys() & other.keys())
    differ = [(plain[one], other[one]) for one in both if plain[one] != other[one]]
    return {
        "exact": not (missing or extra or differ or contradictions),
        "events": len(lines),
        "faults": dict(faults),
        "findings": len(want),
        "missing": len(missing),
        "extra": len(extra),
        "other contents": len(differ),
        "expected and told": differ[:5],
        "contradictions": contradictions,
        "contradicted": sorted(contradicted),
        "sent again": len(found) - len(got),
        "health": sorted({one.detector for one in found if one.family == "health"}),
        "seconds until nothing was left": round(behind_s, 1),
        "seconds": round(time.monotonic() - begun, 1),
        "seconds after the last fault": round(time.monotonic() - last, 1),
    }


def _feed(
    there: Cluster, lines: list[bytes], seed: float, pace: float, finished: threading.Event
) -> None:
    """Produces everything, in the order of time, spread over the partitions."""
    rng = random.Random(seed)
    begun = time.monotonic()
    for at in range(0, len(lines), 50):
        parts: dict[int, list[bytes]] = {}
        for line in lines[at : at + 50]:
            parts.setdefault(rng.randrange(PARTITIONS), []).append(line)
        for partition, some in parts.items():
            there.produce(some, partition)
        time.sleep(max(0.0, begun + at * pace - time.monotonic()))
    finished.set()


def _supervise(workers: list[Process]) -> int:
    """Starts what ended by itself."""
    ended = [worker for worker in workers if worker.code is not None]
    for worker in ended:
        worker.start()
    return len(ended)


def _fault(kind: str, rng: random.Random, workers: list[Process], broker: Broker) -> None:
    worker = rng.choice(workers)
    if kind == "kill":
        worker.kill()
        time.sleep(rng.choice([0, 0, 3, 8]))
        worker.start()
    elif kind == "zombie":
        worker.send(signal.SIGSTOP)
        time.sleep(ZOMBIE_S)
        worker.send(signal.SIGCONT)
    else:
        broker.kill()
        time.sleep(rng.uniform(0, 3))
        broker.start()


if __name__ == "__main__":
    sys.exit(main())
