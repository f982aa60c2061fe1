"""How fast the outbox delivers to a HEC collector, and whether its memory grows with what waits.

    python benchmarks/outbox.py [--findings N] [--waiting N]

The collector is a process of its own on loopback that answers at once and parses nothing; the store
is a SQLite file with `synchronous=FULL`. Printed: findings stored (with their incidents) and
delivered, per second of this process's own CPU time too, because a busy machine gives it less; and
its resident memory with an empty queue, with `--waiting` rows, and while those are delivered. It
takes about five minutes.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from alerts.deliverer import Deliverer
from alerts.incident import Incident
from alerts.outbox import Outbox
from alerts.outbox_queue import Queue
from alerts.posting import Poster
from alerts.splunk_hec import SplunkHecSink
from alerts.store import AlertStore
from alerts.store_engine import open_store, writing
from schemas.finding import Entity, Finding, Provenance, Severity

COLLECTOR = """
import socket, threading
server = socket.create_server(("127.0.0.1", 0), backlog=64)
print(server.getsockname()[1], flush=True)
ANSWER = (b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: 27\\r\\n\\r\\n"
          b'{"text":"Success","code":0}')
def serve(connection):
    data = b""
    while True:
        while b"\\r\\n\\r\\n" not in data:
            part = connection.recv(1 << 20)
            if not part:
                return
            data += part
        head, _, data = data.partition(b"\\r\\n\\r\\n")
        length = int(next(l for l in head.lower().split(b"\\r\\n")
                          if l.startswith(b"content-length"))[15:])
        while len(data) < length:
            data += connection.recv(1 << 20)
        data = data[length:]
        connection.sendall(ANSWER)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""
START = datetime(2026, 11, 21, tzinfo=UTC)
CHUNK = 5000


class Siem:
    """Everything goes to one destination."""

    def of_finding(self, finding: Finding) -> tuple[str, ...]:
        return ("siem",)

    def of_incident(self, incident: Incident) -> tuple[str, ...]:
        return ()


def finding(number: int) -> Finding:
    """One of usual size: a window judged, two events behind it."""
    events = [
        {
            "id": f"event-{number}-{n}",
            "time": "2026-11-20T11:59:00Z",
            "request_model": "gpt-4o",
            "input_tokens": 1200,
            "client_address": f"203.0.113.{n}",
            "user_agent": "python-requests/2.31",
        }
        for n in range(2)
    ]
    usual = {"tokens": {"typical": 12_000, "limit": 900_000, "windows": 300}}
    return Finding(
        id=f"{number:032x}",
        detector="stolen-key-spend",
        title="A key spends far above its own habit",
        family="llmjacking",
        entity=Entity(lane="credential", id=f"hmac:{number % 5000:016x}"),
        tenant="acme",
        time=START + timedelta(milliseconds=number),
        since=START,
        severity=Severity.HIGH,
        probability=0.0004,
        summary="9,000,000 tokens, an estimated $42.00, within 5 minutes; 750 times usual",
        evidence={
            "window": {"spec": "credential/5m", "start": "2026-11-20T12:00:00Z", "final": False},
            "totals": {"tokens": 9_000_000, "nanousd": 42_000_000_000, "calls": 412},
            "usual": usual,  # type: ignore[dict-item]
            "events": events,  # type: ignore[dict-item]
        },
        event_ids=(f"event-{number}-0", f"event-{number}-1"),
        cost_usd=42.0,
        runbook=("Look at the newest addresses: are they the owner's?", "Revoke the key."),
        provenance=Provenance(
            detector_version="1", settings="5e77", prices="2026-11-01", state="1", position=number
        ),
    )


@contextmanager
def collector() -> Iterator[str]:
    """The URL of a collector in a process of its own."""
    with subprocess.Popen([sys.executable, "-c", COLLECTOR], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def resident_mib() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20


def speed(rows: int, took_s: float, cpu_s: float) -> str:
    """Rows per second, by the clock and by our own CPU time."""
    return f"{rows / took_s:8,.0f} findings/s, {rows / cpu_s:8,.0f} per CPU second ({rows:,})"


def deliver(path: Path, url: str, rows: int, stop_at_s: float) -> tuple[int, float, float, float]:
    """Delivers for at most so long; gives rows, seconds, CPU seconds, and the largest memory."""
    sink = SplunkHecSink("siem", url, lambda: "t", poster=Poster())
    deliverer = Deliverer(path, [sink])
    outbox = Outbox(path)
    before = outbox.counts()["siem"]["waiting"]
    rows = min(rows, before)
    started, cpu, largest = time.monotonic(), time.process_time(), resident_mib()
    deliverer.start()
    while (left := outbox.counts()["siem"]["waiting"]) > before - rows:
        if time.monotonic() - started > stop_at_s:
            break
        time.sleep(0.1)
        largest = max(largest, resident_mib())
    took, cpu = time.monotonic() - started, time.process_time() - cpu
    deliverer.stop(0.0)
    return before - left, took, cpu, largest


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--findings", type=int, default=30_000)
    parser.add_argument("--waiting", type=int, default=1_000_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, collector() as url:
        path = Path(folder) / "tripmeter.db"
        store = AlertStore(path, Siem())
        made = [finding(number) for number in range(chosen.findings)]
        started, cpu = time.monotonic(), time.process_time()
        for at in range(0, len(made), 500):
            store.record(made[at : at + 500])
        took, cpu = time.monotonic() - started, time.process_time() - cpu
        print(f"stored with incidents and queue: {speed(len(made), took, cpu)}")
        del made
        rows, took, cpu, _ = deliver(path, url, chosen.findings, 120)
        print(f"delivered in HEC batches:        {speed(rows, took, cpu)}")
        print(f"memory with an empty queue:      {resident_mib():8,.0f} MiB")
        engine = open_store(path)
        first = chosen.findings
        for at in range(first, first + chosen.waiting, CHUNK):
            with writing(engine) as connection:
                queue = Queue(connection, Siem(), 0.0, limit=10**9)
                queue.findings([(n, finding(n)) for n in range(at, at + CHUNK)])
                queue.finish()
        waiting = Outbox(path).counts()["siem"]["waiting"]
        print(f"memory with {waiting:9,} waiting:   {resident_mib():8,.0f} MiB")
        rows, took, cpu, largest = deliver(path, url, 100_000, 60)
        print(f"delivered with that many behind: {speed(rows, took, cpu)}")
        print(f"largest memory meanwhile:        {largest:8,.0f} MiB")
        print(f"size of the file:                {path.stat().st_size / 2**20:8,.0f} MiB")


if __name__ == "__main__":
    main()
