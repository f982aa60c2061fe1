"""A real Kafka broker for tests: jars from Maven Central (cached), free ports, no Docker."""

import base64
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent / "broker"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tripmeter" / "kafka"
FETCH_S = 600.0
START_S = 60.0
STOP_S = 20.0
HEAP = "-Xmx512m"
NEEDS = "Kafka tests need Java 17 or newer and Maven: apt-get install default-jre-headless maven"


class Broker:
    """One broker and its folder; it can be stopped, killed and started again where it was.

    Args:
        folder: its data and log; ports stay the same over a restart.
        properties: server properties beside, or instead of, those of `text`.
        text: server properties (default: `server.properties` beside this file); the marks @PORT@,
            @CONTROLLER@ and @DATA@ are replaced.
    """

    def __init__(
        self, folder: Path, properties: Mapping[str, str] | None = None, text: str = ""
    ) -> None:
        self._lib = jars()
        self.folder = folder
        self.port, self._controller = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        text = text or (HERE / "server.properties").read_text()
        values = dict(line.split("=", 1) for line in text.splitlines() if line[:1] not in ("", "#"))
        values.update(properties or {})
        text = "".join(f"{key}={value}\n" for key, value in values.items())
        for mark, value in {
            "@PORT@": str(self.port),
            "@CONTROLLER@": str(self._controller),
            "@DATA@": str(folder / "data"),
        }.items():
            text = text.replace(mark, value)
        (folder / "server.properties").write_text(text)

    @property
    def bootstrap(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    def format(self, *options: str, cluster: str = "") -> None:
        """Makes the data folder; `options` are StorageTool's (`--add-scram ...`)."""
        cluster = cluster or base64.urlsafe_b64encode(b"k" + os.urandom(15)).decode()[:22]
        tool = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", "server.properties"]
        done = subprocess.run(
            [*self._java(), *tool, *options], cwd=self.folder, capture_output=True, text=True
        )
        assert 0 == done.returncode, done.stdout + done.stderr

    def start(self) -> "Broker":
        """Starts it and waits until it answers."""
        if not (self.folder / "data").exists():
            self.format()
        self._log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            [*self._java(), "kafka.Kafka", "server.properties"],
            cwd=self.folder,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + START_S
        while not self._started():
            assert self._process.poll() is None, f"the broker ended:\n{self.tail()}"
            assert time.monotonic() < deadline, f"the broker did not start:\n{self.tail()}"
            time.sleep(0.1)
        return self

    def _started(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def _java(self) -> list[str]:
        quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        options = [HEAP, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", quiet]
        return ["java", *options, "-cp", f"{self._lib}/*"]

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It holds its connections and answers nothing meanwhile."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """As a supervisor would."""
        self._end(kill=False)

    def kill(self) -> None:
        """As a power cut would."""
        self._end(kill=True)

    def _end(self, *, kill: bool) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill() if kill else process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._log.close()

    def tail(self) -> str:
        """The end of its log."""
        return (self.folder / "log").read_text(errors="replace")[-4000:]


def jars() -> Path:
    """The folder with Kafka's jars; fetched once with Maven, and kept under ~/.cache.

    A machine without Java or Maven skips, unless TRIPMETER_NEED_KAFKA is set: then it fails.
    """
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            give_up(f"{program} was not found. {NEEDS}")
    lib = CACHE / f"lib-{_pom_mark()}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several pytest workers, one download
        if not lib.is_dir():
            with tempfile.TemporaryDirectory(dir=CACHE) as draft:
                _fetch(Path(draft) / "lib")
                (Path(draft) / "lib").rename(lib)
    return lib


def _fetch(target: Path) -> None:
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={target}"]
    command = ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), *goal]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_S)
    except subprocess.TimeoutExpired:
        give_up(f"Maven did not fetch Kafka within {FETCH_S:g} s")
    if done.returncode:
        give_up(f"Maven could not fetch Kafka:\n{(done.stdout + done.stderr)[-2000:]}")


def _pom_mark() -> str:
    import hashlib

    return hashlib.sha256((HERE / "pom.xml").read_bytes()).hexdigest()[:12]


def give_up(reason: str) -> None:
    """Skips, or fails where TRIPMETER_NEED_KAFKA says that Kafka must be tested."""
    if os.environ.get("TRIPMETER_NEED_KAFKA"):
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def until(there: Callable[[], Any], within_s: float = 20.0) -> None:
    """Waits for something that comes by itself."""
    deadline = time.monotonic() + within_s
    while not there():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


@contextmanager
def running(
    properties: Mapping[str, str] | None = None, format: tuple[str, ...] = ()
) -> Iterator[Broker]:
    """A broker in a folder of its own, stopped and removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="tripmeter-kafka-"))
    broker = Broker(folder, properties)
    try:
        if format:
            broker.format(*format)
        yield broker.start()
    finally:
        broker.kill()
        shutil.rmtree(folder, ignore_errors=True)
