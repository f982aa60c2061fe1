"""What a `tripmeter serve` was told and made of it, read from its files."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from schemas.identity import Pepper, identifier
from streams.journal_reader import JournalReader
from tests.serving import Serve

Event = dict[str, Any]
MAX_EVENTS = 100_000


def events(data: Path) -> list[Event]:
    """Everything accepted, in the order of the journal."""
    reader = JournalReader(data / "journal.db")
    batch = reader.read(0, MAX_EVENTS)
    reader.close()
    return [json.loads(line) for line in batch.data.splitlines()] if batch else []


def findings(data: Path) -> list[Event]:
    """What `tripmeter findings --json` prints."""
    command = [sys.executable, "-m", "streams.cli", "findings", "--data", str(data), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60.0, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def delivered(data: Path) -> list[Event]:
    """The records of the OCSF file."""
    text = (data / "findings.ocsf.ndjson").read_text()
    return [json.loads(line) for line in text.splitlines()]


def counts(serve: Serve) -> dict[str, float]:
    """The counters of `/metrics` that account for events."""
    found: Counter[str] = Counter()
    for line in serve.get("/metrics").text.splitlines():
        name, _, value = line.rpartition(" ")
        name = name.partition("{")[0]
        if name.startswith("tripmeter_") and name.endswith("_total"):
            found[name.removeprefix("tripmeter_").removesuffix("_total")] += float(value)
    return dict(found)


def key_id(data: Path, native: str) -> str:
    """How a key is named in events, from the name its gateway gives it."""
    return identifier(Pepper.load(data / "pepper").secret, native)


def until(done: Callable[[], bool], within_s: float, what: str) -> None:
    """Waits.

    Raises:
        AssertionError: it did not happen in time.
    """
    deadline = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        time.sleep(0.2)


def calls(told: Iterable[Event]) -> list[list[Event]]:
    """Events grouped by the call they tell of: those of one key and kind that share a call id."""
    groups: list[tuple[set[tuple[str, ...]], list[Event]]] = []
    for event in told:
        kind = (event["event.name"], event.get("api_key.id", ""))
        names = {(*kind, name) for name in event["call.ids"]}
        same = [group for group in groups if group[0] & names]
        groups = [group for group in groups if not group[0] & names]
        members = [one for group in same for one in group[1]]
        groups.append((names.union(*(group[0] for group in same)), [*members, event]))
    return [group[1] for group in groups]


def settled(data: Path, quiet_s: float, within_s: float) -> None:
    """Waits until nothing more was accepted for `quiet_s` seconds."""
    last = [-1, time.monotonic()]

    def quiet() -> bool:
        count = len(events(data))
        if count != last[0]:
            last[:] = [count, time.monotonic()]
        return count > 0 and time.monotonic() - last[1] >= quiet_s

    until(quiet, within_s, "events kept coming")
