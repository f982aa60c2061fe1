"""Compiles the core's loops, so that nobody's first event waits for it (`python -m streams.warm`).

The result is kept beside the sources, or in the user's cache directory.
"""

from datetime import UTC, datetime, timedelta

from schemas.testing import event
from streams.pipeline import Pipeline

START = datetime(2026, 10, 1, tzinfo=UTC)
HOURS = 3


def warm() -> int:
    """Judges a few hours of one key's calls; how many.

    >>> warm()
    9
    """
    lines = []
    for number in range(3 * HOURS):
        time = START + timedelta(minutes=20 * number)
        call = event(
            time.isoformat(),
            id=f"warm-{number}",
            key="hmac:0000000000000001",
            tenant="t",
            session="conversation",
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
    pipeline.close()
    return pipeline.stats.judged


if __name__ == "__main__":
    warm()
