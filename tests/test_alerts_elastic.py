"""Findings into Elasticsearch and OpenSearch."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from alerts.base import Partly, Rejected, RetryLater
from alerts.ecs import to_ecs
from alerts.elastic import ElasticSink
from alerts.posting import Poster
from schemas.finding import LANES, Finding, Technique
from tests.alerts_fakes import (
    Answer,
    Receiver,
    Request,
    deliveries,
    finding,
    golden,
    hostile,
    receiving,
    rich,
)
from tests.ocsf_schema import problems

CLIENT = httpx.Client()
FINE = Answer(200, {"errors": False, "items": []})


@pytest.fixture
def cluster() -> Iterator[Receiver]:
    with receiving() as receiver:
        receiver.usual = FINE
        yield receiver


def sink(cluster: Receiver, **options: Any) -> ElasticSink:
    poster = Poster(client=CLIENT, timeout_s=5)
    given = {"index": "logs-tripmeter.findings-default", **options}
    return ElasticSink("siem", cluster.url + "/", lambda: "S2V5", poster=poster, **given)


def lines(request: Request) -> list[Any]:
    return [json.loads(line) for line in request.body.splitlines()]


def items(*outcomes: tuple[int, str]) -> Answer:
    told = [
        {"create": {"status": status, "error": {"type": kind, "reason": "why"}}}
        if kind
        else {"create": {"status": status}}
        for status, kind in outcomes
    ]
    return Answer(200, {"errors": True, "items": told})


def partly(cluster: Receiver, *outcomes: tuple[int, str]) -> Partly:
    cluster.answers = [items(*outcomes)]
    with pytest.raises(Partly) as caught:
        sink(cluster).send(deliveries(*(finding(id) for id in "abcdef"[: len(outcomes)])))
    return caught.value


def test_a_batch_is_one_bulk_request_with_the_key_as_id(cluster: Receiver) -> None:
    sink(cluster).send(deliveries(finding("a"), finding("b", 2)))
    (request,) = cluster.requests
    assert ("/_bulk", "ApiKey S2V5", "application/x-ndjson", b"\n") == (
        request.path,
        request.headers["Authorization"],
        request.headers["Content-Type"],
        request.body[-1:],
    )
    index = "logs-tripmeter.findings-default"
    assert [
        {"create": {"_index": index, "_id": "a#1"}},
        {"create": {"_index": index, "_id": "b#2"}},
    ] == lines(request)[::2]


def test_a_user_and_a_password_are_basic_authentication(cluster: Receiver) -> None:
    sink(cluster, username="writer").send(deliveries(finding()))
    basic = base64.b64encode(b"writer:S2V5").decode()
    assert f"Basic {basic}" == cluster.requests[0].headers["Authorization"]


def test_the_document_is_what_the_golden_file_says() -> None:
    document = to_ecs(deliveries(rich())[0])
    original = json.loads(document["event"].pop("original"))
    assert (golden("ecs.json", document), []) == (document, problems(original))


@pytest.mark.parametrize("each", [finding(), finding(tenant=None), *map(hostile, LANES)])
def test_no_attacker_makes_a_field(each: Finding) -> None:
    def names(value: Any, path: str = "") -> set[str]:
        if not isinstance(value, dict):
            return {path}
        return {name for key, inner in value.items() for name in names(inner, f"{path}.{key}")}

    assert set() == names(to_ecs(deliveries(each)[0])) - names(to_ecs(deliveries(rich())[0])) - {
        ".threat"
    }


def test_two_sub_techniques_of_one_technique_name_it_once() -> None:
    def technique(id: str, name: str) -> Technique:
        return Technique(framework="MITRE ATT&CK", version="18", id=id, name=name)

    both = (
        technique("T1496.004", "Resource Hijacking: Cloud Service Hijacking"),
        technique("T1496.001", "Resource Hijacking: Compute Hijacking"),
    )
    threat = to_ecs(deliveries(finding(techniques=both))[0])["threat"]["technique"]
    assert (["T1496"], ["Resource Hijacking"]) == (threat["id"], threat["name"])
    assert ["T1496.004", "T1496.001"] == threat["subtechnique"]["id"]


def test_what_is_no_address_is_not_sent_as_one() -> None:
    seen = {"events": [{"client_address": "proxy.internal"}, {"client_address": "2001:db8::1"}]}
    assert ["2001:db8::1"] == to_ecs(deliveries(rich(evidence=seen))[0])["source"]["ip"]


def test_a_conflict_is_success(cluster: Receiver) -> None:
    taken = partly(
        cluster, (409, "version_conflict_engine_exception"), (201, ""), (400, "mapper_exception")
    )
    assert {"a#1", "b#1"} == taken.taken


def test_a_whole_batch_of_conflicts_is_delivered(cluster: Receiver) -> None:
    cluster.answers = [items((409, "x"), (409, "x"))]
    sink(cluster).send(deliveries(finding("a"), finding("b")))
    assert 1 == len(cluster.requests)


def test_the_one_bad_document_is_named_with_its_reason(cluster: Receiver) -> None:
    taken = partly(cluster, (201, ""), (400, "document_parsing_exception"), (201, ""))
    assert ({"a#1", "c#1"}, {"b#1": "HTTP 400: document_parsing_exception: why"}, None) == (
        taken.taken,
        taken.rejected,
        taken.later,
    )


def test_what_a_busy_cluster_did_not_take_comes_again(cluster: Receiver) -> None:
    taken = partly(cluster, (201, ""), (429, "circuit_breaking_exception"))
    assert isinstance(taken.later, RetryLater)
    assert ({"a#1"}, False) == (taken.taken, taken.later.operator)


def test_a_missing_index_needs_an_operator(cluster: Receiver) -> None:
    taken = partly(cluster, (404, "index_not_found_exception"))
    assert isinstance(taken.later, RetryLater)
    assert (frozenset(), True) == (taken.taken, taken.later.operator)


@pytest.mark.parametrize(
    ("answer", "operator"),
    [
        (Answer(200, b"<html>"), True),
        (Answer(200, b"[]"), True),
        (Answer(200, {"took": 3}), True),
        (Answer(200, {"errors": True, "items": [{}]}), True),
        (Answer(200, b'{"errors":true,"items":' + b"[" * 50_000), True),
        (Answer(200, {"errors": True, "items": []}), False),
        (Answer(401, {"error": "no"}), True),
        (Answer(403, b""), True),
        (Answer(404, b""), True),
        (Answer(429, b"", {"Retry-After": "3"}), False),
        (Answer(503, b""), False),
    ],
)
def test_no_other_answer_counts_as_taken(cluster: Receiver, answer: Answer, operator: bool) -> None:
    cluster.answers = [answer]
    with pytest.raises(RetryLater) as caught:
        sink(cluster).send(deliveries(finding()))
    assert operator == caught.value.operator


@pytest.mark.parametrize("status", [400, 413])
def test_a_request_that_is_refused_is_halved(cluster: Receiver, status: int) -> None:
    cluster.answers = [Answer(status, b"")]
    with pytest.raises(Rejected):
        sink(cluster).send(deliveries(finding()))


def test_what_was_taken_before_the_cluster_went_away_does_not_come_again(
    cluster: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerts.elastic.MAX_BODY", 12_000)
    cluster.answers = [FINE, Answer(503, b"")]
    with pytest.raises(Partly) as caught:
        sink(cluster).send(deliveries(*(finding(f"f{number}") for number in range(8))))
    first = {line["create"]["_id"] for line in lines(cluster.requests[0])[::2]}
    assert (first, "HTTP 503") == (caught.value.taken, str(caught.value.later))
    assert 0 < len(first) < 8


def test_a_look_at_the_cluster_stores_nothing(cluster: Receiver) -> None:
    cluster.answers = [Answer(400, {"error": "request body is required"}), Answer(401, b"")]
    assert "answers (HTTP 400 to an empty request)" == sink(cluster).probe()
    with pytest.raises(RetryLater, match="HTTP 401"):
        sink(cluster).probe()
    assert [b"", b""] == [request.body for request in cluster.requests]
