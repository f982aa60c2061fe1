"""Real receivers of findings as processes of their own, and what arrived in them."""

import json
import re
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from alerts.base import Delivery, Partly, RetryLater, Sink
from tests.peers.debian import libraries, unpacked
from tests.peers.environment import python_of
from tests.peers.process import Process, clean_environment, free_port

START_S = 30.0
ARRIVE_S = 60.0
STEP_S = 0.05


class Receiver:
    """A process that writes what it receives to a file, a line each; it can be killed.

    Args:
        command: made from the port.
        port: that it listens on; free when the block is entered.
    """

    def __init__(
        self,
        folder: Path,
        command: Callable[[int], Sequence[str]],
        environment: dict[str, str],
        output: str = "received.ndjson",
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.output = folder / output
        self._command = command
        self._environment = environment
        self._process: Process | None = None

    def __enter__(self) -> "Receiver":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()  # rsyslog takes no notice of what ends the others

    def start(self) -> None:
        """Starts it and waits until it listens."""
        process = Process(self._command(self.port), self.folder, self._environment)
        self._process = process.__enter__()
        deadline = time.monotonic() + START_S
        while not _listens(self.port):
            assert time.monotonic() < deadline, f"it did not start:\n{process.output()[-3000:]}"
            time.sleep(STEP_S)

    def kill(self) -> None:
        """As a power cut would; `start` starts it again on the same port."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def lines(self) -> list[str]:
        """What has arrived so far."""
        if not self.output.exists():
            return []
        whole, _, _ = self.output.read_text(errors="replace").rpartition("\n")
        return whole.split("\n") if whole else []

    def arrived(self, count: int) -> list[str]:
        """Waits for so many lines, then a moment for more than that."""
        deadline = time.monotonic() + ARRIVE_S
        while len(self.lines()) < count and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(0.5)
        return self.lines()

    def records(self, count: int) -> list[Any]:
        """As `arrived`, parsed."""
        return [json.loads(line) for line in self.arrived(count)]


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def tenzir(folder: Path, source: str) -> Receiver:
    """A Tenzir pipeline; `source` listens on @PORT@."""
    program = python_of("siem").parent.parent.glob("lib/python3*/site-packages/tenzir")
    (package,) = program
    output = folder / "received.ndjson"

    def command(port: int) -> list[str]:
        text = source.replace("@PORT@", str(port))
        (folder / "pipeline.tql").write_text(f'{text}\nto_file "{output}" {{ write_ndjson }}\n')
        return [str(package / "bundled/bin/tenzir"), "-f", str(folder / "pipeline.tql")]

    return Receiver(folder, command, clean_environment(folder))


def rsyslog(folder: Path, tls: tuple[Path, Path] | None = None) -> Receiver:
    """rsyslogd with one TCP input; each message is a line of its JSON.

    Args:
        tls: certificate and key.
    """
    home = unpacked("rsyslogd")
    (modules,) = home.glob("usr/lib/*/rsyslog")
    output = folder / "received.ndjson"

    def command(port: int) -> list[str]:
        driver, options = "", ""
        if tls:
            driver = (
                'global(defaultNetstreamDriver="ossl"'
                f' defaultNetstreamDriverCAFile="{tls[0]}"'
                f' defaultNetstreamDriverCertFile="{tls[0]}"'
                f' defaultNetstreamDriverKeyFile="{tls[1]}")'
            )
            options = ' streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon"'
        (folder / "rsyslog.conf").write_text(
            f"""{driver}
global(workDirectory="{folder}")
module(load="imtcp"{options})
template(name="all" type="list" option.jsonf="on") {{
  property(outname="msgid" name="msgid" format="jsonf")
  property(outname="sd" name="structured-data" format="jsonf")
  property(outname="severity" name="syslogseverity" format="jsonf")
  property(outname="message" name="msg" format="jsonf")
}}
ruleset(name="in") {{ action(type="omfile" file="{output}" template="all") }}
input(type="imtcp" port="{port}" address="127.0.0.1" ruleset="in")
"""
        )
        return [
            str(home / "usr/sbin/rsyslogd"),
            "-n",
            "-i",
            str(folder / "pid"),
            "-M",
            str(modules),
            "-f",
            str(folder / "rsyslog.conf"),
        ]

    environment = clean_environment(folder, LD_LIBRARY_PATH=libraries(home))
    return Receiver(folder, command, environment)


def syslog_ng(folder: Path, tls: tuple[Path, Path] | None = None) -> Receiver:
    """syslog-ng with one TCP source; each message is a line of its JSON.

    Args:
        tls: certificate and key.
    """
    home = unpacked("syslog-ng")
    output = folder / "received.ndjson"

    def command(port: int) -> list[str]:
        transport = "tcp"
        if tls:
            files = f'key-file("{tls[1]}") cert-file("{tls[0]}")'
            transport = f"tls) tls({files} peer-verify(optional-untrusted)"
        (folder / "syslog-ng.conf").write_text(
            f"""@version: 3.38
options {{ keep-hostname(yes); chain-hostnames(no); use-dns(no); flush-lines(1000); }};
source s {{ syslog(ip("127.0.0.1") port({port}) transport({transport}) max-connections(10)
  log-iw-size(10000)); }};
destination d {{ file("{output}"
  template("$(format-json msgid=$MSGID sd=$SDATA severity=$LEVEL_NUM message=$MSG)\\n")); }};
log {{ source(s); destination(d); }};
"""
        )
        (module,) = home.glob("usr/lib/syslog-ng/3.*")
        return [
            str(home / "usr/sbin/syslog-ng"),
            "-F",
            "--no-caps",
            f"--module-path={module}",
            f"--persist-file={folder / 'persist'}",
            f"--pidfile={folder / 'pid'}",
            f"--control={folder / 'control'}",
            f"--cfgfile={folder / 'syslog-ng.conf'}",
        ]

    environment = clean_environment(folder, LD_LIBRARY_PATH=libraries(home))
    return Receiver(folder, command, environment)


def hand_over(sink: Sink, deliveries: Sequence[Delivery]) -> int:
    """Sends everything in order, as the outbox does, and repeats what was not taken.

    Returns:
        How many tries it took.
    Raises:
        RetryLater, Partly: it was not taken within a minute, or for good.
    """
    waiting, tries = list(deliveries), 0
    deadline = time.monotonic() + ARRIVE_S
    while waiting:
        tries += 1
        batch = waiting[: sink.batch]
        taken = {each.key for each in batch}
        try:
            sink.send(batch)
        except (RetryLater, Partly) as error:
            if time.monotonic() > deadline or getattr(error, "rejected", None):
                raise
            taken = set(getattr(error, "taken", ()))
            time.sleep(0.1)
        waiting = [each for each in batch if each.key not in taken] + waiting[len(batch) :]
    return tries


def keys_in(texts: Sequence[str]) -> list[str]:
    """The keys of syslog messages, from their structured data."""
    return [found[1] for text in texts if (found := re.search(r'key="([^"]*)"', text))]


def run_python(program: str, *arguments: str) -> str:
    """Runs a program with the peers' own interpreter, and gives what it printed."""
    command = [str(python_of("siem")), "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120.0)
    assert done.returncode == 0, done.stderr
    return done.stdout
