"""A third-party program as a process of its own: started, waited for, stopped by its id."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import httpx

STOP_S = 20.0
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TMPDIR")


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """Variables for a program that must see neither our settings nor our secrets."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return {**kept, "HOME": str(home), "NO_PROXY": "127.0.0.1", "PYTHONUTF8": "1", **more}


class Process:
    """Runs until the block ends; its output is kept in a file for error messages."""

    def __init__(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]):
        self._command = list(command)
        self._folder = folder
        self._environment = dict(environment)
        self._output = folder / f"{Path(self._command[-1]).stem}-output.txt"

    def __enter__(self) -> Self:
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)  # on which Python still runs what is due at exit
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def kill(self) -> None:
        """As a power cut would."""
        self._process.kill()
        self._process.wait()

    def output(self) -> str:
        """What it has printed so far."""
        return self._output.read_text(errors="replace")

    def answers(self, url: str, within_s: float) -> None:
        """Waits until a page can be read, whatever its status below 500.

        Raises:
            AssertionError: it ended, or took too long; with what it printed.
        """
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            assert self._process.poll() is None, f"it ended:\n{self.output()[-4000:]}"
            try:
                if httpx.get(url, timeout=2.0, trust_env=False).status_code < 500:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"no answer in {within_s:g} s:\n{self.output()[-4000:]}")


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> str:
    """Runs a program to its end and gives what it printed.

    Raises:
        AssertionError: it failed; with what it printed.
    """
    done = subprocess.run(
        list(command),
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=120.0,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
