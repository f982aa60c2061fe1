"""Runs real `tripmeter worker` processes for tests, and compares what they find with a replay."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from schemas.finding import Finding
from schemas.identity import Pepper
from streams.kafka import clients
from streams.kafka.lag import measure
from streams.kafka.provision import create
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import Names, specs
from tests.lanes_in_memory import essence, replayed, unordered

WAIT_S = 90.0
Said = dict[tuple[str, int], Any]


class Process:
    """One worker, in a folder of its own, with its log beside it."""

    def __init__(self, folder: Path, config: Path, name: str) -> None:
        self.data, self.log_file = folder / name, folder / f"{name}.log"
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Starts it (again)."""
        command = [sys.executable, "-m", "streams.cli", "worker", "--config", str(self._config)]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--data", str(self.data)], stdout=log, stderr=subprocess.STDOUT
            )

    def log(self) -> str:
        """What it said so far."""
        return self.log_file.read_text(errors="replace")

    def send(self, number: int) -> None:
        """Sends a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """As a power cut would."""
        self.end(signal.SIGKILL)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ends it and gives its exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
        return self._process.wait(30)

    @property
    def code(self) -> int | None:
        """Its exit code, when it ended."""
        assert self._process is not None
        return self._process.poll()

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def address(self) -> str:
        """Where its probes answer."""
        return until(lambda: _found("probes on ", self.log()), "the worker did not start")

    def probe(self, path: str) -> tuple[int, str]:
        """One answer."""
        answer = httpx.get(self.address() + path, timeout=5)
        return answer.status_code, answer.text

    def ready(self) -> None:
        """Waits until it has partitions."""
        until(lambda: "shards are ours" in self.log(), f"no partitions:\n{self.log()[-3000:]}")


def _found(mark: str, text: str) -> str:
    at = text.rfind(mark)
    return text[at + len(mark) :].split()[0] if at >= 0 else ""


def until(check: Callable[[], Any], what: str, wait_s: float = WAIT_S) -> Any:
    """The first true value of a check."""
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        if value := check():
            return value
        time.sleep(0.2)
    raise AssertionError(what)


class Cluster:
    """Topics and workers of one test."""

    def __init__(self, kafka: KafkaSettings, folder: Path, snapshot_every_s: float = 2) -> None:
        self.kafka, self.folder, self.names = kafka, folder, Names(kafka.prefix)
        admin = clients.admin(kafka)
        create(admin, specs(kafka))
        admin.close()
        Pepper.load(folder / "pepper")
        self.config = folder / "tripmeter.toml"
        values = {
            "bootstrap": kafka.bootstrap,
            "prefix": kafka.prefix,
            "shards": kafka.shards,
            "pepper_file": "pepper",
        }
        lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        more = ["[store]", f"snapshot_every_s = {snapshot_every_s}"]
        self.config.write_text("\n".join(["[kafka]", *lines, *more]) + "\n")
        from streams.kafka.installation import establish

        establish(kafka, folder, Pepper.load(folder / "pepper"))
        self.workers: list[Process] = []
        self._producer = clients.producer(
            kafka, client="test", linger_ms=10, max_request_size=4 << 20
        )

    def worker(self) -> Process:
        """Starts one more."""
        process = Process(self.folder, self.config, f"w{len(self.workers)}")
        self.workers.append(process)
        return process

    def produce(self, lines: Sequence[bytes], partition: int, batch: int = 1) -> None:
        """Puts canonical lines on one partition of `events`."""
        for at in range(0, len(lines), batch):
            value = b"\n".join(lines[at : at + batch])
            self._producer.send(self.names.events, value, partition=partition)
        self._producer.flush()

    def caught_up(self, wait_s: float = WAIT_S) -> None:
        """Waits until everything is judged and published."""
        time.sleep(1)
        until(
            lambda: measure(self.kafka).total == 0,
            "the workers did not catch up:\n" + "\n".join(w.log()[-1500:] for w in self.workers),
            wait_s,
        )

    def findings(self) -> list[Finding]:
        """Everything on the findings topic, in no stated order between entities."""
        return [Finding.model_validate_json(value) for value in self.values(self.names.findings)]

    def values(self, topic: str) -> list[bytes]:
        """Every value of a topic."""
        from kafka import TopicPartition

        consumer = clients.consumer(self.kafka, client="test", enable_auto_commit=False)
        parts = [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic)]
        consumer.assign(parts)
        consumer.seek_to_beginning(*parts)
        ends, found = consumer.end_offsets(parts), []
        while any(consumer.position(part) < ends[part] for part in parts):
            for records in consumer.poll(timeout_ms=500).values():
                found += [record.value for record in records]
        consumer.close()
        return found

    def said(self) -> Said:
        """Every revision; a final one that came twice must say the same."""
        said: Said = {}
        for one in self.findings():
            if one.family != "health":
                before = said.setdefault((one.id, one.revision), essence(one))
                assert not one.final or before == essence(one)
        return said

    def end(self) -> None:
        """Kills what still runs."""
        self._producer.close()
        for worker in self.workers:
            worker.kill()


@contextmanager
def cluster(kafka: KafkaSettings, folder: Path, **options: Any) -> Iterator[Cluster]:
    """A cluster, ended afterwards."""
    made = Cluster(kafka, folder, **options)
    try:
        yield made
    finally:
        made.end()


def expected(lines: Sequence[bytes]) -> Said:
    """What a replay of these lines says."""
    return {(one.id, one.revision): essence(one) for one in replayed(lines)}


def same(one: Said, other: Said) -> bool:
    """Whether two runs found the same in the end.

    What a finding says while its window is open depends on which partition's event came first.
    """
    return settled(one) == settled(other)


def settled(said: Said) -> dict[str, Any]:
    """The last revision of each finding; of one that may still grow, only what it is about."""
    last = {id: (id, revision) for id, revision in sorted(said)}
    rows = unordered(said)
    return {id: rows[name] if said[name]["final"] else rows[name][:2] for id, name in last.items()}
