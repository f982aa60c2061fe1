"""The feed under load: a million incidents kept, fifty streams open, a hundred new ones a second.

    python benchmarks/feed.py [--incidents 1000000] [--streams 50] [--rate 100] [--seconds 20]

Makes a store in a temporary folder (or `--data`, kept), starts `tripmeter feed` on it, and prints
what was measured: first pages, searches, the delay until a new incident reaches every stream, and
what the process used. The writer runs beside it, so on a small machine both share the cores.
"""

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from alerts.feed.accounts import Accounts
from alerts.feed.sessions import Sessions
from alerts.feed.tables import prepare
from alerts.incident import Incident, Policy
from alerts.incident_steps import receive
from alerts.store import AlertStore
from schemas.finding import Entity, Finding, Provenance, Severity

PAGES = {
    "open incidents": "/",
    "all, newest": "/?view=all",
    "all, by severity": "/?view=all&sort=severity",
    "of a tenant": "/?view=all&tenant=tenant-7",
    "a rare owner": "/?view=all&owner=nobody-of-that-name",
    "search for a key": "/?view=all&q=hmac:00ff",
    "search two words": "/?view=all&q=tenant-77+spends",
    "search in all": "/?view=all&q=habit",
    "search for nothing": "/?view=all&q=zzzzzz",
    "overview": "/overview",
}
PATTERNS = 500
OLD = "2026-01-01T00:00:00Z"
PROVENANCE = Provenance(
    detector_version="1", settings="5e771465", prices="2026-11-01", state="1", position=4711
)


def finding(number: int, at: datetime) -> Finding:
    """One of its own entity."""
    rng = random.Random(number)
    return Finding(
        id=f"{number:032x}",
        detector="stolen-key-spend",
        title="A key spends far above its own habit",
        family="llmjacking",
        entity=Entity(lane="credential", id=f"hmac:{rng.getrandbits(64):016x}"),
        tenant=f"tenant-{number % 500}",
        time=at,
        since=at - timedelta(minutes=5),
        severity=list(Severity)[rng.choices(range(5), (20, 40, 25, 12, 3))[0]],
        summary=f"{number:,} tokens, an estimated $4.17, within 60 minutes; 57 times usual",
        evidence={"totals": {"tokens": number}, "usual": {"tokens": {"typical": 12}}},
        cost_usd=rng.random() * 100,
        provenance=PROVENANCE,
    )


