"""A collector on a real socket that fails as it is told, beside one that works."""

import gzip
import json
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from alerts.deliverer import Status, status
from alerts.retry import Retry
from schemas.finding import Finding
from streams.delivery import Delivery
from streams.settings import Settings
from streams.store import Store

FAST = Retry(first_s=0.02, cap_s=0.1, asked_cap_s=5.0, hold_s=0.1, patience_s=60.0)
PATIENCE_S = 20.0
TAKEN = {"text": "Success", "code": 0}

Behave = Callable[["Collector", socket.socket, list[str]], None]


class Collector:
    """Speaks HTTP, a connection a request; `behave` answers. Keys it has taken are in `taken`."""

    def __init__(self, behave: Behave | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.behave: Behave = behave or take
        self.tls = tls
        self.taken: list[str] = []
        self.requests: list[tuple[float, list[str]]] = []
        self.tokens: list[bytes] = []
        self.body = b""  # of the last request
        self.times: dict[str, float] = {}
        self.released = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0), reuse_port=False)
        self.port: int = self._server.getsockname()[1]
        self._listen()

    def _listen(self) -> None:
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def refuse(self) -> None:
        """Nobody listens any more."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def reopen(self) -> None:
        """Listens again, on the same port."""
        self._server = socket.create_server(("127.0.0.1", self.port))
        self._listen()

    def close(self) -> None:
        self.released.set()
        with suppress(OSError):
            self.refuse()

    def mend(self) -> None:
        """Works from now on."""
        self.behave = take
        self.released.set()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, ssl.SSLError):
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
            head, body = _request(connection)
            with suppress(OSError, EOFError):
                body = gzip.decompress(body)
            self.body = body
            keys = _keys(body)
            self.tokens += re.findall(rb"(?i)authorization: Splunk (\S+)", head)
            self.requests.append((time.monotonic(), keys))
            self.behave(self, connection, keys)


def take(collector: Collector, connection: socket.socket, keys: list[str]) -> None:
    """As it should be."""
    for key in keys:
        collector.times.setdefault(key, time.monotonic())
    collector.taken += keys
    answer(connection, 200, TAKEN)


def answer(connection: socket.socket, code: int, body: dict[str, Any], headers: str = "") -> None:
    """A whole HTTP answer; the connection closes after it."""
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 {code} X\r\nContent-Length: {len(data)}\r\nConnection: close\r\n{headers}\r\n"
    connection.sendall(head.encode() + data)


def says(code: int, body: dict[str, Any] | None = None, headers: str = "") -> Behave:
    """Always the same answer."""

    def behave(collector: Collector, connection: socket.socket, keys: list[str]) -> None:
        answer(connection, code, body or {"text": "no", "code": 9}, headers)

    return behave


def reset(connection: socket.socket) -> None:
    """Breaks the connection so that the other side notices: RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Site:
    """A store with two collectors: `broken`, whose fault is tried, and `fine`."""

    def __init__(self, folder: Path, broken: Collector, **settings: Any) -> None:
        self.broken, self.fine = broken, Collector()
        self.token = folder / "token"
        self.token.write_text("hec-0123456789abcdef\n")
        scheme = "https" if broken.tls else "http"
        common = {"type": "splunk_hec", "token_file": str(self.token), "timeout_s": 0.5}
        url = f"{scheme}://127.0.0.1:{broken.port}"
        table = {
            "broken": {**common, "url": url, **settings},
            "fine": {**common, "url": f"http://127.0.0.1:{self.fine.port}", "timeout_s": 5},
        }
        kept = {"findings_file": ""}
        chosen = Settings.model_validate({"destinations": table, "store": kept})
        self.delivery = Delivery(folder, chosen, FAST)
        self.store = Store(folder, router=self.delivery.router)
        self.delivery.start(self.store.alerts, self.found)
        self.queued: dict[str, float] = {}

    def found(self, findings: Any) -> None:
        self.store.record(findings)
        now = time.monotonic()
        self.queued |= {f"{each.id}#{each.revision}": now for each in findings}
        self.delivery.wake()

    @property
    def told(self) -> list[str]:
        """What the operator was told, through the destination that works."""
        query = self.store.alerts.engine
        from tests.alerts_fakes import sql

        rows = sql(query, "SELECT json FROM findings WHERE detector = 'destination-held'")
        return [Finding.model_validate_json(row[0]).summary for row in rows]

    def status(self) -> Status:
        return status(self.store.engine)["broken"]

    def close(self) -> None:
        self.broken.released.set()
        self.delivery.stop()
        self.broken.close()
        self.fine.close()


def until(condition: Callable[[], object], what: Callable[[], object] = str) -> None:
    """Waits for it."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.01)


def _request(connection: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += (part := connection.recv(65536))
        if not part:
            raise OSError("gone")
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: (\d+)", head)
    while found and len(body) < int(found[1]):
        body += (part := connection.recv(65536))
        if not part:
            raise OSError("gone")
    return head, body


def _keys(body: bytes) -> list[str]:
    return [k.decode() for k in re.findall(rb'"key": ?"([^"]+)"', body)]
