"""Findings, clocks, sinks and local servers for the tests of alerts."""

import gzip
import json
import os
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from sqlalchemy import Engine, text

from alerts.base import Delivery
from alerts.incident import Incident
from alerts.outbox_queue import MAX_WAITING, Queue
from alerts.store_engine import open_store, writing
from schemas.finding import Entity, Finding, Lane, Provenance, Severity, Technique

GOLDENS = Path(__file__).parent / "goldens/alerts"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOSTILE = "<!channel> `rm` <https://evil.example|here> *_~ \u202egnp.exe\x1b[2J\u2028 & @here"

KEY = Entity(lane="credential", id="hmac:819685611e044dc4")
PROVENANCE = Provenance(
    detector_version="1", settings="5e771465", prices="2026-11-01", state="1", position=4711
)


def finding(id: str = "f-1", revision: int = 1, **changes: Any) -> Finding:
    """A small one; any field may be given."""
    return Finding(
        **{
            "id": id,
            "revision": revision,
            "detector": "key-probe",
            "title": "A key is tried at many models",
            "family": "llmjacking",
            "entity": KEY,
            "tenant": "acme",
            "time": NOON + timedelta(seconds=revision),
            "since": NOON,
            "severity": Severity.HIGH,
            "summary": "31 different models refused to this key within 5 minutes",
            "provenance": PROVENANCE,
            **changes,
        }
    )


def rich(revision: int = 1, **changes: Any) -> Finding:
    """One with everything a detector may fill in."""
    events = [
        {
            "id": f"e-{number}",
            "time": "2026-11-20T11:59:00Z",
            "request_model": "gpt-4o",
            "input_tokens": 1200,
            "client_address": f"203.0.113.{number}",
            "user_agent": "python-requests/2.31",
        }
        for number in range(2)
    ]
    usual = {
        "tokens": {"typical": 12_000, "limit": 900_000, "windows": 300},
        "nanousd": {"typical": 2.1e8, "limit": 4e9, "windows": 300},
    }
    given = {
        "detector": "stolen-key-spend",
        "title": "A key spends far above its own habit",
        "time": NOON + timedelta(minutes=6),
        "severity": Severity.CRITICAL,
        "probability": 0.0004,
        "summary": "9,000,000 tokens, an estimated $42.00, within 5 minutes; 750 times usual",
        "evidence": {
            "window": {"spec": "credential/5m", "start": "2026-11-20T12:00:00Z", "final": False},
            "tripped": "tokens",
            "totals": {"tokens": 9_000_000, "nanousd": 42_000_000_000, "calls": 412},
            "usual": usual,
            "events": events,
        },
        "event_ids": ("e-0", "e-1"),
        "cost_usd": 42.0,
        "techniques": (
            Technique(
                framework="MITRE ATT&CK",
                version="18",
                id="T1496.004",
                name="Resource Hijacking: Cloud Service Hijacking",
            ),
            Technique(
                framework="MITRE ATLAS", version="5.6.0", id="AML.T0034", name="Cost Harvesting"
            ),
        ),
        "runbook": ("Look at the newest addresses: are they the owner's?", "Revoke the key."),
    }
    return finding(revision=revision, **{**given, **changes})


def hostile(lane: Lane = "session") -> Finding:
    """The largest and nastiest one: every text an attacker can choose, at its longest."""
    nasty = (HOSTILE * 30)[:256]
    longest = (HOSTILE * 200)[:1024]
    names = ("client_address", "request_model", "tool_name", "resource_id", "user_agent")
    events = [dict.fromkeys(names, f"{number}{longest}") for number in range(20)]
    return rich(
        entity=Entity(lane=lane, id=nasty),
        tenant=nasty,
        summary=longest * 20,
        title=longest,
        event_ids=tuple(f"{number}{nasty}" for number in range(20)),
        runbook=(longest,) * 30,
        techniques=(Technique(framework="MITRE ATLAS", version=nasty, id=nasty, name=longest),)
        * 20,
        evidence={
            "events": events,
            "feature": nasty,
            "owner": longest,
            "totals": {nasty: 1e300, **{f"{n}{nasty}": n for n in range(50)}},
            "usual": {nasty: 1e300, **{f"{n}{nasty}": {"typical": n} for n in range(50)}},
        },
        cost_usd=1e300,
    )


