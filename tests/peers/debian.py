"""Programs of Debian, unpacked into the cache: no root, nothing installed, nothing started."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.peers.environment import cache

PACKAGES = {
    "rsyslogd": ("rsyslog", "rsyslog-openssl", "libestr0", "libfastjson4", "liblognorm5"),
    "syslog-ng": (
        "syslog-ng-core",
        "libivykis0",
        "libnet1",
        "libpcre3",
        "libwrap0",
        "libjson-c5",
        "libcap2",
        "libglib2.0-0",
    ),
}
FETCH_S = 300.0


def unpacked(program: str) -> Path:
    """The folder that takes the place of `/` for a program.

    A machine without apt skips, unless TRIPMETER_NEED_PEERS is set: then it fails.
    """
    packages = PACKAGES[program]
    mark = hashlib.sha256(" ".join(packages).encode()).hexdigest()[:12]
    home = cache() / f"debian-{program}-{mark}"
    if (home / "complete").exists():
        return home
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        _give_up(f"{program} comes from Debian packages, and there is no apt-get here")
    shutil.rmtree(home, ignore_errors=True)
    archives = home / "archives"
    archives.mkdir(parents=True)
    done = subprocess.run(
        ["apt-get", "download", *packages],
        cwd=archives,
        capture_output=True,
        text=True,
        timeout=FETCH_S,
    )
    if done.returncode:
        _give_up(f"apt-get could not download {program}:\n{done.stderr[-2000:]}")
    for archive in archives.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(archive), str(home)], check=True, timeout=FETCH_S)
    (home / "complete").touch()
    return home


def libraries(home: Path) -> str:
    """Its `LD_LIBRARY_PATH`."""
    (lib,) = home.glob("usr/lib/*-linux-gnu")
    places = [lib, home / "lib" / lib.name, home / "usr/lib/syslog-ng"]
    return ":".join(str(place) for place in places if place.is_dir())


def _give_up(reason: str) -> None:
    if os.environ.get("TRIPMETER_NEED_PEERS"):
        pytest.fail(reason)
    pytest.skip(reason)
