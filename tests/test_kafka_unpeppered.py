"""A worker without the pepper reads what needs none, and guesses nothing."""

import msgspec

from schemas.adapters import Context, adapt
from streams.kafka.unpeppered import REASON, adapt_without_pepper
from tests.traffic import small_day

CONTEXT = Context(pepper=b"")


def test_canonical_events_with_fingerprints_are_read_as_with_any_pepper() -> None:
    body = b"\n".join(small_day()[:50])

    found = adapt_without_pepper(body, "canonical", CONTEXT)

    assert adapt(body, "canonical", Context(pepper=b"x" * 32)).events == found.events
    assert [] == found.rejections


def test_a_raw_key_is_refused_and_its_neighbours_are_read() -> None:
    lines = small_day()[:3]
    raw = msgspec.json.encode({**msgspec.json.decode(lines[1]), "api_key.id": "sk-MARKER"})

    found = adapt_without_pepper(b"\n".join([lines[0], raw, lines[2]]), "canonical", CONTEXT)

    assert 2 == len(found.events)
    assert [(REASON, 1)] == [(one.reason, one.count) for one in found.rejections]
    assert not any(b"MARKER" in line for line in found.events)
