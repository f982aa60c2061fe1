"""A real `tripmeter serve` process for tests: start it, send to it, kill it, look at its files."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

START_S = 60.0
STOP_S = 30.0


class Serve:
    """One data directory, and the process that serves from it."""

    program = (sys.executable, "-m", "streams.cli")

    def __init__(self, data: Path, config: str = "", options: Sequence[str] = ()) -> None:
        self.data = data
        self.log = ""
        self.config = data.parent / f"{data.name}.toml"
        if "[feed]" not in config:  # its address is one; tests run side by side
            config += "\n[feed]\nenabled = false\n"
        self.config.write_text(config)
        self._options = list(options)
        self._process: subprocess.Popen[str] | None = None
        self.port = 0
        self._client = httpx.Client(verify=False, trust_env=False)  # noqa: S501  (plain HTTP)

    def start(self) -> "Serve":
        """Starts it on a free port and waits until it listens."""
        command = [*self.program, "serve", "--data", str(self.data)]
        command += ["--config", str(self.config), "--listen", "127.0.0.1:0", *self._options]
        self._process = subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._listening.wait(START_S), f"it did not start:\n{self.log}"
        assert self.port, f"it ended at once:\n{self.log}"
        return self

    def _read(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        self.port = 0
        for line in self._process.stderr:
            self.log += line
            if found := re.search(r"listening on http://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                self._listening.set()
        self._listening.set()

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        """The one made on first run."""
        return (self.data / "ingest-token").read_text().strip()

    def post(
        self,
        body: Any,
        path: str = "/ingest/canonical",
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 20.0,
    ) -> httpx.Response:
        """Sends a body."""
        bearer = {"authorization": f"Bearer {token or self.token}"}
        return self._client.post(
            self.url + path, content=body, headers={**bearer, **(headers or {})}, timeout=timeout
        )

    def get(self, path: str) -> httpx.Response:
        """Asks for a page."""
        return self._client.get(self.url + path, timeout=20.0)

    def metric(self, name: str) -> float:
        """A sample without labels."""
        found = re.search(rf"^{name} (\S+)$", self.get("/metrics").text, re.MULTILINE)
        assert found, f"no metric {name}"
        return float(found[1])

    def drained(self) -> None:
        """Waits until everything accepted is judged."""
        deadline = time.monotonic() + STOP_S
        while self.metric("tripmeter_lag_events"):
            assert time.monotonic() < deadline, "it did not catch up"
            time.sleep(0.05)

    def resident_bytes(self) -> int:
        """Memory of the process."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE")

    def kill(self) -> None:
        """As a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """As a supervisor would; gives the exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, with_signal: signal.Signals) -> int:
        assert self._process is not None
        process, self._process = self._process, None
        process.send_signal(with_signal)
        code = process.wait(STOP_S)
        self._reader.join()
        if process.stdout is not None:
            self.log += process.stdout.read()
            process.stdout.close()
        return code

    def close(self) -> None:
        """Ends it however it stands."""
        if self._process is not None:
            self.kill()

    def findings(self) -> list[tuple[str, int, bytes]]:
        """Everything found, as stored."""
        return self._rows("SELECT id, revision, json FROM findings ORDER BY id, revision")

    def outbox(self) -> list[tuple[str, str, str]]:
        """What was queued for whom, and what became of it."""
        return self._rows("SELECT key, destination, state FROM outbox ORDER BY key, destination")

    def incidents(self) -> list[tuple[str, int, str]]:
        """What the findings became."""
        return self._rows("SELECT id, revision, state FROM incidents ORDER BY id")

    def _rows(self, query: str) -> list[Any]:
        connection = sqlite3.connect(self.data / "tripmeter.db")
        rows = connection.execute(query).fetchall()
        connection.close()
        return rows

    def everything(self) -> bytes:
        """Every byte it wrote: files, log."""
        files = [file for file in sorted(self.data.rglob("*")) if file.is_file()]
        return b"\0".join(file.read_bytes() for file in files) + self.log.encode()
