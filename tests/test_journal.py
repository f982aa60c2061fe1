"""The journal keeps what it acknowledged, in order, within its limits."""

import random
import sqlite3
import threading
from pathlib import Path

import pytest

from streams.journal import Journal, JournalFull, Limits
from streams.journal_reader import JournalDamaged, JournalGap


def text(batch: object) -> bytes:
    return getattr(batch, "data", b"")


def test_lines_come_back_by_position_across_sources(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    assert range(2) == journal.append("a", [b"0", b"1"])
    assert range(2, 3) == journal.append("b", [b"2"])
    assert b"1\n2\n" == text(journal.read(1, 10))
    assert b"0\n1\n" == text(journal.read(0, 2))
    assert journal.read(3, 10) is None
    journal.close()


def test_a_reopened_journal_goes_on_where_it_ended(tmp_path: Path) -> None:
    first = Journal(tmp_path / "j.db")
    first.append("a", [b"0"])
    first.close()
    second = Journal(tmp_path / "j.db")
    assert range(1, 2) == second.append("a", [b"1"])
    assert b"0\n1\n" == text(second.read(0, 9))
    second.close()


def test_a_large_request_is_cut_into_rows_and_read_in_any_portions(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    lines = [b"%d" % n for n in range(10_000)]
    assert range(10_000) == journal.append("a", lines)
    got, at = [], 0
    while batch := journal.read(at, 777):
        got += batch.data.split()
        at += batch.count
    assert lines == got
    journal.close()


def test_requests_that_arrive_together_keep_their_own_lines(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    places: dict[int, range] = {}

    def send(n: int) -> None:
        places[n] = journal.append("a", [b"%d.%d" % (n, i) for i in range(3)])

    threads = [threading.Thread(target=send, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = text(journal.read(0, 1000)).split()
    assert 120 == len(lines)
    for n, place in places.items():
        assert [b"%d.%d" % (n, i) for i in range(3)] == lines[place.start : place.stop]
    journal.close()


def test_only_judged_lines_are_dropped_and_positions_go_on(tmp_path: Path) -> None:
    now = [1000.0]
    journal = Journal(tmp_path / "j.db", Limits(keep_s=10), wall=lambda: now[0])
    for n in range(5):
        journal.append("a", [b"%d" % n])
    now[0] += 11
    assert 0 == journal.trim()
    journal.watermark = 3
    assert 3 == journal.trim()
    assert 3 == journal.oldest()
    assert b"3\n4\n" == text(journal.read(3, 9))
    with pytest.raises(JournalGap) as gap:
        journal.read(1, 9)
    assert 3 == gap.value.oldest
    journal.watermark = 5
    journal.trim()
    assert range(5, 6) == journal.append("a", [b"5"])
    journal.close()


def test_a_full_journal_refuses_until_its_lines_are_judged(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db", Limits(max_bytes=200_000))
    rng = random.Random(1)
    stored, noise = 0, [b""]
    full = False
    while not full:
        noise = [rng.randbytes(2000).hex().encode() for _ in range(5)]
        try:
            stored = journal.append("a", noise).stop
        except JournalFull:
            full = True
    assert stored == journal.end()
    journal.watermark = stored
    assert range(stored, stored + 5) == journal.append("a", noise)
    journal.close()


def test_a_full_disk_is_an_error_of_its_own_and_passes(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    journal.append("a", [b"0"])
    pages = journal._writer.execute("PRAGMA page_count").fetchone()[0]
    journal._writer.execute(f"PRAGMA max_page_count={pages + 2}")
    big = [random.Random(2).randbytes(50_000).hex().encode()]
    with pytest.raises(JournalFull):
        journal.append("a", big)
    journal._writer.execute("PRAGMA max_page_count=1000000")
    assert range(1, 2) == journal.append("a", big)
    assert [b"0", *big] == text(journal.read(0, 9)).split()
    journal.close()


def test_a_sender_that_goes_away_does_not_upset_the_others(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    assert not journal.submit("a", [b"0"]).cancel()
    assert range(1, 2) == journal.append("a", [b"1"])
    journal.close()


def test_a_changed_block_is_noticed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    journal.append("a", [b"something to compress, something to compress"])
    with sqlite3.connect(tmp_path / "j.db") as other:
        other.execute("UPDATE blocks SET data = zeroblob(20)")
    other.close()
    with pytest.raises(JournalDamaged):
        journal.read(0, 9)
    journal.close()


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    Journal(tmp_path / "j.db").close()
    assert 0o600 == (tmp_path / "j.db").stat().st_mode & 0o777
