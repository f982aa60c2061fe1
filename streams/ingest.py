"""The ingest endpoints: bytes of a sender become journal lines, or a reason why not.

A 2xx means that every accepted event is on the disk, and that everything refused is counted and
(up to a bound, which an entry there names when it is reached) in the quarantine. Anything else
means that nothing is promised, and most of it may be sent again.
"""

import asyncio
import json
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from schemas.adapters.base import Adapted
from schemas.finding import Finding
from streams.admit import TENANT_MISMATCH, admit
from streams.body import BodyError, Budget, read_body
from streams.journal import JournalFull
from streams.metrics import CONTENT_TYPE, Metrics
from streams.otlp_answers import JSON, PROTOBUF, exported, refused
from streams.own_findings import Mismatches
from streams.quarantine import Refused, bundle
from streams.settings import ServerSettings
from streams.tokens import Token, Tokens

MAX_ERRORS_TOLD = 10  # of one request
LOOK_BYTES = 1000  # of a body, to see what it may be
BODY_TIMEOUT_S = 60.0
RETRY_AFTER_S = 5
COMPLAIN_EVERY_S = 10.0  # a full disk is one line a while, not one a request
FORMATS = {
    "/v1/traces": "otlp-traces",
    "/v1/logs": "otlp-logs",
    "/ingest/litellm": "litellm",
    "/ingest/canonical": "canonical",
}

log = logging.getLogger("tripmeter.ingest")

Adapt = Callable[[bytes, str, str, datetime], Adapted]  # body, format, sender, arrival


class Appender(Protocol):
    """Where accepted lines go: the journal, or a topic."""

    def submit(self, source: str, lines: Sequence[bytes]) -> "Future[Any]":
        """Stores lines; the future ends when they are safe, or with `JournalFull` or OSError."""


class Keeper(Protocol):
    """Where refused records go; OSError or sqlite3.Error when they cannot be kept now."""

    def add(self, refused: Refused) -> object:
        """Keeps one."""

    def add_all(self, refused: Sequence[Refused]) -> object:
        """Keeps several."""


