"""One file, three ways: replay, serve, and ingest to Kafka to two workers find the same."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from streams.kafka.lag import measure
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import Names
from tests.kafka_process import IngestProcess, Process, config, provision, read_all
from tests.serving import Serve
from tests.traffic import small_day

PARTITIONS = 24  # more than there are keys: some stay empty, some fall silent early
BODY_LINES = 2000
WITHIN_S = 180.0

LATENESS_S = 60

Row = dict[str, Any]
Found = dict[str, Row]


def _last(rows: Iterable[Row]) -> Found:
    """The last revision of each finding."""
    return {row["id"]: row for row in sorted(rows, key=lambda row: int(row["revision"]))}


def _same(rows: Iterable[Row]) -> Found:
    """The last revision of each finding, without what the way it was run decides.

    A key's own events keep their order through Kafka; those of different keys that meet in a
    session, a resource or an address are put in the order of their times. So which of them decided,
    and when, may be another than in a file; what happened in all may not.
    """
    return {id: _content(row) for id, row in _last(rows).items()}


def _content(row: Row) -> Row:
    if row["entity"]["lane"] == "credential":
        return {key: value for key, value in row.items() if key not in ("provenance", "time")}
    kept = ("id", "revision", "final", "detector", "entity", "tenant", "severity", "summary")
    totals = row["evidence"].get("totals") if row["final"] else None
    return {**{key: row[key] for key in kept}, "totals": totals, "cost_usd": row["cost_usd"]}


def _differences(ours: Found, theirs: Found) -> dict[str, dict[str, Any]]:
    """Id -> field -> both values, where they are not the same."""
    return {
        id: {
            key: (ours.get(id, {}).get(key), theirs.get(id, {}).get(key))
            for key in {**ours.get(id, {}), **theirs.get(id, {})}
            if ours.get(id, {}).get(key) != theirs.get(id, {}).get(key)
        }
        for id in {**ours, **theirs}
        if ours.get(id) != theirs.get(id)
    }


def _first(rows: Iterable[Row]) -> dict[str, str]:
    """What each finding said when it tripped."""
    return {row["id"]: row["summary"] for row in rows if row["revision"] == 1}


def _replayed(file: Path, folder: Path) -> list[Row]:
    command = [sys.executable, "-m", "streams.cli", "replay", str(file), "--json"]
    done = subprocess.run(
        [*command, "--quarantine", str(folder)], capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def _served(lines: list[bytes], folder: Path) -> list[Row]:
    serve = Serve(folder / "serve")
    try:
        serve.start()
        for at in range(0, len(lines), BODY_LINES):
            assert 200 == serve.post(b"\n".join(lines[at : at + BODY_LINES])).status_code
        serve.drained()
        serve.stop()
    finally:
        serve.close()
    connection = sqlite3.connect(folder / "serve" / "tripmeter.db")
    rows = [json.loads(row[0]) for row in connection.execute("SELECT json FROM findings")]
    connection.close()
    return rows


def _published(kafka: KafkaSettings) -> list[Row]:
    return [json.loads(record.value) for record in read_all(kafka, Names(kafka.prefix).findings)]


def _settled(kafka: KafkaSettings, wanted: Found) -> list[Row]:
    """What is on the topic when nothing is left to judge and the last clocks have come round."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        if measure(kafka).total == 0 and _same(_published(kafka)) == wanted:
            break
        time.sleep(0.5)
    return _published(kafka)


@pytest.mark.kafka
def test_two_workers_one_of_them_killed_find_what_replay_and_serve_find(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    lines = small_day(hours=(9,))
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"\n".join(lines) + b"\n")
    replayed = _replayed(file, tmp_path / "replay")
    assert len(_last(replayed)) > 5
    assert _last(replayed) == _last(_served(lines, tmp_path))

    kafka = kafka.model_copy(update={"shards": 4, "events_partitions": PARTITIONS})
    provision(kafka)
    toml = config(tmp_path / "t.toml", kafka)
    size = len(lines) // 3 + 1
    thirds = [lines[at : at + size] for at in range(0, len(lines), size)]
    with ExitStack() as closing:

        def worker(number: int) -> Process:
            command = ["worker", "--config", str(toml), "--data", str(tmp_path / f"w{number}")]
            return closing.enter_context(Process(command, r"probes on (\S+)")).begun()

        ingest = closing.enter_context(IngestProcess(tmp_path / "ingest", toml)).begun()
        workers = [worker(1), worker(2)]
        for number, part in enumerate(thirds):
            if number == 1:  # a router is gone for a third of the day, then comes back
                workers.pop().signal(signal.SIGKILL)
            for at in range(0, len(part), BODY_LINES):
                body = b"\n".join(part[at : at + BODY_LINES])
                assert 200 == ingest.post(body).status_code
            if number == 1:
                workers.append(worker(2))
        published = _settled(kafka, _same(replayed))
        assert [0, 0] == [process.stop() for process in workers]

    assert {} == _differences(_same(replayed), _same(published))
    ours, theirs = _last(replayed), _last(published)
    assert all(_apart_s(ours[id], theirs[id]) <= 2 * LATENESS_S for id in ours)
    in_order = {row["id"] for row in replayed if row["entity"]["lane"] == "credential"}
    assert {id: told for id, told in _first(replayed).items() if id in in_order} == {
        id: told for id, told in _first(published).items() if id in in_order
    }
    events = Names(kafka.prefix).events
    sizes = [part.end for part in measure(kafka).workers if part.topic == events]
    assert 0 in sizes and max(sizes) > 1


def _apart_s(one: Row, other: Row) -> float:
    a, b = (datetime.fromisoformat(row["time"]) for row in (one, other))
    return abs((a - b).total_seconds())
