"""Findings into a Splunk HTTP Event Collector."""

import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from alerts.base import Partly, Rejected, RetryLater
from alerts.courier import Courier
from alerts.outbox import Outbox
from alerts.posting import Poster
from alerts.retry import Retry
from alerts.splunk_hec import SplunkHecSink
from tests.alerts_fakes import (
    Answer,
    Clock,
    Receiver,
    Request,
    certificate,
    deliveries,
    finding,
    golden,
    new_database,
    queue,
    receiving,
    rich,
)

TOKEN = "11111111-2222-3333-4444-555555555555"
REFUSED = Answer(400, {"text": "Invalid data format", "code": 6})


@pytest.fixture
def splunk() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


CLIENT = httpx.Client()  # one for all tests: making one reads every certificate of the system
FRESH = Poster(client=CLIENT)


def sink(splunk: Receiver, **options: Any) -> SplunkHecSink:
    given = {name: options.pop(name) for name in ("timeout_s", "ca_file") if name in options}
    poster = Poster(**{"client": None if "ca_file" in given else CLIENT, "timeout_s": 5.0, **given})
    return SplunkHecSink("siem", splunk.url, lambda: TOKEN, poster=poster, **options)


def records(request: Request) -> list[dict[str, Any]]:
    """A body of JSON objects one after the other, as Splunk reads it."""
    text, found, at = request.body.decode(), [], 0
    while at < len(text):
        record, at = json.JSONDecoder().raw_decode(text, at)
        found.append(record)
        while text[at : at + 1].isspace():
            at += 1
    return found


def keys(request: Request) -> list[str]:
    return [record["fields"]["key"] for record in records(request)]


def outcome(splunk: Receiver, answer: Answer) -> RetryLater | Rejected:
    splunk.answers = [answer]
    with pytest.raises((RetryLater, Rejected)) as caught:
        sink(splunk).send(deliveries(finding()))
    assert isinstance(caught.value, RetryLater | Rejected)
    return caught.value


def test_a_batch_is_one_gzipped_request_with_the_token(splunk: Receiver) -> None:
    sink(splunk).send(deliveries(finding("a"), finding("b")))
    (request,) = splunk.requests
    assert ("/services/collector/event", f"Splunk {TOKEN}", "gzip") == (
        request.path,
        request.headers["Authorization"],
        request.headers["Content-Encoding"],
    )
    assert ["a#1", "b#1"] == keys(request)


def test_the_body_is_what_the_golden_file_says(splunk: Receiver) -> None:
    sink(splunk, index="security", host="h1").send(deliveries(rich()))
    (sent,) = records(splunk.requests[0])
    sent["event"]["metadata"]["product"]["version"] = "0"
    assert golden("splunk-hec.json", sent) == sent


@pytest.mark.parametrize("code", [1, 2, 3, 4, 7, 10, 11, 14])
def test_a_misconfigured_collector_needs_an_operator(splunk: Receiver, code: int) -> None:
    status = {1: 403, 2: 401, 3: 401, 4: 403}.get(code, 400)
    error = outcome(splunk, Answer(status, {"text": "no", "code": code}))
    assert isinstance(error, RetryLater) and error.operator
    assert f"HTTP {status}, code {code}: no" == str(error)


@pytest.mark.parametrize("code", [5, 6, 12, 13])
def test_a_record_it_does_not_take_is_rejected(splunk: Receiver, code: int) -> None:
    error = outcome(splunk, Answer(400, {"text": "Invalid data format", "code": code}))
    assert isinstance(error, Rejected)


@pytest.mark.parametrize(
    ("answer", "after_s"),
    [
        (Answer(503, {"text": "Server is busy", "code": 9}), None),
        (Answer(500, {"text": "Internal server error", "code": 8}), None),
        (Answer(429, b"", {"Retry-After": "7"}), 7.0),
        (Answer(503, b"", {"Retry-After": "nonsense"}), None),
        (Answer(502, b"<html>bad gateway"), None),
        (Answer(200, {"text": "Server is busy", "code": 9}), None),
        (Answer(200, b"garbage"), None),
        (Answer(200, b""), None),
        (Answer(200, b"[" * 60_000), None),
        (Answer(200, {"code": False}), None),
    ],
)
def test_what_passes_is_tried_again(
    splunk: Receiver, answer: Answer, after_s: float | None
) -> None:
    error = outcome(splunk, answer)
    assert isinstance(error, RetryLater) and not error.operator
    assert after_s == error.after_s


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 405, 407])
def test_what_is_no_collector_needs_an_operator(splunk: Receiver, status: int) -> None:
    error = outcome(splunk, Answer(status, b"<html>", {"Location": "http://127.0.0.1:1/"}))
    assert isinstance(error, RetryLater) and error.operator
    assert "is the url that of a collector?" in str(error)


def test_a_batch_that_is_too_large_is_rejected_to_be_halved(splunk: Receiver) -> None:
    assert isinstance(outcome(splunk, Answer(413, b"")), Rejected)