def fill(folder: Path, count: int) -> None:
    """Incidents of the last 30 days, one in fifty still open; faster than the store writes."""
    store = AlertStore(folder / "tripmeter.db")
    prepare(store.engine)
    store.close()
    connection = sqlite3.connect(folder / "tripmeter.db", isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    names = [row[1] for row in connection.execute("PRAGMA table_info(incidents)")]
    places = ",".join("?" * len(names))
    insert = f"INSERT INTO incidents ({','.join(names)}) VALUES ({places})"  # noqa: S608
    begin = datetime.now(UTC) - timedelta(days=30)
    step = timedelta(days=30) / count
    patterns = [_pattern(number) for number in range(PATTERNS)]
    connection.execute("BEGIN")
    for number in range(1, count + 1):
        at = begin + number * step
        row = _like(patterns[number % PATTERNS], number, at)
        connection.execute(insert, [row[name] for name in names])
        if number % 50_000 == 0:
            connection.execute("COMMIT")
            connection.execute("BEGIN")
            print(f"  {number:,} incidents", file=sys.stderr)
    connection.execute(
        "INSERT INTO incident_history (number, incident, revision, at, by, change, state, rank,"
        " reason) VALUES (?, 'x', 1, 0, 'x', 'updated', 'open', 1, '')", (count,),
    )  # fmt: skip
    for table in ("incident_search", "incident_words"):  # as an older version left it
        connection.execute(f"DROP TABLE {table}")
    connection.execute("PRAGMA user_version=0")
    connection.execute("COMMIT")
    connection.close()


def _pattern(number: int) -> dict[str, Any]:
    """A row that many are made like; one in fifty is open."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    told = finding(number, at)
    incident = receive(None, told, at, Policy())
    if number % 50:
        update = {"state": "resolved", "closed": at, "revision": 2, "change": "resolved"}
        incident = incident.model_copy(update=update)
    return _row(incident, told, number)


def _like(pattern: dict[str, Any], number: int, at: datetime) -> dict[str, Any]:
    """The same about another entity at another time."""
    id, entity = f"{number:020x}", f"hmac:{number * 0x9E3779B97F4A7C15 % 2**64:016x}"
    when = at.timestamp()
    texts = (pattern["id"], id), (pattern["entity"], entity), (OLD, f"{at:%Y-%m-%dT%H:%M:%S}Z")
    bodies = {}
    for name in ("json", "finding"):
        body = pattern[name]
        for old, new in texts:
            body = body.replace(old.encode(), new.encode())
        bodies[name] = body
    return {
        **pattern, **bodies, "id": id, "entity": entity, "change": number,
        "key": f"llmjacking:credential:{entity}", "opened": when, "changed": when, "last": when,
    }  # fmt: skip


def _row(incident: Incident, told: Finding, number: int) -> dict[str, object]:
    return {
        "id": incident.id, "key": incident.key, "latest": True, "state": incident.state,
        "active": incident.active, "rank": incident.severity.rank, "family": incident.family,
        "lane": incident.entity.lane, "entity": incident.entity.id, "tenant": incident.tenant,
        "mode": incident.mode, "owner": incident.owner, "opened": incident.opened.timestamp(),
        "changed": incident.changed.timestamp(), "last": incident.last.timestamp(), "due": None,
        "inhibited_by": None, "cost_usd": incident.cost_usd, "revision": incident.revision,
        "change": number, "json": incident.to_json(), "finding": told.to_json(),
    }  # fmt: skip


class Watcher(threading.Thread):
    """One open stream; notes when each new incident arrived."""

    def __init__(self, url: str, cookie: str) -> None:
        super().__init__(daemon=True)
        self.url, self.cookie = url, cookie
        self.arrived: dict[str, float] = {}
        self.ready = threading.Event()

    def run(self) -> None:
        """Reads until the server ends."""
        with httpx.stream(
            "GET",
            f"{self.url}/live",
            cookies={"tripmeter_session": self.cookie},
            timeout=httpx.Timeout(60),
        ) as answer:
            self.ready.set()
            try:
                for line in answer.iter_lines():
                    if line.startswith("data: {"):
                        at = time.time()
                        for id in json.loads(line[6:]).get("changed", ()):
                            self.arrived.setdefault(id, at)
            except httpx.HTTPError:
                return


def used(pid: int) -> tuple[float, float]:
    """CPU seconds and resident MB of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    ticks = os.sysconf("SC_CLK_TCK")
    return (int(fields[11]) + int(fields[12])) / ticks, pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def percentile(values: list[float], share: float) -> float:
    """Of sorted or unsorted values."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--incidents", type=int, default=1_000_000)
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--data", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = asked.data or Path(made)
        folder.mkdir(exist_ok=True)
        if not (folder / "tripmeter.db").exists():
            fill(folder, asked.incidents)
        size = (folder / "tripmeter.db").stat().st_size / 2**20
        print(f"{asked.incidents:,} incidents, {size:,.0f} MB")
        measure(folder, asked)


def measure(folder: Path, asked: argparse.Namespace) -> None:
    """One run against a store."""
    begun = time.perf_counter()
    store = AlertStore(folder / "tripmeter.db")
    prepare(store.engine)
    size = (folder / "tripmeter.db").stat().st_size / 2**20
    print(f"  opened in {time.perf_counter() - begun:.1f} s; {size:,.0f} MB now")
    accounts = Accounts(store.engine)
    accounts.first()
    cookies = [Sessions(store.engine, 3600).begin("admin") for _ in range(5)]
    command = [sys.executable, "-m", "streams.cli", "feed", "--data", str(folder)]
    with subprocess.Popen(
        [*command, "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        url = next(line.split()[-1] for line in process.stderr if "feed is at" in line)
        threading.Thread(target=process.stderr.read, daemon=True).start()
        httpx.get(f"{url}/healthz", timeout=60)  # it has begun
        client = httpx.Client(base_url=url, cookies={"tripmeter_session": cookies[0]}, timeout=60)
        pages(client)
        streams(url, store, cookies, asked, process.pid)
        pages(client)
        process.terminate()


def pages(client: httpx.Client) -> None:
    """How long pages take: the first time, and the median of five."""
    for name, path in PAGES.items():
        times = []
        for _ in range(6):
            at = time.perf_counter()
            client.get(path).raise_for_status()
            times.append(time.perf_counter() - at)
        print(f"  {name:<20} first {times[0]:.3f} s, then {percentile(times[1:], 0.5):.3f} s")


def streams(
    url: str, store: AlertStore, cookies: list[str], asked: argparse.Namespace, pid: int
) -> None:
    """The delay from the commit of an incident to its arrival, over all streams."""
    watchers = [Watcher(url, cookies[n % len(cookies)]) for n in range(asked.streams)]
    for watcher in watchers:
        watcher.start()
    for watcher in watchers:
        watcher.ready.wait(30)
    time.sleep(1)
    cpu, _ = used(pid)
    sent: dict[str, float] = {}
    begun = time.time()
    number = time.time_ns() // 1000  # new ones in every run
    for batch in range(asked.seconds * 5):
        many = asked.rate // 5
        found = [finding(number + batch * many + n, datetime.now(UTC)) for n in range(many)]
        store.record(found)
        at = time.time()
        sent |= {receive(None, each, each.time, Policy()).id: at for each in found}
        time.sleep(max(0.0, begun + (batch + 1) / 5 - time.time()))
    took = time.time() - begun
    time.sleep(3)
    after, memory = used(pid)
    delays = [w.arrived[id] - at for w in watchers for id, at in sent.items() if id in w.arrived]
    missing = sum(id not in w.arrived for w in watchers for id in sent)
    print(
        f"  {asked.streams} streams, {len(sent) / took:.0f} new incidents/s for {took:.0f} s: delay"
        f" p50 {percentile(delays, 0.5):.2f} s, p95 {percentile(delays, 0.95):.2f} s,"
        f" max {max(delays):.2f} s; {missing} missing;"
        f" feed used {(after - cpu) / (took + 3):.2f} cores, {memory:.0f} MB"
    )


if __name__ == "__main__":
    main()
