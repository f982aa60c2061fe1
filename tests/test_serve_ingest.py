"""The endpoints: nothing is answered with 2xx before it is kept, and nothing refused is lost."""

import asyncio
import gzip
import json
import random
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest

from schemas.adapters.base import Adapted, Rejected
from schemas.finding import Finding
from streams.body import MAX_MEMBERS
from streams.ingest import Ingest
from streams.journal import Journal, Limits
from streams.metrics import MAX_REASONS, Metrics
from streams.otlp_answers import JSON, PROTOBUF
from streams.own_findings import MAX_MISMATCHES_AN_HOUR, Mismatches
from streams.quarantine import Quarantine
from streams.settings import ServerSettings
from streams.tokens import Token, Tokens, digest

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GATEWAY = {"authorization": "Bearer gateway-secret-0123"}
ACME = {"authorization": "Bearer acme-secret-0123456"}
TOKENS = Tokens(
    {
        digest("gateway-secret-0123"): Token("gateway", frozenset({"*"})),
        digest("acme-secret-0123456"): Token("acme", frozenset({"acme"}), "acme"),
        digest("prometheus-secret-01"): Token("prometheus", frozenset(), metrics=True),
    }
)


def lines_adapter(body: bytes, format: str, source: str, observed: datetime) -> Adapted:
    """Stands in for the real ones: a line is an event when it is an object with a timestamp."""
    events, bad = [], []
    for index, line in enumerate(filter(None, body.split(b"\n"))):
        try:
            value = json.loads(line)
        except ValueError:
            bad.append(Rejected("", "not valid JSON", line, index))
            continue
        if value.get("boom"):
            raise ZeroDivisionError
        if "timestamp" in value:
            events.append(line)
        else:
            bad.append(Rejected("timestamp", "Field required", line, index))
    return Adapted(events, bad, 0)


class Site:
    """Endpoints over a data directory, without a judge."""

    def __init__(self, folder: Path, limits: Limits | None = None, **changes: Any) -> None:
        self.journal = Journal(folder / "journal.db", limits)
        self.quarantine = Quarantine(folder)
        self.findings: list[Finding] = []
        self.problems: list[str] = []
        self.ingest = Ingest(
            ServerSettings(**changes),
            TOKENS,
            self.journal,
            self.quarantine,
            Metrics(),
            lines_adapter,
            self.keep,
            lambda: self.problems,
            lambda: NOW,
        )
        self.app = self.ingest.app()

    def keep(self, findings: Sequence[Finding]) -> None:
        self.findings += findings

    def post(self, body: Any, path: str = "/ingest/canonical", **headers: str) -> httpx.Response:
        return self.request("POST", path, content=body, headers={**GATEWAY, **headers})

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    def stored(self) -> list[dict[str, Any]]:
        batch = self.journal.read(0, 1000)
        return [] if batch is None else [json.loads(line) for line in batch.data.splitlines()]

    def reasons(self) -> list[str]:
        return sorted(entry.reason for entry in self.quarantine.entries())


def event(tenant: str | None = None, at: datetime = NOW) -> bytes:
    line: dict[str, Any] = {"timestamp": at.isoformat()}
    if tenant is not None:
        line["tenant.id"] = tenant
    return msgspec.json.encode(line)


async def in_pieces() -> AsyncIterator[bytes]:
    for _ in range(3):
        yield b"x" * 1000


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_events_are_in_the_journal_when_the_answer_comes(site: Site) -> None:
    answer = site.post(event("acme") + b"\n" + event("birch"))
    assert (200, 2) == (answer.status_code, answer.json()["accepted"])
    assert ["acme", "birch"] == [line["tenant.id"] for line in site.stored()]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic Z2F0ZXdheQ==", "gateway"])
def test_without_a_good_token_nothing_is_read(site: Site, header: str) -> None:
    answer = site.post(event(), authorization=header)
    assert (401, "Bearer") == (answer.status_code, answer.headers["www-authenticate"])
    assert [] == site.stored() and 0 == site.quarantine.count()


def test_one_bad_record_does_not_cost_the_others(site: Site) -> None:
    answer = site.post(event() + b"\n{}\n" + event())
    assert {
        "accepted": 2,
        "rejected": 1,
        "ignored": 0,
        "errors": [{"index": 1, "field": "timestamp", "reason": "Field required"}],
    } == answer.json()
    assert ["Field required"] == site.reasons()


def test_a_request_of_no_use_is_a_400_and_is_kept(site: Site) -> None:
    assert 400 == site.post(b"nonsense").status_code
    assert ["not valid JSON"] == site.reasons()


