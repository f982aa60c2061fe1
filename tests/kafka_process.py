"""Real `tripmeter` processes beside a real broker: start them, send to them, kill them."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import httpx

from streams.kafka import clients, installation
from streams.kafka.provision import create
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import specs

START_S = 90.0
STOP_S = 60.0


def config(file: Path, kafka: KafkaSettings, more: str = "") -> Path:
    """A configuration file with `[kafka]`, and further tables as text."""
    lines = [
        f"{key} = {json.dumps(value)}"
        for key, value in kafka.model_dump(mode="json", exclude_unset=True).items()
        if value is not None
    ]
    file.write_text("\n".join(["[kafka]", *lines, more]) + "\n")
    return file


def provision(kafka: KafkaSettings) -> None:
    """Makes the topics, and what processes agree on."""
    admin = clients.admin(kafka)
    try:
        create(admin, specs(kafka))
    finally:
        admin.close()
    installation.establish(kafka, Path(), None)


def read_all(kafka: KafkaSettings, topic: str) -> list[Any]:
    """Every record of a topic that is there now, partition by partition."""
    from kafka import TopicPartition

    consumer = clients.consumer(kafka, client="test", group_id=None, enable_auto_commit=False)
    try:
        parts = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic))]
        consumer.assign(parts)
        ends = consumer.end_offsets(parts)
        consumer.seek_to_beginning()
        found: list[Any] = []
        while any(consumer.position(part) < ends[part] for part in parts):
            for records in consumer.poll(timeout_ms=500).values():
                found += records
        return sorted(found, key=lambda record: (record.partition, record.offset))
    finally:
        consumer.close()


class Process:
    """One command and what it says on standard error.

    Args:
        command: words after `tripmeter`.
        ready: a line that says it has begun; its first group becomes `found`.
    """

    def __init__(
        self,
        command: Sequence[str],
        ready: str,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.command = list(command)
        self.log = ""
        self.found = ""
        self._ready = re.compile(ready)
        self._begun = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streams.cli", *self.command],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **(environment or {})},
            cwd=folder,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.log += line
            if not self._begun.is_set() and (found := self._ready.search(line)):
                self.found = found[1] if found.groups() else found[0]
                self._begun.set()
        self._begun.set()

    def begun(self) -> Self:
        """Waits until it has begun."""
        assert self._begun.wait(START_S), f"it did not begin:\n{self.log}"
        assert self.found, f"it ended at once:\n{self.log}"
        return self

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def signal(self, which: signal.Signals) -> None:
        """Sends a signal to it alone."""
        self._process.send_signal(which)

    def wait(self) -> int:
        """Its exit code, when it ends by itself."""
        code = self._process.wait(STOP_S)
        self._reader.join()
        return code

    def stop(self) -> int:
        """As a supervisor would."""
        if self._process.poll() is None:
            self._process.terminate()
        return self.wait()

    def close(self) -> None:
        """Ends it however it stands."""
        if self._process.poll() is None:
            self._process.kill()
        self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class IngestProcess(Process):
    """`tripmeter ingest` on a free port."""

    def __init__(self, data: Path, file: Path) -> None:
        self.data = data
        super().__init__(
            ["ingest", "--data", str(data), "--config", str(file), "--listen", "127.0.0.1:0"],
            r"listening on (http://\S+)",
        )

    def post(self, body: bytes, path: str = "/ingest/canonical", **headers: str) -> httpx.Response:
        """Sends a body with the first token."""
        token = (self.data / "ingest-token").read_text().strip()
        headers["authorization"] = f"Bearer {token}"
        return httpx.post(self.found + path, content=body, headers=headers, timeout=40)

    def get(self, path: str) -> httpx.Response:
        """Asks for a page."""
        return httpx.get(self.found + path, timeout=20)

    def until_ready(self, status: int = 200) -> None:
        """Waits for an answer of `/readyz`."""
        deadline = time.monotonic() + START_S
        while self.get("/readyz").status_code != status:
            assert time.monotonic() < deadline, self.get("/readyz").text
            time.sleep(0.1)
