"""Findings into Google SecOps (a fake: nobody can run the real one)."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from alerts.base import Rejected, RetryLater
from alerts.destinations import BadDestinations, Destinations
from alerts.posting import Poster
from alerts.secops import GoogleToken, SecOpsSink, to_log
from tests.alerts_fakes import (
    Answer,
    Receiver,
    Request,
    deliveries,
    finding,
    golden,
    receiving,
    rich,
)
from tests.ocsf_schema import problems

CLIENT = httpx.Client()
PARENT = "projects/p/locations/us/instances/i"


@pytest.fixture
def google() -> Iterator[Receiver]:
    with receiving() as receiver:
        receiver.usual = Answer(200, {})
        yield receiver


def sink(google: Receiver, **options: Any) -> SecOpsSink:
    url = f"{google.url}/v1alpha/{PARENT}/logTypes/OCSF/logs:import"
    poster = Poster(client=CLIENT, timeout_s=5)
    return SecOpsSink("g", url, lambda: "TOKEN", poster=poster, **options)


def records(request: Request) -> list[Any]:
    logs = request.json["inlineSource"]["logs"]
    return [json.loads(base64.b64decode(log["data"])) for log in logs]


def test_a_batch_is_one_import_of_raw_logs(google: Receiver) -> None:
    sink(google, forwarder=f"{PARENT}/forwarders/f").send(deliveries(finding("a"), finding("b")))
    (request,) = google.requests
    assert (f"/v1alpha/{PARENT}/logTypes/OCSF/logs:import", "Bearer TOKEN") == (
        request.path,
        request.headers["Authorization"],
    )
    assert (["a", "b"], f"{PARENT}/forwarders/f") == (
        [record["finding_info"]["uid"] for record in records(request)],
        request.json["inlineSource"]["forwarder"],
    )


def test_the_log_is_what_the_golden_file_says() -> None:
    log = to_log(deliveries(rich())[0], "prod")
    ocsf = json.loads(base64.b64decode(log.pop("data")))
    assert (golden("secops.json", log), []) == (log, problems(ocsf))


def test_requests_stay_below_a_megabyte(google: Receiver) -> None:
    large = [rich(id=str(number), summary="x" * 200_000) for number in range(4)]
    sink(google).send(deliveries(*large))
    assert (True, 4) == (
        max(len(request.body) for request in google.requests) < 1_000_000,
        sum(len(records(request)) for request in google.requests),
    )


@pytest.mark.parametrize(
    ("status", "operator"), [(401, True), (403, True), (404, True), (429, False), (503, False)]
)
def test_what_is_not_taken_comes_again(google: Receiver, status: int, operator: bool) -> None:
    google.answers = [Answer(status, b"")]
    with pytest.raises(RetryLater) as caught:
        sink(google).send(deliveries(finding()))
    assert operator == caught.value.operator


def test_a_batch_that_is_refused_is_halved(google: Receiver) -> None:
    google.answers = [Answer(400, {"error": {"status": "INVALID_ARGUMENT"}})]
    with pytest.raises(Rejected, match="INVALID_ARGUMENT"):
        sink(google).send(deliveries(finding()))


def test_mistakes_are_named() -> None:
    with pytest.raises(BadDestinations, match="log_type: is not a usable name"):
        Destinations({"g": {"type": "secops", "project": "p", "instance": "i", "log_type": "a/b"}})


def account(folder: Path, url: str) -> Path:
    key = rsa.generate_private_key(65537, 2048)
    told = {
        "type": "service_account",
        "client_email": "tripmeter@p.iam.gserviceaccount.com",
        "private_key": key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ).decode(),
        "token_uri": f"{url}/token",
    }
    path = folder / "account.json"
    path.write_text(json.dumps(told))
    return path


@pytest.mark.slow  # google-auth takes a second to import
def test_a_service_account_becomes_a_token_that_is_kept(google: Receiver, tmp_path: Path) -> None:
    pytest.importorskip("google.auth")
    google.usual = Answer(200, {"access_token": "TOKEN", "expires_in": 3600})
    token = GoogleToken(account(tmp_path, google.url), Poster(client=CLIENT, timeout_s=5))
    assert (["TOKEN", "TOKEN"], ["/token"]) == (
        [token(), token()],
        [request.path for request in google.requests],
    )


@pytest.mark.slow
def test_an_account_that_was_removed_is_for_an_operator(google: Receiver, tmp_path: Path) -> None:
    pytest.importorskip("google.auth")
    google.usual = Answer(400, {"error": "invalid_grant", "error_description": "Invalid account"})
    token = GoogleToken(account(tmp_path, google.url), Poster(client=CLIENT, timeout_s=5))
    with pytest.raises(RetryLater, match="no token") as caught:
        token()
    assert caught.value.operator


@pytest.mark.slow
@pytest.mark.parametrize("content", [None, "", "{}", '{"type": "authorized_user"}', "[1]"])
def test_what_is_no_account_is_for_an_operator(tmp_path: Path, content: str | None) -> None:
    pytest.importorskip("google.auth")
    path = tmp_path / "account.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RetryLater, match="credentials_file") as caught:
        GoogleToken(path, Poster(client=CLIENT))()
    assert caught.value.operator
