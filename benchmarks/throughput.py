"""Compares, in one run on one file, what judging costs with what reading alone would cost.

    python benchmarks/make_events.py events.ndjson --span 600
    python benchmarks/throughput.py events.ndjson [--repeat 3] [--block 1000] [--ones 200000]

    decode     the file's lines become records and times, in blocks; nothing else
    catalog    the whole pipeline with every detector, in the same blocks
    replay     the whole command `tripmeter replay --json FILE`, start to end
    plain      a whole program of json.loads and a dict of counters
    obvious    pydantic and one river HalfSpaceTrees, event by event, on the first lines

Each is measured several times, taking turns, so that a busy moment of the machine does not fall on
one of them alone. Rates are of process CPU time (what an idle core would show); wall time is beside
them. At last large blocks and blocks of one judge the same lines, and must find the same.
"""

import argparse
import gc
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OBVIOUS_EVENTS = 50_000


@dataclass(frozen=True)
class Cost:
    """Seconds of one measurement."""

    cpu_s: float
    wall_s: float


def blocks_of(data: bytes, lines: int) -> list[bytes]:
    """The file cut after every `lines` lines."""
    each = data.splitlines(keepends=True)
    return [b"".join(each[i : i + lines]) for i in range(0, len(each), lines)]


def measured(work: Callable[[], Any]) -> tuple[Cost, Any]:
    """Runs it once, with no garbage of others."""
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    return Cost(time.process_time() - cpu, time.perf_counter() - wall), result


def command(words: list[str]) -> Cost:
    """Runs a program to its end; CPU time is that of the child."""
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu, time.perf_counter() - wall)


def decode(blocks: list[bytes]) -> int:
    """Reading alone."""
    from schemas.decode import decode_lines

    count = 0
    for block in blocks:
        records, _ = decode_lines(block)
        count += len(records)
    return count


def catalog(blocks: list[bytes]) -> tuple[Any, list[Any], list[float]]:
    """The pipeline; findings, and the milliseconds each block took."""
    from streams.collector import calm
    from streams.pipeline import Pipeline

    calm()
    pipeline, findings, took = Pipeline(), [], []
    for block in blocks:
        begun = time.perf_counter()
        output = pipeline.process(block)
        took.append((time.perf_counter() - begun) * 1000)
        findings += output.findings
    return pipeline, findings, took


def plain(path: Path) -> None:
    """The loop everybody writes first: totals per key in a dict."""
    totals: dict[str, list[float]] = {}
    with path.open("rb") as file:
        for line in file:
            event = json.loads(line)
            total = totals.setdefault(event.get("api_key.id", ""), [0, 0, 0.0, 0])
            total[0] += 1
            total[1] += event.get("gen_ai.usage.input_tokens") or 0
            total[2] += event.get("cost.usd") or 0.0
            total[3] += event.get("status") == "error"
    print(len(totals))


def obvious(lines: list[bytes]) -> float:
    """The build everybody thinks of: validate, then one online model, event by event."""
    from river.anomaly import HalfSpaceTrees

    from schemas.event import Event

    names = ("input_tokens", "output_tokens", "cost_usd")
    limits: dict[Any, tuple[float, float]] = {
        "input_tokens": (0, 1e5),
        "output_tokens": (0, 1e5),
        "cost_usd": (0, 10),
    }
    model: Any = HalfSpaceTrees(seed=7, limits=limits)
    top = 0.0
    for line in lines:
        event = Event.model_validate_json(line)
        x = {name: float(getattr(event, name) or 0) for name in names}
        top = max(top, model.score_one(x))
        model.learn_one(x)
    return top


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of them lie."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--block", type=int, default=1000, help="lines of a block")
    parser.add_argument("--ones", type=int, default=200_000, help="lines judged in blocks of one")
    parser.add_argument("--only", choices=["plain"], help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.only == "plain":
        plain(o.file)
        return
    data = o.file.read_bytes()
    blocks = blocks_of(data, o.block)
    n = sum(block.count(b"\n") for block in blocks)
    head = data.splitlines()[:OBVIOUS_EVENTS]
    replay = [sys.executable, "-m", "streams.cli", "replay", "--json", str(o.file)]
    alone = [sys.executable, str(Path(__file__)), "--only", "plain", str(o.file)]
    del data
    costs: dict[str, list[Cost]] = {}
    took: list[float] = []
    pipeline: Any = None
    findings: list[Any] = []
    for _ in range(o.repeat):
        cost, _count = measured(lambda: decode(blocks))
        costs.setdefault("decode", []).append(cost)
        pipeline = None
        cost, (pipeline, findings, spent) = measured(lambda: catalog(blocks))
        costs.setdefault("catalog", []).append(cost)
        took += spent
        costs.setdefault("replay", []).append(command(replay))
        costs.setdefault("plain", []).append(command(alone))
        cost, _top = measured(lambda: obvious(head))
        scale = n / len(head)
        costs.setdefault("obvious", []).append(Cost(cost.cpu_s * scale, cost.wall_s * scale))
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    report(n, costs, took, pipeline, findings)
    compare(blocks, o.ones, o.block)


def report(
    n: int, costs: dict[str, list[Cost]], took: list[float], pipeline: Any, findings: list[Any]
) -> None:
    """Medians, ratios and latencies."""
    rate = {}
    print(f"{n:,} events, medians of {len(costs['decode'])}")
    for name, each in costs.items():
        cpu = statistics.median(cost.cpu_s for cost in each)
        wall = statistics.median(cost.wall_s for cost in each)
        rate[name] = n / cpu
        print(f"  {name:8} {n / cpu:>12,.0f} events/s of CPU {n / wall:>12,.0f} of wall time")
    print(f"catalog / decode   {rate['catalog'] / rate['decode']:.3f}")
    print(f"replay / plain     {rate['replay'] / rate['plain']:.2f}")
    print(f"catalog / obvious  {rate['catalog'] / rate['obvious']:.1f}")
    slowest = f"max {max(took):.2f}"
    print(
        f"ms a block: p50 {percentile(took, 0.5):.2f}  p99 {percentile(took, 0.99):.2f}  {slowest}"
    )
    stats = pipeline.stats
    closes, visits = stats.closed_windows / n, stats.lane_visits / n
    print(f"closes/event {closes:.4f}  lane visits/event {visits:.3f}")
    by: dict[str, int] = {}
    for finding in findings:
        by[finding.detector] = by.get(finding.detector, 0) + 1
    print(f"findings {len(findings)}: " + ", ".join(f"{k} {v}" for k, v in sorted(by.items())))


def compare(blocks: list[bytes], lines: int, size: int) -> None:
    """Blocks of one give the same findings, byte for byte, or the program fails."""
    middle = len(blocks) // 2  # where the attacks begin
    large = blocks[middle : middle - (-lines // size)]
    single = blocks_of(b"".join(large), 1)
    _, expected, _ = catalog(large)
    _, found, _ = catalog(single)
    same = [f.to_json() for f in expected] == [f.to_json() for f in found]
    print(f"blocks of one, {len(single):,} lines: {len(found)} findings, equal: {same}")
    if not same:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