def test_a_fault_of_an_adapter_loses_nothing(site: Site) -> None:
    assert 400 == site.post(b'{"boom": 1}').status_code
    assert ["the adapter failed (ZeroDivisionError)"] == site.reasons()
    [entry] = site.quarantine.entries()
    assert b'{"boom": 1}' == site.quarantine.original(entry.id)


def test_gzip_is_read_in_one_or_several_members(site: Site) -> None:
    body = gzip.compress(event() + b"\n") + gzip.compress(event())
    assert 2 == site.post(body, **{"content-encoding": "gzip"}).json()["accepted"]
    body = b"".join(gzip.compress(event() + b"\n", 1) for _ in range(MAX_MEMBERS))
    accepted = site.post(body, **{"content-encoding": "gzip"}).json()["accepted"]
    assert MAX_MEMBERS == accepted


def test_nothing_that_takes_long_happens_in_the_event_loop(site: Site) -> None:
    threads = []

    def submit(source: str, lines: Sequence[bytes]) -> Any:
        threads.append(threading.current_thread().name)
        return journal.submit(source, lines)

    journal, site.ingest.journal = site.journal, SimpleNamespace(submit=submit)
    assert 200 == site.post(event()).status_code
    assert ["adapter_0"] == threads


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"not gzip", 400),
        (gzip.compress(event(), mtime=0)[:-4], 400),
        (b"", 400),
        (gzip.compress(b" " * 5_000_000), 413),
        (gzip.compress(b"", mtime=0) * (MAX_MEMBERS + 1), 400),
    ],
    ids=["no-gzip", "cut", "empty", "bomb", "members"],
)
def test_bad_gzip_is_refused_and_kept(tmp_path: Path, body: bytes, status: int) -> None:
    site = Site(tmp_path, max_inflated_bytes=1_000_000)
    assert status == site.post(body, **{"content-encoding": "gzip"}).status_code
    assert 1 == site.quarantine.count()
    assert 0 == site.ingest._budget.used


def test_a_body_beyond_the_limit_is_refused_whether_declared_or_not(tmp_path: Path) -> None:
    site = Site(tmp_path, max_body_bytes=2000)
    assert 413 == site.post(b"x" * 2001).status_code
    assert 413 == site.post(in_pieces()).status_code
    assert 0 == site.ingest._budget.used


def test_too_much_at_once_is_asked_to_come_back(tmp_path: Path) -> None:
    site = Site(tmp_path, max_bytes_in_flight=2000)
    answer = site.post(b"x" * 2001)
    assert (503, "5") == (answer.status_code, answer.headers["retry-after"])


def test_other_encodings_and_content_types_are_refused(site: Site) -> None:
    assert 415 == site.post(event(), **{"content-encoding": "br"}).status_code
    assert 415 == site.post(event(), "/v1/traces", **{"content-type": "text/plain"}).status_code


def test_a_full_journal_answers_503_and_later_takes_the_same_events(tmp_path: Path) -> None:
    site = Site(tmp_path, Limits(max_bytes=1))
    answer = site.post(event())
    assert (503, "5") == (answer.status_code, answer.headers["retry-after"])
    assert site.journal.refusing()
    site.journal.limits = Limits()
    assert 200 == site.post(event()).status_code
    assert 1 == len(site.stored())


def test_an_event_from_the_future_is_refused(site: Site) -> None:
    answer = site.post(event(at=datetime(2100, 1, 1, tzinfo=UTC)) + b"\n" + event())
    assert (1, 1) == (answer.json()["accepted"], answer.json()["rejected"])
    assert ["clock_ahead: more than 300 s in the future"] == site.reasons()


def test_a_foreign_tenant_is_refused_kept_and_found_once_an_hour(site: Site) -> None:
    for _ in range(3):
        answer = site.post(event("birch"), **ACME)
        assert 403 == answer.status_code
    [finding] = site.findings
    assert ("tenant-mismatch", "health") == (finding.detector, finding.family)
    assert {"token": "acme", "tenant": "birch"} == finding.evidence
    assert ["tenant_mismatch: the token may not write for this tenant"] == site.reasons()
    assert [] == site.stored()


def test_a_flood_of_foreign_tenants_is_a_bounded_number_of_findings(site: Site) -> None:
    site.post(b"\n".join(event(f"t{n}") for n in range(500)), **ACME)
    assert MAX_MISMATCHES_AN_HOUR + 1 == len(site.findings)


def test_foreign_tenants_that_come_at_once_are_found_once_each() -> None:
    mismatches = Mismatches()

    def sender(number: int) -> list[Finding | None]:
        tokens = [f"token-{n}" for n in range(400)]
        random.Random(number).shuffle(tokens)
        return [mismatches.finding(token, "birch", NOW) for token in tokens]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            told = [one for part in pool.map(sender, range(4)) for one in part if one is not None]
    finally:
        sys.setswitchinterval(interval)
    assert 400 == len(told) == len({finding.id for finding in told})


