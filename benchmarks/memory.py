"""Measures what a key that has a habit costs: 1 M keys, 20 closed windows each, difference of RSS.

    python benchmarks/memory.py [--keys 1000000] [--windows 20]

Every key makes one cheap call in each window. What is measured is the process with all keys minus
the same process before the first event, divided by keys and lanes that hold them.
"""

import argparse
import gc
import time
from pathlib import Path

import numpy as np

from streams.pipeline import CoreSettings, Pipeline

START_MS = 1_790_812_800_000
BLOCK = 2000


def rss_bytes() -> int:
    """Resident memory of this process, as the kernel counts it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def block(first: int, count: int, window: int, width_ms: int, keys: int) -> bytes:
    """One call of each of `count` keys, spread over the window in the order of the keys."""
    numbers = first + np.arange(count)
    ms = START_MS + window * width_ms + numbers * width_ms // keys
    stamps = np.datetime_as_string(ms.astype("datetime64[ms]"), unit="us").tolist()
    return "".join(
        f'{{"event.schema_version":"1.0","event.id":"{window:04x}-{n:012x}","event.name":'
        f'"llm.request","timestamp":"{stamp}Z","tenant.id":"tenant-{n % 500:04d}","api_key.id":'
        f'"hmac:{n:016x}","gen_ai.request.model":"gpt-4o-mini","gen_ai.usage.input_tokens":'
        f'{200 + n % 50},"gen_ai.usage.output_tokens":20,"cost.usd":0.0001,"status":"ok"}}\n'
        for n, stamp in zip(numbers.tolist(), stamps, strict=True)
    ).encode()


def main() -> None:
    """Prints bytes a key and lane."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--windows", type=int, default=20)
    parser.add_argument("--width-s", type=float, default=3600, help="length of a window")
    o = parser.parse_args()
    pipeline = Pipeline(CoreSettings())
    pipeline.process(block(0, 1, 0, 1000, 1))  # imports and tables are there before measuring
    gc.collect()
    before, begun = rss_bytes(), time.perf_counter()
    for window in range(o.windows + 1):
        for first in range(0, o.keys, BLOCK):
            count = min(BLOCK, o.keys - first)
            pipeline.process(block(first, count, window, int(o.width_s * 1000), o.keys))
        gc.collect()
        grown = rss_bytes() - before
        print(
            f"after {window} windows: {grown / 2**20:,.0f} MiB more, "
            f"{grown / o.keys:,.0f} B a key, {time.perf_counter() - begun:,.0f} s",
            flush=True,
        )
    print(f"stats: {pipeline.stats}")


if __name__ == "__main__":
    main()