@dataclass(slots=True)
class Outcome:
    """What became of one body: lines to store, and what was refused (with its index)."""

    lines: list[bytes] = field(default_factory=list)
    refused: list[tuple[int, Refused]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    ignored: int = 0
    denied: int = 0  # of the refused, those of a tenant the token may not write
    unlisted: int = 0  # refused beyond those that are listed

    @property
    def rejected(self) -> int:
        """All that were refused, listed or not."""
        return len(self.refused) + self.unlisted

    def summary(self) -> str:
        """One line for the sender; values are never repeated."""
        told = [
            f"{item.place}: {item.field}: {item.reason}"
            for _, item in self.refused[:MAX_ERRORS_TOLD]
        ]
        return "; ".join(told)


@dataclass
class Ingest:
    """Everything the endpoints need; `app()` is what a server runs."""

    settings: ServerSettings
    tokens: Tokens
    journal: Appender
    quarantine: Keeper
    metrics: Metrics
    adapt: Adapt
    record: Callable[[Sequence[Finding]], object]
    ready: Callable[[], list[str]]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(self.settings.adapter_threads, "adapter")
        self._budget = Budget(self.settings.max_bytes_in_flight)
        self._mismatches = Mismatches()
        self._complained = float("-inf")

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [Route(path, self._receive, methods=["POST"]) for path in FORMATS]
        routes += [
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", self._metrics),
        ]
        return Starlette(routes=routes)

    def close(self) -> None:
        """Waits for the adapters."""
        self._pool.shutdown()

    async def _healthz(self, _: Request) -> Response:
        return Response("ok\n")

    async def _readyz(self, request: Request) -> Response:
        loop = asyncio.get_running_loop()
        reasons = await loop.run_in_executor(None, self.ready)
        if reasons and self._withheld(request):
            reasons = ["not ready"]
        return Response("\n".join(reasons or ["ready"]) + "\n", 503 if reasons else 200)

    def _withheld(self, request: Request) -> int:
        """The status for somebody who may not see what all senders together do; 0 if he may."""
        if not self.settings.allow_remote:
            return 0
        token = self.tokens.authenticate(request.headers.get("authorization"))
        if token is None:
            return 401
        return 0 if token.metrics else 403

    async def _metrics(self, request: Request) -> Response:
        if status := self._withheld(request):
            need = "a token with `metrics = true` is needed, for others can connect"
            return _error(request.url.path, JSON, status, need)
        loop = asyncio.get_running_loop()
        text = await loop.run_in_executor(None, self.metrics.text)
        return Response(text, headers={"content-type": CONTENT_TYPE})

    async def _receive(self, request: Request) -> Response:
        began = time.monotonic()
        path = request.url.path
        try:
            answer = await self._answer(request, path)
        except ClientDisconnect:
            answer = Response(status_code=499)
        self.metrics.requests.labels(path, answer.status_code).inc()
        self.metrics.latency.labels(path).observe(time.monotonic() - began)
        return answer

    async def _answer(self, request: Request, path: str) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        token = self.tokens.authenticate(request.headers.get("authorization"))
        if token is None:
            self.metrics.rejected("", "unauthorized")
            return _error(path, kind, 401, "a valid bearer token is needed")
        if path.startswith("/v1/") and kind not in (PROTOBUF, JSON):
            return _error(path, kind, 415, f"Content-Type must be {PROTOBUF} or {JSON}")
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                body, held = await read_body(
                    request.stream(),
                    request.headers.get("content-encoding", "").strip().lower(),
                    request.headers.get("content-length"),
                    max_body=self.settings.max_body_bytes,
                    max_inflated=self.settings.max_inflated_bytes,
                    budget=self._budget,
                )
        except TimeoutError:
            return _error(path, kind, 408, f"the body took more than {BODY_TIMEOUT_S:g} s")
        except BodyError as error:
            if error.status in (400, 413):
                await self._keep_head(path, token, error)
            return _error(path, kind, error.status, str(error))
        try:
            outcome = await self._store(body, path, token)
        except JournalFull as error:
            self._complain(str(error))
            return _error(path, kind, 503, "events cannot be stored now; send them again")
        except (sqlite3.Error, OSError) as error:
            self._complain(type(error).__name__)
            return _error(path, kind, 503, "events cannot be stored now; send them again")
        finally:
            self._budget.give(held)
        return _told(path, kind, outcome, body)

    async def _store(self, body: bytes, path: str, token: Token) -> Outcome:
        loop = asyncio.get_running_loop()
        observed = self.now()
        outcome, stored = await loop.run_in_executor(
            self._pool, self._submitted, body, path, token, observed
        )
        if stored is not None:
            await asyncio.wrap_future(stored)
        if outcome.refused:
            await loop.run_in_executor(self._pool, self._put_away, outcome)
        if outcome.findings:
            await loop.run_in_executor(self._pool, self.record, outcome.findings)
        self._count(token, outcome)
        return outcome

    def _submitted(
        self, body: bytes, path: str, token: Token, observed: datetime
    ) -> tuple[Outcome, "Future[Any] | None"]:
        """What takes long, and therefore happens in the pool: adapting, sorting, compressing."""
        outcome = self._judge_body(body, path, token, observed)
        return outcome, self.journal.submit(token.name, outcome.lines) if outcome.lines else None

    def _put_away(self, outcome: Outcome) -> None:
        self.quarantine.add_all(bundle([item for _, item in outcome.refused]))

    def _judge_body(self, body: bytes, path: str, token: Token, observed: datetime) -> Outcome:
        try:
            return self._sort(body, path, token, observed)
        except Exception as error:  # a fault of ours must not lose what the sender gave us
            log.error("adapter %s failed: %s", FORMATS[path], type(error).__name__)
            reason = f"the adapter failed ({type(error).__name__})"
            return Outcome(
                refused=[(0, Refused(token.name, path, FORMATS[path], "", reason, body))]
            )

    def _sort(self, body: bytes, path: str, token: Token, observed: datetime) -> Outcome:
        format = FORMATS[path]
        if format.startswith("otlp") and not _may_be_otlp(body):
            reason = "neither a JSON object nor an OTLP message"
            return Outcome(refused=[(0, Refused(token.name, path, format, "", reason, body))])
        adapted = self.adapt(body, format, token.name, observed)
        ahead = timedelta(seconds=self.settings.clock_ahead_s)
        verdict = admit(adapted.events, token, observed, ahead)
        outcome = Outcome(lines=verdict.events, ignored=adapted.ignored)

        def refuse(index: int, format: str, field: str, reason: str, raw: bytes) -> None:
            item = Refused(token.name, f"{path}[{index}]", format, field, reason, raw)
            outcome.refused.append((index, item))

        if _means_nothing(body, format, adapted):
            refuse(0, format, "", "no record in it", body)
        for bad in adapted.rejections:
            refuse(bad.index, format, bad.field, bad.reason, bad.raw)
            outcome.unlisted += bad.count - 1
        for denied in verdict.denied:
            refuse(denied.index, "canonical", denied.field, denied.reason, denied.raw)
            if denied.tenant is not None:
                outcome.denied += 1
                found = self._mismatches.finding(token.name, denied.tenant, observed)
                if found is not None:
                    outcome.findings.append(found)
        return outcome

    async def _keep_head(self, path: str, token: Token, error: BodyError) -> None:
        self.metrics.rejected(token.name, str(error))
        item = Refused(token.name, path, FORMATS[path], "", str(error), error.head)
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._pool, self.quarantine.add, item)
        except (sqlite3.Error, OSError):
            log.error("a refused body could not be kept: the quarantine cannot be written")

    def _complain(self, reason: str) -> None:
        if time.monotonic() - self._complained >= COMPLAIN_EVERY_S:
            self._complained = time.monotonic()
            log.error("events cannot be stored and are answered with 503: %s", reason)

    def _count(self, token: Token, outcome: Outcome) -> None:
        self.metrics.events.labels(token.name).inc(len(outcome.lines))
        self.metrics.ignored.labels(token.name).inc(outcome.ignored)
        for reason, count in Counter(item.reason for _, item in outcome.refused).items():
            self.metrics.rejected(token.name, reason, count)
        if outcome.unlisted:
            self.metrics.rejected(token.name, "not listed one by one", outcome.unlisted)