def test_a_token_lends_its_tenant_to_events_that_name_none(site: Site) -> None:
    site.post(event() + b'\n{"timestamp": "2026-11-21T12:00:00Z", "tenant.id": null}', **ACME)
    assert [("acme", "token")] * 2 == [
        (line["tenant.id"], line["tenant.id.source"]) for line in site.stored()
    ]


def test_an_otlp_sender_is_answered_in_its_own_encoding(site: Site) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    spoken = {"content-type": PROTOBUF}
    fine = site.post(event(), "/v1/traces", **spoken)
    assert (200, PROTOBUF, b"") == (fine.status_code, fine.headers["content-type"], fine.content)
    partial = ExportTraceServiceResponse.FromString(
        site.post(event() + b"\n{}", "/v1/traces", **spoken).content
    )
    assert 1 == partial.partial_success.rejected_spans
    for nothing in (b"", b"\n\x00"):
        assert 400 > site.post(nothing, "/v1/traces", **spoken).status_code
    bad = site.post(b"nonsense", "/v1/traces", **spoken)
    assert 400 == bad.status_code
    assert b"\x08\x03\x12" == bad.content[:3]


def test_an_otlp_json_sender_too(site: Site) -> None:
    spoken = {"content-type": "application/json; charset=utf-8"}
    assert {} == site.post(event(), "/v1/logs", **spoken).json()
    partial = site.post(event() + b"\n{}", "/v1/logs", **spoken)
    assert (200, JSON) == (partial.status_code, partial.headers["content-type"])
    assert "1" == partial.json()["partialSuccess"]["rejectedLogRecords"]
    assert 3 == site.post(b"nonsense", "/v1/logs", **spoken).json()["code"]


def test_records_that_are_refused_without_being_listed_are_counted_in_every_answer(
    site: Site,
) -> None:
    rejected = [Rejected("", "no span", b"a", 1), Rejected("", "999 further", b"b", 2, 999)]
    site.ingest.adapt = lambda *_: Adapted([event()], rejected, 0)
    answer = site.post(event(), "/v1/traces", **{"content-type": JSON})
    assert "1000" == answer.json()["partialSuccess"]["rejectedSpans"]
    assert (1, 1000) == tuple(site.post(event()).json()[name] for name in ("accepted", "rejected"))


def test_health_readiness_and_metrics_tell_the_truth(site: Site) -> None:
    site.post(event() + b"\n{}")
    assert 200 == site.get("/healthz").status_code
    assert 200 == site.get("/readyz").status_code
    site.problems.append("no progress for 31 s")
    ready = site.get("/readyz")
    assert (503, "no progress for 31 s\n") == (ready.status_code, ready.text)
    text = site.get("/metrics").text
    assert 'tripmeter_events_total{source="gateway"} 1.0' in text
    assert 'tripmeter_rejected_total{reason="Field required",source="gateway"} 1.0' in text


def test_numbers_in_reasons_do_not_use_up_the_labels() -> None:
    metrics = Metrics()
    for number in range(2 * MAX_REASONS):
        metrics.rejected("gateway", f"{number} further records, {number / 8} kept")
    metrics.rejected("gateway", "Field required")
    told = [line for line in metrics.text().decode().splitlines() if "reason=" in line]
    assert {
        'tripmeter_rejected_total{reason="N further records, N kept",source="gateway"} 128.0',
        'tripmeter_rejected_total{reason="Field required",source="gateway"} 1.0',
    } == {line for line in told if "_total{" in line}


def test_where_others_can_connect_only_a_token_for_metrics_sees_all_senders(tmp_path: Path) -> None:
    site = Site(tmp_path, listen="0.0.0.0:0", allow_remote=True)
    site.problems.append("no progress for 31 s with 7 events waiting")
    watching = {"authorization": "Bearer prometheus-secret-01"}
    answers = [
        (answer.status_code, answer.text.strip())
        for headers in ({}, GATEWAY, watching)
        for answer in (site.request("GET", "/readyz", headers=headers),)
    ]
    assert [(503, "not ready"), (503, "not ready"), (503, site.problems[0])] == answers
    assert [401, 403, 200] == [
        site.request("GET", "/metrics", headers=headers).status_code
        for headers in ({}, GATEWAY, watching)
    ]
    assert 403 == site.post(event("acme"), **watching).status_code  # it writes for nobody
    assert 200 == site.get("/healthz").status_code


def test_unknown_paths_and_methods_are_refused(site: Site) -> None:
    assert 404 == site.post(event(), "/v1/metrics").status_code
    assert 405 == site.get("/ingest/canonical").status_code
