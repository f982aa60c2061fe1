"""A worker's name for static membership: the same after a restart, different for each on a host."""

import fcntl
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_WORKERS = 64  # on one data directory


class TooManyWorkers(Exception):
    """Every name of this data directory is taken."""


@contextmanager
def instance(data: Path) -> Iterator[str]:
    """Holds the first name that no running worker of this data directory has.

    Raises:
        TooManyWorkers: there is none.
    """
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    for number in range(MAX_WORKERS):
        with (data / f"worker-{number}").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            file.seek(0)
            name = file.read(100).strip()
            if not name:
                name = f"{socket.gethostname()[:40]}-{secrets.token_hex(6)}"
                file.write(name + "\n")
                file.flush()
            yield name
            return
    raise TooManyWorkers(f"{MAX_WORKERS} workers use {data} already; give each host its own --data")