def golden(name: str, value: Any) -> Any:
    """What the golden file holds (first written from `value` when UPDATE_GOLDENS is set)."""
    path = GOLDENS / name
    if os.environ.get("UPDATE_GOLDENS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
    return json.loads(path.read_text())


@dataclass
class Clock:
    """A clock that only moves when told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeSink:
    """Takes what `behave` does not refuse."""

    batch: ClassVar[int] = 10
    name: str = "siem"
    behave: Callable[[Sequence[Delivery]], None] = lambda deliveries: None
    tries: list[list[str]] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    closed: bool = False

    def send(self, deliveries: Sequence[Delivery]) -> None:
        keys = [each.key for each in deliveries]
        self.tries.append(keys)
        self.behave(deliveries)
        self.taken += keys

    def close(self) -> None:
        self.closed = True


class FakeMemory(dict[str, str]):
    """A memory that forgets when the test ends."""

    def put(self, key: str, value: str) -> None:
        self[key] = value


def deliveries(*findings: Finding) -> list[Delivery]:
    """As the outbox hands them over."""
    return [Delivery(f"{each.id}#{each.revision}", each) for each in findings]


def new_database(folder: Path) -> tuple[Path, Engine]:
    """A store, and its engine."""
    path = folder / "tripmeter.db"
    return path, open_store(path)


@dataclass
class Everyone:
    """A router that sends every finding, or every incident, to the same destinations."""

    findings: tuple[str, ...] = ("siem",)
    incidents: tuple[str, ...] = ()

    def of_finding(self, finding: Finding) -> tuple[str, ...]:
        return self.findings

    def of_incident(self, incident: Incident) -> tuple[str, ...]:
        return self.incidents


def queue(
    engine: Engine, *findings: Finding, to: tuple[str, ...] = ("siem",), limit: int = MAX_WAITING
) -> list[str]:
    """Queues findings; gives the destinations that have no room any more."""
    with writing(engine) as connection:
        queue = Queue(connection, Everyone(to), 1000.0, limit)
        queue.findings(list(enumerate(findings, 1)))
        queue.finish()
    return queue.full


def sql(engine: Engine, statement: str) -> list[Any]:
    """Whatever a statement gives."""
    with writing(engine) as connection:
        result = connection.execute(text(statement))
        return [tuple(row) for row in result] if result.returns_rows else []


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that nobody vouches for, and a server's context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "splunk")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path, secret = folder / "cert.pem", folder / "key.pem"
    path.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path, secret)
    return path, context


@dataclass(frozen=True)
class Answer:
    """What a server says; `hang_s` before it does."""

    status: int = 200
    body: bytes | dict[str, Any] = b'{"text":"Success","code":0}'
    headers: dict[str, str] = field(default_factory=dict)
    hang_s: float = 0.0


@dataclass
class Request:
    """What a server was sent."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """A real local HTTP server. `answers` are used up one by one, then `usual` is given.

    An answer may be a function of the request.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.answers: list[Answer | Callable[[Request], Answer]] = []
        self.usual: Answer | Callable[[Request], Answer] = Answer()
        self.released = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                request = Request(self.path, dict(self.headers), body)
                receiver.requests.append(request)
                given = receiver.answers.pop(0) if receiver.answers else receiver.usual
                answer = given if isinstance(given, Answer) else given(request)
                if answer.hang_s:
                    receiver.released.wait(answer.hang_s)
                text = answer.body
                data = text if isinstance(text, bytes) else json.dumps(text).encode()
                self.send_response(answer.status)
                for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_HEAD = do_POST  # noqa: N815  (names of the standard library)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that gave up waiting

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver for as long as the block runs."""
    receiver = Receiver(tls)
    try:
        yield receiver
    finally:
        receiver.close()
