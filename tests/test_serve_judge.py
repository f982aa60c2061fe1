"""The judging thread: exact over crashes, patient with a full disk, honest about what is gone."""

import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.finding import Entity, Finding, Provenance, Severity, finding_id
from streams import judging
from streams.journal import Journal
from streams.judging import Cadence, Judge
from streams.quarantine import Quarantine
from streams.store import Findings, Keep, Snapshot, Store, parse_since
from tests.alerts_fakes import sql

START = datetime(2026, 11, 21, tzinfo=UTC)


def finding(position: int, total: int) -> Finding:
    entity = Entity(lane="service", id="counter")
    return Finding(
        id=finding_id("tenth", entity, position),
        detector="tenth",
        title="Every tenth line",
        family="health",
        entity=entity,
        tenant=None,
        time=START + timedelta(seconds=position),
        since=START,
        severity=Severity.LOW,
        probability=None,
        summary=f"the sum is {total}",
        cost_usd=None,
        provenance=Provenance(
            detector_version="1", settings="", prices="", state="1", position=position
        ),
    )


@dataclass
class Counter:
    """A core of few lines: every tenth line is a finding that tells the sum so far."""

    position: int = 0
    total: int = 0
    stats: Any = field(default_factory=SimpleNamespace)

    def process(self, block: bytes) -> Any:
        findings = []
        for line in block.splitlines():
            if line == b"poison":
                raise ValueError("secret text")
            self.total += int(line)
            if self.position % 10 == 9:
                findings.append(finding(self.position, self.total))
            self.position += 1
        return SimpleNamespace(findings=findings, rejections=[], rollups=[], heartbeats=[])

    def snapshot(self) -> bytes:
        return json.dumps([self.position, self.total]).encode()


class Site:
    """A data directory and what works on it."""

    def __init__(self, folder: Path, core: Counter | None = None, **cadence: Any) -> None:
        self.folder = folder
        self.journal = Journal(folder / "journal.db")
        self.store = Store(folder)
        self.quarantine = Quarantine(folder)
        self.failed = False
        snapshot = next(self.store.snapshots(), None)
        if core is None:
            core = Counter(*json.loads(snapshot.data)) if snapshot else Counter()
        self.judge = Judge(
            core,
            self.journal,
            self.store,
            self.quarantine,
            cadence=Cadence(**cadence),
            failed=self.fail,
        )

    def fail(self) -> None:
        self.failed = True

    def close(self) -> None:
        self.journal.close()
        self.store.close()
        self.quarantine.close()


def found(folder: Path) -> list[tuple[str, str]]:
    store = Findings(folder)
    rows = [(row["id"], row["summary"]) for row in store.select(limit=1000)]
    store.close()
    return sorted(rows)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it took more than 5 s"
        time.sleep(0.01)


def numbers(start: int, stop: int) -> list[bytes]:
    return [b"%d" % n for n in range(start, stop)]


def test_it_judges_everything_before_it_stops(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.journal.append("a", numbers(0, 100))
    site.judge.start()
    site.journal.append("a", numbers(100, 250))
    site.judge.stop()
    assert (250, 0) == (site.judge.core.position, site.judge.lag())
    assert 25 == len(found(tmp_path))
    snapshot = next(site.store.snapshots())
    assert 250 == snapshot.position == site.journal.watermark
    site.close()


def test_a_crash_between_snapshots_changes_nothing(tmp_path: Path) -> None:
    for name in ("calm", "crash"):
        (tmp_path / name).mkdir()
    calm = Site(tmp_path / "calm")
    calm.journal.append("a", numbers(0, 300))
    calm.judge.start()
    calm.judge.stop()
    calm.close()

    crash = tmp_path / "crash"
    for start in range(0, 300, 50):
        site = Site(crash, snapshot_every_events=70)
        site.journal.append("a", numbers(start, start + 50))
        while site.judge._step():  # and then the process is gone: no stop, no last snapshot
            pass
        site.close()
    last = Site(crash)
    last.judge.start()
    last.judge.stop()
    last.close()
    assert found(tmp_path / "calm") == found(crash)


def test_a_full_disk_stops_judging_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "RETRY_S", 0.02)
    site = Site(tmp_path)
    [(pages,)] = sql(site.store.engine, "PRAGMA page_count")
    sql(site.store.engine, f"PRAGMA max_page_count={pages}")
    site.journal.append("a", numbers(0, 1000))
    site.judge.start()
    until(lambda: site.judge.blocked is not None)
    sql(site.store.engine, "PRAGMA max_page_count=1000000")
    until(lambda: site.judge.blocked is None and site.judge.lag() == 0)
    site.judge.stop()
    assert 100 == len(found(tmp_path))
    site.close()


