"""Findings to a syslog receiver."""

import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.base import Delivery, RetryLater
from alerts.destinations import BadDestinations, Destinations
from alerts.syslog import SyslogSink, framed, to_syslog
from alerts.syslog_stream import SURE_S, Stream, _silent_s, connect
from schemas.finding import LANES, Severity
from tests.alerts_fakes import (
    certificate,
    deliveries,
    finding,
    golden,
    hostile,
    rich,
)
from tests.ocsf_schema import problems

MESSAGE = re.compile(
    rb"<(?P<pri>\d{1,3})>1 (?P<time>\S+) (?P<host>\S+) (?P<app>\S+) (?P<proc>\S+) (?P<id>\S+)"
    rb' \[(?P<sd>[^ =\]"]+(?: [^ =\]"]+="(?:[^"\\\]]|\\["\\\]])*")*)\] (?P<msg>.*)',
    re.DOTALL,
)


def parsed(message: bytes) -> dict[str, bytes]:
    found = MESSAGE.fullmatch(message)
    assert found is not None, message
    return found.groupdict()


def keys(messages: list[bytes]) -> list[str]:
    return [re.search(rb' key="([^"]*)"', parsed(each)["sd"])[1].decode() for each in messages]  # type: ignore[index]


class Receiver:
    """A receiver of octet-counted frames; `deaf` leaves what comes unread, as a hung one does."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.messages: list[bytes] = []
        self.deaf = False
        self._tls = tls
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._connections: list[socket.socket] = []
        self.accepted = 0
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
                if self._tls:
                    connection = self._tls.wrap_socket(connection, server_side=True)
            except OSError:
                if self._server.fileno() < 0:
                    return
                continue
            self._connections.append(connection)
            if not self.deaf:
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()
            self.accepted += 1

    def _read(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as file:
            try:
                while length := b"".join(iter(lambda: file.read(1).strip(), b"")):
                    self.messages.append(file.read(int(length)))
            except OSError:
                pass
        connection.close()

    def hang_up(self, *, reset: bool = False) -> None:
        until(lambda: self.accepted > 0)
        self.deaf = False
        for connection in self._connections:
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            else:
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._connections.clear()

    def got(self, count: int) -> list[str]:
        until(lambda: len(self.messages) >= count)
        return keys(self.messages)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in self._connections:
            connection.close()


def until(done: Callable[[], bool]) -> None:
    for _ in range(2000):
        if done():
            return
        threading.Event().wait(0.001)
    raise AssertionError("not within 2 s")


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    receiver = Receiver(tls)
    try:
        yield receiver
    finally:
        receiver.close()


class Now:
    """The real clock, moved on."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


def sink(port: int, clock: Now | None = None) -> tuple[SyslogSink, Stream]:
    stream = Stream(
        "s", lambda: connect("127.0.0.1", port, None, 2.0), 2.0, 0.02, clock=clock or Now()
    )
    return SyslogSink("s", stream), stream


def send(target: SyslogSink, *ids: str) -> None:
    target.send(deliveries(*(finding(id) for id in ids)))


@pytest.mark.parametrize("format", ["cef", "json"])
def test_the_message_is_what_the_golden_file_says(format: Any) -> None:
    line = to_syslog(deliveries(rich())[0], format=format, hostname="h1").decode()
    line = re.sub(r'(Tripmeter\|Tripmeter\||"version":)[^|,}]+', r"\g<1>0", line)
    assert golden(f"syslog-{format}.json", {"message": line}) == {"message": line}


@pytest.mark.parametrize(
    ("severity", "number"), [("critical", b"34"), ("high", b"35"), ("informational", b"38")]
)
def test_the_priority_is_facility_and_severity(severity: str, number: bytes) -> None:
    message = to_syslog(deliveries(finding(severity=Severity(severity)))[0], format="cef")
    assert number == parsed(message)["pri"]


@pytest.mark.parametrize("format", ["cef", "json"])
@pytest.mark.parametrize("lane", LANES)
def test_the_nastiest_finding_is_one_message_below_the_limit(lane: Any, format: Any) -> None:
    message = to_syslog(deliveries(hostile(lane))[0], format=format)
    body = parsed(message)["msg"]
    assert (True, 1) == (len(message) <= 8000, len(message.decode().splitlines()))
    assert [] == (problems(json.loads(body)) if format == "json" else [])


