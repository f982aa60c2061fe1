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

from detectors.key_probe import KeyProbe
from detectors.repeated_call import RepeatedCall
from schemas.finding import Entity, Finding, Provenance, Severity, finding_id
from schemas.testing import event
from streams import judging
from streams.aside import MUTED_AFTER
from streams.explain import derive
from streams.journal import Journal
from streams.judging import Cadence, Judge
from streams.pipeline import CoreSettings, Pipeline
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
            if line.startswith(b"poison"):
                raise ValueError("secret text")
            self.total += int(line)
            if self.position % 10 == 9:
                findings.append(finding(self.position, self.total))
            self.position += 1
        return SimpleNamespace(findings=findings, rejections=[], rollups=[], heartbeats=[])

    def snapshot(self) -> bytes:
        return json.dumps([self.position, self.total]).encode()

    @staticmethod
    def restore(data: bytes) -> "Counter":
        return Counter(*json.loads(data))

    def mute(self, detector: str) -> None:
        raise AssertionError("it has no detectors")


class Site:
    """A data directory and what works on it."""

    def __init__(self, folder: Path, core: Any = None, kind: Any = Counter, **cadence: Any) -> None:
        self.folder = folder
        self.journal = Journal(folder / "journal.db")
        self.store = Store(folder)
        self.quarantine = Quarantine(folder)
        self.failed = False
        self._kind = kind
        self.judge = Judge(
            core or self._newest(),
            self.journal,
            self.store,
            self.quarantine,
            again=self._newest,
            restore=kind.restore,
            cadence=Cadence(**cadence),
            failed=self.fail,
        )

    def _newest(self) -> Any:
        snapshot = next(self.store.snapshots(), None)
        return self._kind.restore(snapshot.data) if snapshot else self._kind()

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


def poisoned(stop: int, *places: int) -> list[bytes]:
    return [b"poison%d" % n if n in places else line for n, line in enumerate(numbers(0, stop))]


def own(folder: Path) -> list[tuple[str, Any]]:
    """Detector and position of what the runner found out about itself."""
    store = Findings(folder)
    rows = store.select(limit=1000)
    store.close()
    told = [(row["detector"], row["evidence"].get("position")) for row in rows]
    return sorted(one for one in told if one[0] in ("event-set-aside", "detector-muted"))


@pytest.mark.parametrize("step", [30, 7000])
def test_an_event_that_makes_judging_fail_is_set_aside_and_nothing_else_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, step: int
) -> None:
    site = Site(tmp_path, snapshot_every_events=step)
    lines = poisoned(5000, 77, 78, 2999, 4321)
    site.journal.append("a", lines)
    site.judge.start()
    site.judge.stop()

    assert (5000, None, 0) == (site.judge.core.position, site.judge.failure, site.judge.lag())
    assert [("event-set-aside", at) for at in (77, 78, 2999, 4321)] == own(tmp_path)
    kept = {(one.place, site.quarantine.original(one.id)) for one in site.quarantine.entries()}
    assert {(f"journal:{at}", b"poison%d" % at) for at in (77, 78, 2999, 4321)} == kept
    total = sum(int(line) for line in lines if not line.startswith(b"poison"))
    assert f"the sum is {total}" in [summary for _, summary in found(tmp_path)]
    # every tenth line but 2999, and what was set aside
    assert 499 + 4 == len(found(tmp_path))
    assert "secret text" not in caplog.text
    site.close()


@pytest.mark.process
def test_what_is_set_aside_is_the_same_through_crashes(tmp_path: Path) -> None:
    lines = poisoned(600, 5, 6, 299, 300, 451)
    told = []
    for name, sizes in (("calm", [600]), ("crash", [50] * 12)):
        folder = tmp_path / name
        folder.mkdir()
        at = 0
        for size in sizes:
            site = Site(folder, snapshot_every_events=70)
            site.journal.append("a", lines[at : at + size])
            at += size
            for _ in range(3):  # and then the process is gone, wherever it was
                site.judge._step()
            site.close()
        last = Site(folder)
        last.judge.start()
        last.judge.stop()
        last.close()
        told.append([row for row in found(folder) if "fail" not in row[1]] + own(folder))

    assert told[0] == told[1]
    assert 5 == len(own(tmp_path / "crash"))


class Failing(Pipeline):
    """A real core that is made without settings."""

    def __init__(self, *rest: Any) -> None:
        super().__init__()


def judged(folder: Path, lines: list[bytes]) -> tuple[Site, set[tuple[str, str]]]:
    """What detectors told of lines, by name and entity, beside what the runner says of itself."""
    folder.mkdir()
    site = Site(folder, kind=Failing)
    site.journal.append("a", lines)
    site.judge.start()
    site.judge.stop()
    store = Findings(folder)
    rows = {(row["detector"], row["entity"]["id"]) for row in store.select(limit=1000)}
    store.close()
    site.close()
    return site, {row for row in rows if row[0] not in ("event-set-aside", "detector-muted")}


def calls(count: int) -> list[bytes]:
    """Tool calls that touch what is somebody else's, and refused model calls, one a second."""
    return [
        event(
            (START + timedelta(seconds=n)).isoformat(),
            id=f"e{n}",
            tenant="acme",
            **(
                {"kind": "agent.tool_call", "session": f"s{n}", "resource": f"r{n}",
                 "owner": "globex", "tool": "read", "args": "a", "status": "error"}
                if n % 2 else
                {"key": "hmac:00000000000000aa", "model": f"m{n}", "http_status": 403}
            ),
        ).to_json()
        for n in range(count)
    ]  # fmt: skip


def test_a_detector_that_fails_on_every_event_is_not_asked_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise KeyError("secret text")

    lines = calls(300)
    _, calm = judged(tmp_path / "calm", lines)
    monkeypatch.setattr(RepeatedCall, "inspect", fails)  # events
    monkeypatch.setattr(KeyProbe, "judge", fails)  # windows, again and again
    site, told = judged(tmp_path / "failing", lines)

    assert (None, 300) == (site.judge.failure, site.judge.core.position)
    names = [name for name, _ in own(tmp_path / "failing")]
    assert 2 == names.count("detector-muted")
    assert 2 * MUTED_AFTER == names.count("event-set-aside")
    assert {one for one in told if one[0] == "foreign-resource"} <= calm
    assert 150 - MUTED_AFTER <= len([one for one in told if one[0] == "foreign-resource"])


def test_a_finding_is_derived_again_without_the_events_that_were_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspect = RepeatedCall.inspect

    def fails(self: RepeatedCall, seen: Any, time_ms: int) -> Any:
        if seen.event_id in ("e5", "e31"):
            raise KeyError
        return inspect(self, seen, time_ms)

    monkeypatch.setattr(RepeatedCall, "inspect", fails)
    folder = tmp_path / "data"
    judged(folder, calls(60))
    store = Findings(folder)
    [last] = store.select(detector="foreign-resource", limit=1)
    store.close()

    assert last["provenance"]["position"] > 31
    derived = derive(folder, last, CoreSettings())
    assert (True, 0) == (derived.same, derived.told.count("fail"))


def test_a_core_that_fails_on_everything_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.aside.MAX_SET_ASIDE", 9)
    site = Site(tmp_path)
    site.journal.append("a", [b"poison"] * 20)
    site.judge.start()
    until(lambda: site.failed)
    assert "TooManyFail" == site.judge.failure
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
