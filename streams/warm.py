"""Compiles the core's loops, so that nobody's first event waits for it (`python -m streams.warm`).

The result is kept beside the sources, or in the user's cache directory.
"""

from datetime import UTC, datetime, timedelta

import numpy as np

from detectors.habits import usual
from schemas.testing import event
from streams.pipeline import Pipeline

START = datetime(2026, 10, 1, tzinfo=UTC)
HOURS = 3
KEYS = 1200  # more than a new table has room for


def warm() -> int:
    """Judges a few hours of one key's calls, and one call of each of many; how many.

    >>> warm()
    1210
    """
    lines = []
    times = [20 * number for number in range(3 * HOURS)]
    keys = [1] * len(times) + list(range(1, KEYS + 2))
    times += [times[-1]] * (KEYS + 1)
    for number, (minutes, key) in enumerate(zip(times, keys, strict=True)):
        time = START + timedelta(minutes=minutes)
        call = event(
            time.isoformat(),
            id=f"warm-{number}",
            key=f"hmac:{key:016x}",
            tenant=f"t{number // (3 * HOURS)}" if key == 1 else "t",
            session=f"conversation-{key}",
            model="m",
            address="10.0.0.1",
            client_address_quality="peer",
            prompt="hmac:0000000000000002",
            input_tokens=10,
            cost_usd=0.001,
            observed_timestamp=time,
        )
        lines.append(call.to_json())
    pipeline = Pipeline()
    pipeline.process(b"\n".join(lines))
    pipeline = Pipeline.restore(pipeline.snapshot())
    pipeline.close()
    usual(np.ones(4, np.float32), 0.5, 1)  # of a first finding
    return pipeline.stats.judged


if __name__ == "__main__":
    warm()
