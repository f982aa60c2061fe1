"""A detector is spared events it does not ask for, and never one it needs."""

from random import Random

import numpy as np

from detectors.base import Detector
from schemas.decode import decode_lines
from schemas.reader import Reader
from streams.columns import Columns
from streams.masks import SAMPLE_BITS, sample
from streams.narrow import Narrow
from streams.part import Part
from tests.detecting import KEY, call

OTHER = "hmac:00000000000000bb"


class Few(Detector):
    once = ("key", "address")


class Mine(Detector):
    only = frozenset({KEY})  # type: ignore[assignment]


def shown(narrow: Narrow, lines: list[bytes], rows: list[int] | None = None) -> list[int]:
    """Places of the lines that are shown, of those that are kept."""
    block = Reader().read(b"\n".join(lines))
    columns = Columns(block.records, block.values)
    kept = np.arange(len(lines)) if rows is None else np.array(rows)
    times = columns.times[kept]
    part = Part(kept, times, np.maximum.accumulate(times), kept)
    return [int(kept[at]) for at in narrow(part, columns, np.arange(len(kept)))]


def test_of_like_events_of_a_day_only_the_first_is_shown_and_what_is_earlier() -> None:
    narrow = Narrow(Few())
    lines = [call(i, address=f"10.0.0.{i % 3}") for i in range(9)]

    assert [0, 1, 2] == shown(narrow, lines)
    assert [] == shown(narrow, lines)
    assert [0, 1] == shown(narrow, [call(t, address="10.0.0.1") for t in (86405, 86402, 86405)])


def test_an_event_that_is_not_kept_never_hides_one_that_is() -> None:
    narrow = Narrow(Few())
    lines = [call(0), call(1)]

    assert [1] == shown(narrow, lines, rows=[1])


def test_every_like_event_is_shown_at_least_once_a_day_however_many_there_are() -> None:
    rng, narrow = Random(0), Narrow(Few())
    names = [f"10.{i >> 8}.{i & 255}.1" for i in range(3000)]
    many = [call(i / 100, address=rng.choice(names)) for i in range(6000)]
    seen = [shown(narrow, many[at : at + 500]) for at in range(0, 6000, 500)]
    places = {at * 500 + i for at, block in enumerate(seen) for i in block}
    address = [decode_lines(line)[0][0].client_address for line in many]

    assert set(address) == {address[at] for at in places}
    assert len(places) <= 1.02 * len(set(address))


def test_only_the_keys_it_asks_for_are_shown() -> None:
    lines = [call(0, key=OTHER), call(1), call(2, key=None)]

    assert [1] == shown(Narrow(Mine()), lines)


def test_a_sample_is_one_in_sixteen_and_depends_on_nothing_but_the_id() -> None:
    ids = np.random.default_rng(0).integers(0, 2**63, 80_000).astype(np.uint64)
    mask = sample(ids, SAMPLE_BITS)

    assert abs(mask.mean() - 1 / 16) < 0.005
    assert (mask[::-1] == sample(ids[::-1].copy(), SAMPLE_BITS)).all()