def test_an_answer_that_never_comes_is_given_up(splunk: Receiver) -> None:
    splunk.usual = Answer(hang_s=5)
    with pytest.raises(RetryLater, match="no answer in time"):
        sink(splunk, timeout_s=0.1).send(deliveries(finding()))
    assert 1 == len(splunk.requests)


def test_an_endless_answer_is_not_read(splunk: Receiver) -> None:
    error = outcome(splunk, Answer(200, b"x" * 10_000_000))
    assert isinstance(error, RetryLater)


def test_a_refused_connection_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    broken = SplunkHecSink("siem", f"http://127.0.0.1:{port}", lambda: TOKEN, poster=FRESH)
    with pytest.raises(RetryLater, match="refused") as caught:
        broken.send(deliveries(finding()))
    assert not caught.value.operator


def test_a_name_that_does_not_resolve_needs_an_operator() -> None:
    broken = SplunkHecSink("siem", "http://splunk.invalid:8088", lambda: TOKEN, poster=FRESH)
    with pytest.raises(RetryLater, match="does not resolve") as caught:
        broken.send(deliveries(finding()))
    assert caught.value.operator


def test_a_server_that_does_not_speak_tls_gets_no_token(splunk: Receiver) -> None:
    url = splunk.url.replace("http", "https")
    broken = SplunkHecSink("siem", url, lambda: TOKEN, poster=FRESH)
    with pytest.raises(RetryLater, match="TLS") as caught:
        broken.send(deliveries(finding()))
    assert (True, []) == (caught.value.operator, splunk.requests)


def test_a_certificate_nobody_vouches_for_gets_no_token(tmp_path: Path) -> None:
    _, context = certificate(tmp_path)
    with receiving(context) as splunk:
        with pytest.raises(RetryLater, match="TLS: self-signed certificate") as caught:
            SplunkHecSink("siem", splunk.url, lambda: TOKEN, poster=Poster()).send(
                deliveries(finding())
            )
        assert (True, []) == (caught.value.operator, splunk.requests)


def test_a_certificate_is_trusted_when_the_configuration_says_so(tmp_path: Path) -> None:
    trusted, context = certificate(tmp_path)
    with receiving(context) as splunk:
        sink(splunk, ca_file=trusted).send(deliveries(finding()))
        assert 1 == len(splunk.requests)


def test_a_wrong_ca_file_needs_an_operator(splunk: Receiver, tmp_path: Path) -> None:
    with pytest.raises(RetryLater, match="ca_file") as caught:
        sink(splunk, ca_file=tmp_path / "no.pem").send(deliveries(finding()))
    assert caught.value.operator


