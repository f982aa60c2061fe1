"""Findings into Microsoft Sentinel (a fake: nobody can run the real one)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from alerts.base import Partly, Rejected, RetryLater
from alerts.destinations import BadDestinations, Destinations
from alerts.posting import Poster
from alerts.sentinel import EntraToken, SentinelSink, to_row
from tests.alerts_fakes import (
    Answer,
    Receiver,
    Request,
    certificate,
    deliveries,
    finding,
    golden,
    receiving,
    rich,
)
from tests.ocsf_schema import problems

CLIENT = httpx.Client()
TAKEN = Answer(204, b"")
TABLE = {
    "type": "sentinel",
    "url": "https://dce-1.westeurope-1.ingest.monitor.azure.com",
    "rule_id": "dcr-0123456789abcdef",
}


@pytest.fixture
def azure() -> Iterator[Receiver]:
    with receiving() as receiver:
        receiver.usual = TAKEN
        yield receiver


def sink(azure: Receiver) -> SentinelSink:
    poster = Poster(client=CLIENT, timeout_s=5)
    stream = "Custom-TripmeterFindings_CL"
    return SentinelSink("az", azure.url, "dcr-01", stream, lambda: "TOKEN", poster=poster)


def test_a_batch_is_a_gzipped_array_for_the_stream_of_the_rule(azure: Receiver) -> None:
    sink(azure).send(deliveries(finding("a"), finding("b")))
    (request,) = azure.requests
    path = "/dataCollectionRules/dcr-01/streams/Custom-TripmeterFindings_CL"
    assert (f"{path}?api-version=2023-01-01", "Bearer TOKEN", "gzip") == (
        request.path,
        request.headers["Authorization"],
        request.headers["Content-Encoding"],
    )
    assert ["a#1", "b#1"] == [row["RecordKey"] for row in request.json]


def test_the_row_is_what_the_golden_file_says() -> None:
    row = to_row(deliveries(rich())[0])
    ocsf = row.pop("Ocsf")
    assert (golden("sentinel.json", row), []) == (row, problems(ocsf))


def test_requests_stay_below_a_megabyte(azure: Receiver) -> None:
    large = [rich(id=f"{number:02}", summary="x" * 25_000) for number in range(40)]
    sink(azure).send(deliveries(*large))
    sizes = [len(request.body) for request in azure.requests]
    assert (True, [f"{number:02}" for number in range(40)]) == (
        max(sizes) < 1_000_000 and len(sizes) > 1,
        [row["FindingUid"] for request in azure.requests for row in request.json],
    )


@pytest.mark.parametrize(
    ("status", "operator"),
    [(401, True), (403, True), (404, True), (429, False), (500, False), (503, False)],
)
def test_what_is_not_taken_comes_again(azure: Receiver, status: int, operator: bool) -> None:
    azure.answers = [Answer(status, b"", {"Retry-After": "12"})]
    with pytest.raises(RetryLater) as caught:
        sink(azure).send(deliveries(finding()))
    assert (operator, 12.0) == (caught.value.operator, caught.value.after_s)


@pytest.mark.parametrize("status", [400, 413])
def test_a_batch_that_is_refused_is_halved(azure: Receiver, status: int) -> None:
    azure.answers = [Answer(status, b"")]
    with pytest.raises(Rejected):
        sink(azure).send(deliveries(finding("a"), finding("b")))


def test_what_was_taken_before_a_pause_does_not_come_again(azure: Receiver) -> None:
    azure.answers = [TAKEN, Answer(429, b"", {"Retry-After": "5"})]
    large = [rich(id=f"{number:02}", summary="x" * 25_000) for number in range(20)]
    with pytest.raises(Partly) as caught:
        sink(azure).send(deliveries(*large))
    assert isinstance(caught.value.later, RetryLater)
    first = {row["RecordKey"] for row in azure.requests[0].json}
    assert (first, 5.0) == (caught.value.taken, caught.value.later.after_s)


def test_a_look_at_the_service_posts_no_row(azure: Receiver) -> None:
    assert "takes the token" == sink(azure).probe()
    assert [] == azure.requests[0].json


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"token_env": "X"}, "a client secret needs tenant_id and client_id"),
        ({"rule_id": "../x"}, "rule_id: is not a usable name"),
        ({"stream": "a/b"}, "stream: is not a usable name"),
        ({"authority": "http://evil.example"}, "authority would send the token unencrypted"),
    ],
)
def test_mistakes_are_named(change: dict[str, str], reason: str) -> None:
    with pytest.raises(BadDestinations, match=reason):
        Destinations({"az": {**TABLE, **change}})


@pytest.mark.slow  # azure-identity takes a second to import
def test_the_client_secret_becomes_a_token_and_a_wrong_one_is_for_an_operator(
    tmp_path: Path,
) -> None:
    pytest.importorskip("azure.identity")
    trusted, context = certificate(tmp_path)
    secrets = iter(["right", "right", "wrong"])
    with receiving(context) as entra:
        entra.usual = lambda request: _entra(request, entra.url)
        token = EntraToken(
            "https://monitor.azure.com//.default",
            authority=entra.url,
            tenant_id="11111111-2222-3333-4444-555555555555",
            client_id="app",
            secret=lambda: next(secrets),
            ca_file=trusted,
        )
        assert ["TOKEN", "TOKEN"] == [token(), token()]
        asked = [request for request in entra.requests if request.path.endswith("/token")]
        assert (1, True) == (len(asked), b"client_secret=right" in asked[0].body)
        with pytest.raises(RetryLater, match="no token") as caught:
            token()
        assert (True, False) == (caught.value.operator, "wrong" in str(caught.value))


def _entra(request: Request, url: str) -> Answer:
    if not request.path.endswith("/token"):
        base = f"{url}/{request.path.split('/')[1]}"
        known: dict[str, Any] = {
            "issuer": base,
            "authorization_endpoint": f"{base}/authorize",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
        }
        return Answer(200, known)
    if b"client_secret=right" not in request.body:
        told = {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid secret."}
        return Answer(401, told)
    return Answer(200, {"access_token": "TOKEN", "token_type": "Bearer", "expires_in": 3600})


def test_a_row_is_plain_json() -> None:
    row = to_row(deliveries(finding(tenant=None))[0])
    assert row == json.loads(json.dumps(row))