def test_a_fault_of_a_detector_ends_the_process_and_tells_no_contents(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(tmp_path)
    site.journal.append("a", [b"1", b"poison"])
    site.judge.start()
    until(lambda: site.failed)
    assert "ValueError" == site.judge.failure
    assert "secret text" not in caplog.text
    site.judge.stop()
    site.close()


def test_a_lost_journal_is_announced_and_numbers_go_on(tmp_path: Path) -> None:
    first = Site(tmp_path)
    first.journal.append("a", numbers(0, 20))
    first.judge.start()
    first.judge.stop()
    first.close()
    for file in tmp_path.glob("journal.db*"):
        file.unlink()
    second = Site(tmp_path)
    second.judge.start()
    assert range(20, 30) == second.journal.append("a", numbers(20, 30))
    second.judge.stop()
    assert 30 == second.judge.core.position
    assert "Events 0 to 19 are no longer in the journal and were not judged." in [
        summary for _, summary in found(tmp_path)
    ]
    second.close()


def test_new_settings_mean_judging_again_not_a_loss(tmp_path: Path) -> None:
    first = Site(tmp_path)
    first.journal.append("a", numbers(0, 30))
    first.judge.start()
    first.judge.stop()
    before = found(tmp_path)
    first.close()
    again = Site(tmp_path, Counter())  # the snapshot could not be used
    again.judge._judged = 30
    again.judge.start()
    again.judge.stop()
    assert 30 == again.judge.core.position
    assert before == found(tmp_path)
    again.close()


def test_the_number_of_kept_findings_is_bounded(tmp_path: Path) -> None:
    store = Store(tmp_path, keep=Keep(findings=5))
    store.record([finding(n, n) for n in range(9)], snapshot=Snapshot(9, b""))
    assert {f"the sum is {n}" for n in range(4, 9)} == {text for _, text in found(tmp_path)}
    store.close()


def test_a_damaged_block_is_announced_and_the_rest_is_judged(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.journal.append("a", numbers(0, 10))
    site.journal.append("a", numbers(10, 20))
    site.journal.append("a", numbers(20, 30))
    with sqlite3.connect(tmp_path / "journal.db") as other:
        other.execute("UPDATE blocks SET data = zeroblob(9) WHERE first = 10")
    other.close()
    site.judge.start()
    site.judge.stop()
    assert (30, None) == (site.judge.core.position, site.judge.failure)
    assert "Events 10 to 19 are no longer in the journal and were not judged." in [
        summary for _, summary in found(tmp_path)
    ]
    site.close()


def test_a_damaged_snapshot_gives_way_to_an_older_one(tmp_path: Path) -> None:
    site = Site(tmp_path, snapshot_every_events=10)
    for start in range(0, 40, 10):
        site.journal.append("a", numbers(start, start + 10))
        site.judge._step()
    newest = next(site.store.snapshots())
    with sqlite3.connect(tmp_path / "tripmeter.db") as other:
        other.execute("UPDATE snapshots SET data = x'00' WHERE position = ?", (newest.position,))
    other.close()
    assert newest.position > next(site.store.snapshots()).position
    site.close()


def test_since_is_a_span_or_an_instant() -> None:
    assert START == parse_since("2h", START + timedelta(hours=2))
    assert START == parse_since("2026-11-21T00:00:00", START)
    with pytest.raises(ValueError, match="yesterday"):
        parse_since("yesterday", START)