def test_the_token_is_in_no_log_and_no_error(
    splunk: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    echo = Answer(401, {"text": f"Invalid token {TOKEN}", "code": 4})
    splunk.answers = [Answer(), echo]
    target = sink(splunk)
    target.send(deliveries(finding()))
    with pytest.raises(RetryLater):
        target.send(deliveries(finding()))
    assert (2, False) == (len(splunk.requests), TOKEN in caplog.text)


class Line:
    """A collector behind an outbox."""

    def __init__(self, folder: Path, splunk: Receiver) -> None:
        self.engine = new_database(folder)[1]
        self.outbox, self.clock = Outbox(self.engine), Clock()
        self.told: list[str] = []
        self.token = TOKEN
        self.courier = Courier(
            SplunkHecSink("siem", splunk.url, lambda: self.token, poster=Poster(client=CLIENT)),
            retry=Retry(),
            on_fault=lambda name, reason: self.told.append(reason),
            on_recovered=lambda name: self.told.append("works"),
            max_dead=100,
            wall=self.clock,
            clock=self.clock,
            jitter=lambda: 1.0,
            pause=lambda seconds: True,
        )

    def run(self, *ids: str, steps: int = 1) -> None:
        queue(self.engine, *(finding(id) for id in ids))
        for _ in range(steps):
            self.clock.now += self.courier.step(self.outbox) or 0.0


def test_an_expired_token_loses_nothing_and_is_told_once(splunk: Receiver, tmp_path: Path) -> None:
    line = Line(tmp_path, splunk)

    def check(request: Request) -> Answer:
        good = request.headers["Authorization"] == "Splunk new"
        return Answer() if good else Answer(403, {"text": "Invalid token", "code": 4})

    splunk.usual = check
    line.run("a", "b", steps=4)
    line.token = "new"
    line.run("c", steps=2)  # one record is tried, then the rest
    assert ["HTTP 403, code 4: Invalid token", "works"] == line.told
    assert ["a#1", "b#1", "c#1"] == [key for each in splunk.requests[-2:] for key in keys(each)]


def test_one_bad_record_of_many_is_isolated(splunk: Receiver, tmp_path: Path) -> None:
    line = Line(tmp_path, splunk)
    splunk.usual = lambda request: REFUSED if "f13#1" in keys(request) else Answer()
    line.run(*(f"f{number}" for number in range(100)))
    counts = line.outbox.counts()["siem"]
    (letter,) = line.outbox.dead_letters()
    assert (99, 1, "f13#1") == (counts["delivered"], counts["dead"], letter.key)
    assert ("HTTP 400, code 6: Invalid data format", True) == (
        letter.reason,
        len(splunk.requests) <= 16,
    )


def test_every_try_has_the_same_key(splunk: Receiver, tmp_path: Path) -> None:
    line = Line(tmp_path, splunk)
    splunk.answers = [Answer(500, b""), Answer(429, b"", {"Retry-After": "3"})]
    line.run("a", steps=3)
    assert [["a#1"]] * 3 == [keys(request) for request in splunk.requests]


class Indexer:
    """A collector with acknowledgement, which says "indexed" at the n-th question; 0 is never."""

    def __init__(self, at: int) -> None:
        self.at, self.asked, self.taken = at, 0, 0

    def __call__(self, request: Request) -> Answer:
        if "/ack" not in request.path:
            self.taken += 1
            return Answer(200, {"text": "Success", "code": 0, "ackId": self.taken})
        self.asked += 1
        return Answer(200, {"acks": {str(a): self.asked == self.at for a in request.json["acks"]}})


def acknowledging(splunk: Receiver, clock: Clock) -> SplunkHecSink:
    def sleep(seconds: float) -> None:
        clock.now += seconds

    return sink(splunk, acknowledge_s=10.0, clock=clock, sleep=sleep)


def test_with_acknowledgement_taken_means_indexed(splunk: Receiver) -> None:
    splunk.usual = indexer = Indexer(at=3)
    acknowledging(splunk, Clock()).send(deliveries(finding("a"), finding("b")))
    channels = {request.headers["X-Splunk-Request-Channel"] for request in splunk.requests}
    assert (3, 1) == (indexer.asked, len(channels))
    assert splunk.requests[1].path.endswith(f"/services/collector/ack?channel={channels.pop()}")


def test_what_is_never_indexed_is_sent_again_under_the_same_key(splunk: Receiver) -> None:
    splunk.usual = Indexer(at=0)
    clock = Clock()
    target = acknowledging(splunk, clock)
    for _ in range(2):
        with pytest.raises(RetryLater, match="1 requests were accepted but not indexed in 10 s"):
            target.send(deliveries(finding("a")))
    sent = [request for request in splunk.requests if request.path.endswith("/event")]
    assert [["a#1"]] * 2 == [keys(request) for request in sent]


def test_an_acknowledgement_once_given_is_not_asked_for_again(splunk: Receiver) -> None:
    asked: list[list[int]] = []

    def answer(request: Request) -> Answer:
        if "/ack" not in request.path:
            return Answer(200, {"code": 0, "ackId": len(splunk.requests)})
        asked.append(request.json["acks"])
        return Answer(200, {"acks": {str(number): number == max(asked[0]) for number in asked[0]}})

    splunk.usual = answer
    two_requests = deliveries(*(rich(id=id, summary="x" * 300_000) for id in ("a", "b")))
    with pytest.raises(RetryLater, match="not indexed"):
        acknowledging(splunk, Clock()).send(two_requests)
    assert ([1, 2], [1]) == (asked[0], asked[1])


def test_a_token_without_acknowledgement_needs_an_operator(splunk: Receiver) -> None:
    with pytest.raises(RetryLater, match="no ackId") as caught:
        acknowledging(splunk, Clock()).send(deliveries(finding()))
    assert caught.value.operator


@pytest.mark.parametrize(
    "answer", [Answer(503, b""), Answer(200, b"[]"), Answer(400, b'{"code":6}')]
)
def test_a_question_that_fails_loses_nothing(splunk: Receiver, answer: Answer) -> None:
    splunk.answers = [Answer(200, {"code": 0, "ackId": 1}), answer]
    with pytest.raises(RetryLater):
        acknowledging(splunk, Clock()).send(deliveries(finding()))


def test_a_long_batch_is_cut_into_requests_below_the_limit(splunk: Receiver) -> None:
    sink(splunk).send(deliveries(*(rich(id=f"f{n}", summary="x" * 200_000) for n in range(3))))
    assert [["f0#1", "f1#1"], ["f2#1"]] == [keys(request) for request in splunk.requests]


def test_what_was_taken_before_a_pause_does_not_come_again(splunk: Receiver) -> None:
    splunk.answers = [Answer(), Answer(503, {"text": "Server is busy", "code": 9})]
    large = deliveries(*(rich(id=id, summary="x" * 300_000) for id in "abc"))
    with pytest.raises(Partly) as caught:
        sink(splunk).send(large)
    assert isinstance(caught.value.later, RetryLater)
    assert ({"a#1"}, False) == (caught.value.taken, caught.value.later.operator)


def test_a_look_at_the_collector_stores_nothing_and_checks_the_token(splunk: Receiver) -> None:
    splunk.answers = [
        Answer(400, {"text": "No data", "code": 5}),
        Answer(403, {"text": "Invalid token", "code": 4}),
    ]
    assert "takes the token" == sink(splunk).probe()
    with pytest.raises(RetryLater, match="Invalid token"):
        sink(splunk).probe()
    assert [b"", b""] == [request.body for request in splunk.requests]
