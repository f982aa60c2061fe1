"""Findings to a signed webhook."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from alerts.base import Rejected, RetryLater
from alerts.destinations import Destinations
from alerts.posting import Poster
from alerts.webhook import MAX_BODY, WebhookSink, refuse_private, to_webhook
from schemas.finding import LANES, Lane
from tests.alerts_fakes import (
    Answer,
    Receiver,
    deliveries,
    finding,
    golden,
    hostile,
    receiving,
    rich,
)
from tests.ocsf_schema import problems

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
CLIENT = httpx.Client()
PUBLIC = ["8.8.8.8", "2606:4700::1111", "2002:0808:0808::1"]
PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "192.168.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104  (nothing is bound)
    "224.0.0.1",
    "::1",
    "fe80::1%eth0",
    "fd00::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:0001::1",
    "64:ff9b:1::7f00:1",
    "::127.0.0.1",
    "192.0.0.8",
    "192.88.99.1",
    "3fff::1",
    "5f00::1",
    "fec0::1",
]


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def sink(hook: Receiver, secret: str = SECRET, **options: Any) -> WebhookSink:
    poster = Poster(**{"client": CLIENT, "timeout_s": 5.0, **options})
    return WebhookSink("h", hook.url + "/x", lambda: secret, poster=poster, wall=lambda: 1795e6)


def signature(headers: dict[str, str], body: bytes, key: bytes = KEY) -> str:
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def test_id_time_and_body_are_signed(hook: Receiver) -> None:
    sink(hook).send(deliveries(rich()))
    (request,) = hook.requests
    assert ("1795000000", signature(request.headers, request.body)) == (
        request.headers["webhook-timestamp"],
        request.headers["webhook-signature"],
    )


def test_the_body_is_what_the_golden_file_says() -> None:
    body = json.loads(to_webhook(deliveries(rich())[0]))
    body["data"]["metadata"]["product"]["version"] = "0"
    assert golden("webhook.json", body) == body


def test_every_try_has_the_same_id(hook: Receiver) -> None:
    hook.answers = [Answer(500, b"")]
    with pytest.raises(RetryLater):
        sink(hook).send(deliveries(finding("a")))
    sink(hook).send(deliveries(finding("a")))
    sink(hook).send(deliveries(finding("a", 2)))
    ids = [request.headers["webhook-id"] for request in hook.requests]
    assert (True, 2) == (ids[0] == ids[1], len(set(ids)))


def test_while_secrets_are_rotated_each_of_them_signs(hook: Receiver) -> None:
    new = bytes(range(32, 64))
    sink(hook, f"{SECRET} whsec_{base64.b64encode(new).decode()}").send(deliveries(finding()))
    (request,) = hook.requests
    assert [
        signature(request.headers, request.body),
        signature(request.headers, request.body, new),
    ] == request.headers["webhook-signature"].split()


@pytest.mark.parametrize(
    "secret", ["hunter2", "whsec_", "whsec_c2hvcnQ=", "whsec_%%%%", "x_" + "A" * 40]
)
def test_what_is_no_such_secret_needs_an_operator(hook: Receiver, secret: str) -> None:
    with pytest.raises(RetryLater, match="whsec_") as caught:
        sink(hook, secret).send(deliveries(finding()))
    assert (True, []) == (caught.value.operator, hook.requests)


@pytest.mark.parametrize(
    ("status", "operator"), [(410, True), (404, True), (302, True), (429, False), (502, False)]
)
def test_what_is_not_taken_comes_again(hook: Receiver, status: int, operator: bool) -> None:
    hook.answers = [Answer(status, b"")]
    with pytest.raises(RetryLater) as caught:
        sink(hook).send(deliveries(finding()))
    assert operator == caught.value.operator


def test_a_refused_body_is_rejected(hook: Receiver) -> None:
    hook.answers = [Answer(422, b"")]
    with pytest.raises(Rejected):
        sink(hook).send(deliveries(finding()))


@pytest.mark.parametrize("lane", LANES)
def test_the_largest_finding_stays_below_the_limit_and_valid(lane: Lane) -> None:
    body = to_webhook(deliveries(hostile(lane))[0])
    assert (True, []) == (len(body) <= MAX_BODY, problems(json.loads(body)["data"]))


@pytest.mark.parametrize("address", PRIVATE)
def test_no_private_address_is_spoken_to(address: str) -> None:
    with pytest.raises(RetryLater, match="allow_private") as caught:
        refuse_private(address)
    assert caught.value.operator


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are(address: str) -> None:
    assert None is refuse_private(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1"])
def test_it_is_the_connected_address_that_counts_however_it_is_written(
    hook: Receiver, host: str
) -> None:
    url = hook.url.replace("127.0.0.1", host)
    guarded = WebhookSink(
        "h", url, lambda: SECRET, poster=Poster(client=CLIENT, guard=refuse_private)
    )
    with pytest.raises(RetryLater):
        guarded.send(deliveries(finding()))
    assert [] == hook.requests


def test_a_redirect_is_not_followed(hook: Receiver) -> None:
    hook.answers = [Answer(307, b"", {"Location": hook.url + "/other"})]
    with pytest.raises(RetryLater, match="HTTP 307"):
        sink(hook).send(deliveries(finding()))
    assert ["/x"] == [request.path for request in hook.requests]


def test_the_guard_is_there_unless_the_configuration_says_otherwise(
    hook: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("HOOK", SECRET)
    table = {"type": "webhook", "url": hook.url, "token_env": "HOOK"}
    destinations = Destinations({"a": table, "b": {**table, "allow_private": True}}, tmp_path)
    guarded, allowed = destinations.open(tmp_path / "unused.db")
    with pytest.raises(RetryLater, match="not a public address"):
        guarded.send(deliveries(finding()))
    allowed.send(deliveries(finding()))
    assert 1 == len(hook.requests)


def test_a_look_at_the_webhook_tells_it_nothing(hook: Receiver) -> None:
    hook.answers = [Answer(405, b"")]
    assert "answers (HTTP 405; nothing was sent)" == sink(hook).probe()
    assert b"" == hook.requests[0].body