@given(st.text(max_size=60), st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_no_text_breaks_out_of_the_structured_data_or_the_frame(id: str, detector: str) -> None:
    message = to_syslog(deliveries(finding(id, detector=detector))[0], format="cef")
    assert b"tripmeter@32473" == parsed(message)["sd"].split(b" ")[0]
    length, _, rest = framed(message).partition(b" ")
    assert (len(rest), False) == (int(length), b"\n" in rest)


def test_what_is_sent_arrives_in_order_on_one_connection() -> None:
    with receiving() as receiver:
        target, stream = sink(receiver.port)
        send(target, "a", "b")
        send(target, "c")
        assert (["a#1", "b#1", "c#1"], 0) == (receiver.got(3), stream.resent)
        target.close()


def test_what_a_receiver_may_not_have_read_when_it_dies_is_sent_again() -> None:
    with receiving() as receiver:
        target, stream = sink(receiver.port)
        receiver.deaf = True
        send(target, "a", "b")  # its machine has them, its program does not
        receiver.hang_up(reset=True)
        send(target, "c")
        assert (["a#1", "b#1", "c#1"], 2) == (receiver.got(3), stream.resent)
        target.close()


def test_a_break_that_is_noticed_late_still_sends_again_what_was_under_way() -> None:
    with receiving() as receiver:
        clock = Now()
        target, _ = sink(receiver.port, clock)
        receiver.deaf = True
        send(target, "a")
        receiver.hang_up()
        clock.ahead = 3600.0  # nothing to tell for an hour; the kernel's clock says when it died

        def ago(connection: socket.socket) -> float:
            return 3600.0

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("alerts.syslog_stream._silent_s", ago)
            send(target, "b")
        assert ["a#1", "b#1"] == receiver.got(2)
        target.close()


def test_the_kernel_knows_when_a_receiver_was_last_heard_of_even_after_it_died() -> None:
    with receiving() as receiver:
        target, stream = sink(receiver.port)
        send(target, "a")
        receiver.got(1)
        began = time.monotonic()
        assert stream._socket is not None
        time.sleep(0.15)
        alive = _silent_s(stream._socket)
        receiver.hang_up(reset=True)
        time.sleep(0.1)
        dead = _silent_s(stream._socket)
        gone = time.monotonic() - began
        assert 0.1 < alive < dead < gone + 0.2
        target.close()


def test_what_a_receiver_had_time_to_read_is_not_sent_again() -> None:
    with receiving() as receiver:
        clock = Now()
        target, stream = sink(receiver.port, clock)
        send(target, "a")
        receiver.got(1)
        clock.ahead = SURE_S + 10
        receiver.hang_up()
        send(target, "b")
        assert (["a#1", "b#1"], 0) == (receiver.got(2), stream.resent)
        target.close()


def test_a_receiver_that_stays_away_loses_nothing() -> None:
    with receiving() as receiver:
        target, stream = sink(receiver.port)
        receiver.deaf = True
        send(target, "a")
        receiver.hang_up(reset=True)
        port, stream._open = stream._open, _refused
        for _ in range(2):
            with pytest.raises(RetryLater, match="refused") as caught:
                send(target, "b")
        stream._open = port
        send(target, "b")
        assert (["a#1", "b#1"], False) == (receiver.got(2), caught.value.operator)
        target.close()


def _refused() -> socket.socket:
    raise ConnectionRefusedError(111, "Connection refused")


def test_a_receiver_that_reads_nothing_is_given_up_in_time() -> None:
    with receiving() as receiver:
        receiver.deaf = True
        stream = Stream("s", lambda: connect("127.0.0.1", receiver.port, None, 0.2), 0.2, 0.0)
        target = SyslogSink("s", stream)
        many = deliveries(*(rich(id=f"f{number}") for number in range(500)))
        with pytest.raises(RetryLater, match="no answer in time"):
            _until_full(target, many)


def _until_full(target: SyslogSink, many: list[Delivery]) -> None:
    for _ in range(20):  # until the buffers of both machines are full
        target.send(many)


def settings_of(receiver: Receiver, **more: Any) -> dict[str, Any]:
    return {"type": "syslog", "host": "127.0.0.1", "port": receiver.port, **more}


def test_over_tls_the_certificate_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerts.syslog_stream.SETTLE_S", 0.0)
    trusted, context = certificate(tmp_path)
    with receiving(context) as receiver:
        good = settings_of(receiver, ca_file=str(trusted))
        destinations = Destinations({"good": good, "bad": settings_of(receiver)}, tmp_path)
        known, stranger = destinations.open(tmp_path / "unused.db")
        known.send(deliveries(finding("a")))
        assert ["a#1"] == receiver.got(1)
        with pytest.raises(RetryLater, match="TLS: self-signed certificate") as caught:
            stranger.send(deliveries(finding("b")))
        assert (True, 1) == (caught.value.operator, len(receiver.messages))
        known.close()


def test_a_receiver_that_wants_our_certificate_gets_it_and_tells_an_operator_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerts.syslog_stream.SETTLE_S", 0.1)
    trusted, context = certificate(tmp_path)
    context.load_verify_locations(trusted)
    context.verify_mode = ssl.CERT_REQUIRED
    ours = {"certificate_file": str(trusted), "key_file": str(tmp_path / "key.pem")}
    with receiving(context) as receiver:
        nameless = settings_of(receiver, ca_file=str(trusted))
        table = {"named": {**nameless, **ours}, "nameless": nameless}
        named, unknown = Destinations(table, tmp_path).open(tmp_path / "unused.db")
        named.send(deliveries(finding("a")))
        assert ["a#1"] == receiver.got(1)
        with pytest.raises(RetryLater, match=r"TLS: .*CERTIFICATE_REQUIRED") as caught:
            unknown.send(deliveries(finding("b")))
        assert (True, 1) == (caught.value.operator, len(receiver.messages))
        named.close()


def test_a_proxy_with_nobody_behind_it_takes_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        threading.Thread(target=lambda: proxy.accept()[0].close(), daemon=True).start()
        target, stream = sink(proxy.getsockname()[1])
        stream._settle_s = 1.0
        with pytest.raises(RetryLater, match="hung up"):
            send(target, "a")


def test_a_look_at_the_receiver_sends_nothing() -> None:
    with receiving() as receiver:
        target, _ = sink(receiver.port)
        assert target.probe().startswith("connects")
        target.close()
        assert [] == receiver.messages


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"tls": False, "ca_file": "x"}, "need tls = true"),
        ({"key_file": "x"}, "key_file needs certificate_file"),
        ({"port": 70_000}, "less than or equal to 65535"),
    ],
)
def test_mistakes_are_named(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadDestinations, match=reason):
        Destinations({"s": {"type": "syslog", "host": "h", **settings}})
