"""Snapshots in chunks: a writer may be killed, stopped or replaced between any two records."""

from random import Random

import numpy as np
import pytest

from streams.kafka.chunks import KEPT, MOST, Ledger, Record, Recovery, cut, packed


def some_bytes(seed: int, size: int = 150_000) -> bytes:
    return np.random.Generator(np.random.PCG64(seed)).bytes(size)


def snapshot(ledger: Ledger, data: bytes, seen: int) -> list[Record]:
    return ledger.dirty(packed(data, ledger.written), seen, len(data))


def restored(log: list[Record]) -> list[tuple[int, bytes]]:
    recovery = Recovery()
    for key, value in log:
        recovery.feed(key, value)
    return [(one.seen, one.data) for one in recovery.candidates()]


def compacted(log: list[Record], rng: Random) -> list[Record]:
    """What a broker may have left: of each key in a closed part, the last record."""
    closed = rng.randint(0, len(log))
    last = {key: at for at, (key, _) in enumerate(log[:closed])}
    return [one for at, one in enumerate(log[:closed]) if last[one[0]] == at] + log[closed:]


def test_an_insertion_changes_few_chunks() -> None:
    data = some_bytes(1, 2_000_000)
    before = set(cut(data))
    after = cut(data[:1_000_000] + b"more" + data[1_000_000:])

    assert data[:1_000_000] + b"more" + data[1_000_000:] == b"".join(after)
    assert len([chunk for chunk in after if chunk not in before]) <= 2
    assert MOST >= max(map(len, after))


def test_only_what_changed_is_written_again() -> None:
    ledger, data = Ledger("credential/0"), some_bytes(2, 2_000_000)
    first = snapshot(ledger, data, 1)
    second = snapshot(ledger, data[:-5] + b"other", 2)

    assert len(first) > 10
    assert 2 == len(second)  # the last chunk, and the manifest


@pytest.mark.parametrize("seed", range(3))
def test_whatever_moment_a_writer_dies_the_newest_complete_snapshot_is_found(seed: int) -> None:
    rng, data = Random(seed), bytearray(some_bytes(seed))
    ledger, log, complete = Ledger("credential/0"), [], [(0, [])]
    for seen in range(1, 7):
        data[rng.randrange(len(data))] ^= 1
        log += snapshot(ledger, bytes(data), seen)
        complete.append((len(log), [(seen, bytes(data))]))
        log += ledger.done()

    for killed in range(len(log) + 1):
        best = [one for length, one in complete if length <= killed][-1]
        assert best == restored(compacted(log[:killed], rng))[:1]


@pytest.mark.parametrize("seed", range(4))
def test_a_writer_that_was_replaced_can_neither_tear_nor_spoil_a_snapshot(seed: int) -> None:
    rng, data = Random(seed), bytearray(some_bytes(seed))
    states: dict[int, bytes] = {}

    def writes(ledger: Ledger, seens: range) -> list[Record]:
        records: list[Record] = []
        for seen in seens:
            at = seen * 1000
            data[at : at + 4] = seen.to_bytes(4, "big")
            states[seen] = bytes(data)
            records += snapshot(ledger, states[seen], seen) + ledger.done()
        return records

    old = Ledger("credential/0")
    log = writes(old, range(1, 4))
    recovery = Recovery()
    for key, value in log:
        recovery.feed(key, value)
    new = Ledger("credential/0", list(recovery.keys))
    late, fresh = writes(old, range(4, 9)), []
    for seen in range(4, 12):  # the new one reaches the same states: they follow from the topic
        known = states.setdefault(seen, bytes(data))
        fresh += snapshot(new, known, seen) + new.done()
    zombie, owner = iter(late), iter(fresh)
    left = [zombie] * len(late) + [owner] * len(fresh)
    rng.shuffle(left)
    for turn in left:
        log.append(next(turn))
        found = restored(log)
        assert found
        assert all(states[seen] == state for seen, state in found)


def test_no_more_than_three_snapshots_stay() -> None:
    ledger, log = Ledger("session/1"), []
    for seen in range(8):
        log += snapshot(ledger, some_bytes(seen, 100_000), seen) + ledger.done()

    assert [7, 6, 5] == [seen for seen, _ in restored(log)]
    living = {key for key, value in log if value is not None} - {k for k, v in log if v is None}
    assert KEPT == sum(b"/m/" in key for key in living)
