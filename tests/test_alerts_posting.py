"""What every destination over HTTP has in common."""

import gzip
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from alerts.base import Delivery, Partly, Rejected, RetryLater, Sink
from alerts.destinations import Destinations
from alerts.incident import Policy
from alerts.incident_steps import receive
from alerts.posting import MAX_ANSWER, Poster, in_pieces, judge, pieces
from alerts.posting import Answer as Told
from alerts.secops import SecOpsSink
from alerts.sentinel import SentinelSink
from tests.alerts_fakes import NOON, Answer, Receiver, Request, finding, receiving

TOKEN = "T0ken-that-nobody-may-see-R0R0R0R0R0R0"
CLIENT = httpx.Client()
TYPES = ["splunk_hec", "elastic", "otlp_logs", "pagerduty", "sentinel", "secops"]


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def made(kind: str, url: str, folder: Path) -> Sink:
    """A sink as the configuration makes it; of clouds, with a token that is there already."""
    poster = Poster(client=CLIENT, timeout_s=5)
    if kind == "sentinel":
        return SentinelSink("s", url, "dcr-1", "Custom-T", lambda: TOKEN, poster=poster)
    if kind == "secops":
        return SecOpsSink("s", url, lambda: TOKEN, poster=poster)
    (sink,) = Destinations(
        {"s": {"type": kind, "url": url, "token_env": "TOKEN", "timeout_s": 5}}, folder
    ).open(folder / "unused.db")
    return sink


def delivery(kind: str) -> Delivery:
    if kind != "pagerduty":
        return Delivery("f-1#1", finding())
    incident = receive(None, finding(), NOON, Policy())
    return Delivery(f"{incident.id}@1", finding(), incident, "incident")


def echo(request: Request) -> Answer:
    """As a server that repeats what it was sent."""
    told = str(request.headers) + request.body.decode(errors="replace")
    return Answer(418, told.encode())


@pytest.mark.parametrize("kind", TYPES)
def test_no_reason_repeats_the_token(
    kind: str, server: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", TOKEN)
    server.usual = echo
    with pytest.raises(RetryLater) as caught:
        made(kind, server.url, tmp_path).send([delivery(kind)])
    request = server.requests[0]
    assert (True, False) == (
        TOKEN in str(request.headers) + request.body.decode(errors="replace"),
        TOKEN in str(caught.value),
    )


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(("status", "after_s"), [(429, 7.0), (503, 7.0), (401, 7.0), (302, 7.0)])
def test_what_passes_and_what_needs_a_person_is_the_same_everywhere(
    kind: str,
    status: int,
    after_s: float,
    server: Receiver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKEN", TOKEN)
    server.usual = Answer(status, b"", {"Retry-After": "7", "Location": "http://127.0.0.1:1/"})
    with pytest.raises(RetryLater) as caught:
        made(kind, server.url, tmp_path).send([delivery(kind)])
    assert (status in (401, 302), after_s, 1) == (
        caught.value.operator,
        caught.value.after_s,
        len(server.requests),
    )


def raw_server(answer: bytes) -> socket.socket:
    """Answers one connection with these bytes, then hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        connection.recv(65_536)
        connection.sendall(answer)
        connection.close()

    threading.Thread(target=serve, daemon=True).start()
    return listener


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
def test_an_answer_that_is_cut_off_or_none_is_no_answer(answer: bytes) -> None:
    with raw_server(answer) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(RetryLater) as caught:
            Poster(client=CLIENT, timeout_s=5).post(url, b"{}", {})
    assert not caught.value.operator


def test_a_compressed_bomb_of_an_answer_is_not_unpacked_to_its_end(server: Receiver) -> None:
    bomb = gzip.compress(bytes(32 * 2**20), 1)
    server.usual = Answer(200, bomb, {"Content-Encoding": "gzip"})
    answer = Poster(client=CLIENT, timeout_s=5).post(server.url, b"", {})
    assert MAX_ANSWER == len(answer.body)


def test_an_answer_that_is_compressed_though_nobody_asked_is_read(server: Receiver) -> None:
    server.usual = Answer(200, gzip.compress(b"fine"), {"Content-Encoding": "gzip"})
    assert b"fine" == Poster(client=CLIENT, timeout_s=5).post(server.url, b"", {}).body


def test_a_body_that_drips_is_given_up(server: Receiver) -> None:
    now = iter(float(second) for second in range(0, 10_000, 10))
    server.usual = Answer(200, b"x" * 3_000_000)
    with pytest.raises(RetryLater, match="no answer in time"):
        Poster(client=CLIENT, timeout_s=5, clock=lambda: next(now)).post(server.url, b"", {})


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, None),
        (204, None),
        (400, Rejected),
        (413, Rejected),
        (422, Rejected),
        (404, RetryLater),
    ],
)
def test_statuses_are_read_alike(status: int, outcome: Any) -> None:
    if outcome is None:
        assert None is judge(Told(status, b""), "?")
        return
    with pytest.raises(outcome):
        judge(Told(status, b""), "?")


def test_a_record_beyond_the_limit_is_posted_alone_and_none_is_left_out() -> None:
    records = [b"a" * size for size in (1, 5, 20, 3, 3, 9)]
    cut = list(pieces(records, 10))
    assert (records, [[1, 5], [20], [3, 3], [9]]) == (
        [record for piece in cut for record in piece],
        [[len(record) for record in piece] for piece in cut],
    )


def test_a_refusal_after_some_were_taken_comes_again_without_them() -> None:
    posted: list[list[bytes]] = []

    def post(piece: list[bytes]) -> None:
        posted.append(piece)
        if len(posted) > 1:
            raise Rejected("odd")

    with pytest.raises(Partly) as caught:
        in_pieces([("a", b"xx"), ("b", b"yy")], 2, post)
    assert isinstance(caught.value.later, RetryLater)
    assert ({"a"}, 0.0) == (caught.value.taken, caught.value.later.after_s)
