"""Killed at any moment, `serve` finds what it would have found: none lost, none extra."""

import json
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving import Serve
from tests.traffic import small_day

BATCH = 100
SEED = int(os.environ.get("TRIPMETER_KILL_SEED", "20261121"))
CONFIG = """
[store]
snapshot_every_s = 0.2
snapshot_every_events = 300
"""


class Sender:
    """Sends batches in order; what was not answered with 2xx is sent again."""

    def __init__(self, serve: Serve, lines: list[bytes], steps: int) -> None:
        self.repeated = 0
        self._serve = serve
        self._batches = [lines[at : at + BATCH] for at in range(0, len(lines), BATCH)]
        self._step = len(self._batches) // steps + 1
        self._allowed = threading.Semaphore(self._step)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def more(self) -> None:
        """Lets the next part of the traffic go, so that there is load until the last kill."""
        self._allowed.release(self._step)

    def finish(self) -> None:
        """Waits until everything was answered."""
        self._thread.join(120)
        assert not self._thread.is_alive(), f"the sender is stuck:\n{self._serve.log}"

    def _run(self) -> None:
        for batch in self._batches:
            self._allowed.acquire()
            while not self._send(b"\n".join(batch)):
                self.repeated += 1
                time.sleep(0.05)

    def _send(self, body: bytes) -> bool:
        try:
            return self._serve.post(body, timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


def run(serve: Serve, lines: list[bytes], kills: int) -> int:
    """Sends all lines through so many kills; gives how many requests were repeated."""
    moments = random.Random(SEED)
    serve.start()
    sender = Sender(serve, lines, kills + 1)
    for _ in range(kills):
        time.sleep(moments.uniform(0.0, 0.3))
        serve.kill()
        sender.more()
        serve.start()
    sender.finish()
    serve.drained()
    counted = {
        name: serve.metric(f"tripmeter_judged_{name}_total")
        for name in ("events", "duplicates", "late")  # a repeated line is one of the last two
    }
    assert len(lines) == counted["events"] - counted["duplicates"] - counted["late"], counted
    assert 0 == serve.stop(), serve.log
    return sender.repeated


def conclusions(serve: Serve) -> list[dict[str, Any]]:
    """The findings, without the number of the deciding line: repeated lines count too."""
    found = []
    for _, _, text in serve.findings():
        finding = json.loads(text)
        del finding["provenance"]["position"]
        found.append(finding)
    return found


def delivered(serve: Serve) -> set[str]:
    """Keys of what is in the findings file (at least once)."""
    lines = (serve.data / "findings.ocsf.ndjson").read_text().splitlines()
    return {json.loads(line)["finding_info"]["uid"] for line in lines}


def compare(tmp_path: Path, lines: list[bytes], kills: int) -> None:
    calm = Serve(tmp_path / "calm", CONFIG)
    killed = Serve(tmp_path / "killed", CONFIG)
    try:
        with ThreadPoolExecutor() as pool:
            reference = pool.submit(run, calm, lines, 0)
            repeated = run(killed, lines, kills)
            reference.result()
    finally:
        calm.close()
        killed.close()
    assert len(conclusions(calm)) >= 8
    assert conclusions(calm) == conclusions(killed), f"seed {SEED}, {repeated} repeated"
    assert calm.incidents() == killed.incidents()
    assert calm.outbox() == killed.outbox()
    assert {"delivered"} == {state for *_, state in killed.outbox()}
    assert delivered(calm) == delivered(killed)


@pytest.mark.process
def test_two_kills_change_nothing(tmp_path: Path) -> None:
    compare(tmp_path, small_day(hours=(9,), clients=2), 2)


@pytest.mark.slow
def test_fifty_kills_change_nothing(tmp_path: Path) -> None:
    compare(tmp_path, small_day(), 50)