def _may_be_otlp(body: bytes) -> bool:
    """By its first byte: a JSON object, or the only field an export request has."""
    return body[:1] in (b"", b"\n") or body[:LOOK_BYTES].lstrip()[:1] in (b"", b"{")


def _means_nothing(body: bytes, format: str, adapted: Adapted) -> bool:
    """Whether a body gave nothing at all and is not one of the ways to say "no records"."""
    if adapted.events or adapted.rejections or adapted.ignored or format.startswith("otlp"):
        return False
    return len(body) > LOOK_BYTES or b"".join(body.split()) not in (b"", b"[]")


def _told(path: str, kind: str, outcome: Outcome, body: bytes) -> Response:
    """The answer: 4xx when nothing of the request was of use."""
    lost = outcome.refused and not outcome.lines and not outcome.ignored
    if lost and outcome.denied == len(outcome.refused):
        return _error(path, kind, 403, f"{TENANT_MISMATCH}: the token may not write these events")
    if path.startswith("/v1/"):
        if lost and len(outcome.refused) == 1 and outcome.refused[0][1].raw == body:
            return _error(path, kind, 400, outcome.summary())
        signal = path.removeprefix("/v1/")
        text = exported(kind, signal, outcome.rejected, outcome.summary())
        return Response(text, media_type=kind)
    answer = {
        "accepted": len(outcome.lines),
        "rejected": outcome.rejected,
        "ignored": outcome.ignored,
        "errors": [
            {"index": index, "field": item.field, "reason": item.reason}
            for index, item in outcome.refused[:MAX_ERRORS_TOLD]
        ],
    }
    return Response(json.dumps(answer) + "\n", 400 if lost else 200, media_type=JSON)


def _error(path: str, kind: str, status: int, message: str) -> Response:
    headers = {}
    if status == 503:
        headers["retry-after"] = str(RETRY_AFTER_S)
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if path.startswith("/v1/"):
        kind = JSON if kind == JSON else PROTOBUF
        return Response(refused(kind, status, message), status, headers, media_type=kind)
    return Response(json.dumps({"error": message}) + "\n", status, headers, media_type=JSON)
