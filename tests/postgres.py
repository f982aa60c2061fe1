"""A PostgreSQL server of our own for tests: on a free port of this machine, gone afterwards."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path

START_S = 30.0


def programs() -> Path | None:
    """Where Debian (or the PATH) has the server's programs; None without PostgreSQL."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    there = shutil.which("initdb")
    return Path(there).parent if there else None


class Postgres:
    """One server; `database()` makes a new empty database in it."""

    def __init__(self) -> None:
        self._bin = programs()
        assert self._bin is not None, "apt-get install postgresql"
        self.folder = Path(tempfile.mkdtemp(prefix="tripmeter-pg-"))
        self._as = [] if os.getuid() else ["setpriv", "--reuid=postgres", "--regid=postgres"]
        self._as += ["--clear-groups"] if self._as else []
        if self._as:
            shutil.chown(self.folder, "postgres", "postgres")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._names = count(1)
        self._run("initdb", "-D", f"{self.folder}/data", "-U", "tripmeter", "-A", "trust", "-N")
        self._server: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        options = ["-D", f"{self.folder}/data", "-p", str(self.port), "-h", "127.0.0.1"]
        options += ["-k", str(self.folder), "-c", "max_connections=100", "-c", "fsync=off"]
        log = (self.folder / "log").open("ab")
        command = [*self._as, f"{self._bin}/postgres", *options]
        self._server = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
        deadline = time.monotonic() + START_S
        ready = [f"{self._bin}/pg_isready", "-h", "127.0.0.1", "-p", str(self.port), "-q"]
        while subprocess.run(ready, check=False).returncode:
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        """Ends it as an administrator would: every connection is cut."""
        assert self._server is not None
        self._server.send_signal(signal.SIGINT)
        self._server.wait(START_S)

    def database(self) -> str:
        """The URL of a new database."""
        name = f"t{next(self._names)}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "tripmeter", name)
        return f"postgresql://tripmeter@127.0.0.1:{self.port}/{name}"

    def close(self) -> None:
        """Ends it and takes everything away."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as, f"{self._bin}/{program}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        assert 0 == done.returncode, done.stderr
