"""The feed for machines: incidents as JSON, findings as OCSF lines, with cursors that lose nothing.

A cursor is the number of a record; whoever keeps it and asks again gets what came since, once.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Body, Depends, Path, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from alerts.feed.context import Feed
from alerts.feed.filters import MAX_TEXT, Filter
from alerts.feed.identity import Denied, Identity
from alerts.feed.pages_actions import Deed, act
from alerts.feed.queries import BadCursor
from alerts.feed.redact import finding_for
from alerts.incident import MAX_TOLD, Incident, Verb
from alerts.ocsf import to_ocsf
from schemas.finding import Family, Finding, Lane, Severity

MAX_LIMIT = 1000
MAX_WAIT_S = 30.0
LOOK_S = 0.5  # between looks while somebody waits
PING_S = 15.0
BIG = 2**62  # beyond any cursor of ours
CURSOR, LOST = "tripmeter-cursor", "tripmeter-lost"
OPENAPI_AT = "/api/openapi.json"


class Fault(BaseModel):
    """Why not."""

    error: str


class IncidentOut(BaseModel):
    """An incident; the fields of its revisions are explained in docs/incidents.md."""

    model_config = ConfigDict(extra="allow")

    id: str
    revision: int
    state: str
    severity: str
    family: str
    title: str
    summary: str
    tenant: str | None
    owner: str | None
    cost_usd: float | None
    active: bool
    url: str


class IncidentsOut(BaseModel):
    """A page of incidents."""

    incidents: list[IncidentOut]
    next: str | None = Field(description="give it back as `cursor`; null on the last page")


class ActionIn(BaseModel):
    """What to do to an incident."""

    model_config = ConfigDict(extra="forbid")

    verb: Verb
    reason: Annotated[str, Field(max_length=MAX_TOLD)] = ""
    lasts: Annotated[str, Field(description="30m, 4h, 7d", max_length=6)] = ""
    owner: Annotated[str, Field(max_length=128)] = ""


_FAULTS: dict[int | str, dict[str, Any]] = {
    code: {"model": Fault} for code in (400, 401, 403, 404, 409, 503)
}
_LINES = {
    "description": "One OCSF 1.8 Detection Finding a line, or server-sent events",
    "content": {
        "application/x-ndjson": {"schema": {"type": "string"}},
        "text/event-stream": {"schema": {"type": "string"}},
    },
    "headers": {
        "Tripmeter-Cursor": {
            "description": "give it back as `after`",
            "schema": {"type": "string"},
        },
        "Tripmeter-Lost": {
            "description": "so many records went before they were read",
            "schema": {"type": "string"},
        },
    },
}

Text = Annotated[str, Query(max_length=MAX_TEXT)]


def router(feed: Feed) -> APIRouter:
    """Its routes."""
    routes = APIRouter(prefix="/api", tags=["machine feed"], responses=_FAULTS)
    incidents_of = Depends(feed.guard.program("incidents"))
    findings_of = Depends(feed.guard.program("findings"))
    actor = Depends(feed.guard.program("act"))

    def out(request: Request, who: Identity, found: list[Incident]) -> list[dict[str, Any]]:
        base = feed.settings.public_url or str(request.base_url).rstrip("/")
        return [
            {
                **incident.model_dump(mode="json"),
                "cost_usd": incident.cost_usd,
                "active": incident.active,
                "url": f"{base}/incidents/{incident.id}",
            }
            for incident in feed.shown(found, who)
        ]

    @routes.get("/incidents", response_model=IncidentsOut)
    def incidents(
        request: Request,
        who: Annotated[Identity, incidents_of],
        view: Text = "all",
        severity: Annotated[Severity | None, Query()] = None,
        family: Annotated[Family | None, Query()] = None,
        tenant: Text = "",
        lane: Annotated[Lane | None, Query()] = None,
        entity: Text = "",
        owner: Text = "",
        detector: Text = "",
        since: Text = "",
        start: Annotated[str, Query(max_length=16, description="opened then or later, UTC")] = "",
        until: Annotated[str, Query(max_length=16, description="opened before, UTC")] = "",
        q: Text = "",
        sort: Text = "last",
        cursor: Annotated[str, Query(max_length=400)] = "",
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 100,
    ) -> Response:
        """Incidents, as the list of the page filters and sorts them, page by page."""
        wanted = Filter.of(
            {
                "view": view, "severity": severity or "", "family": family or "", "tenant": tenant,
                "lane": lane or "", "entity": entity, "owner": owner, "detector": detector,
                "since": since, "start": start, "until": until, "q": q, "sort": sort,
            }
        )  # fmt: skip
        try:
            page = feed.feeds.page(wanted, who, feed.now(), cursor, limit)
        except BadCursor as error:
            raise Denied(400, str(error)) from None
        return JSONResponse({"incidents": out(request, who, page.incidents), "next": page.next})

    @routes.get("/incidents/{id}", response_model=IncidentOut)
    def incident(
        request: Request, id: Annotated[str, Path(max_length=64)],
        who: Annotated[Identity, incidents_of],
    ) -> Response:  # fmt: skip
        """One incident."""
        return JSONResponse(out(request, who, [feed.incident(id, who)])[0])

    @routes.post("/incidents/{id}/actions", response_model=IncidentOut)
    def action(
        request: Request,
        id: Annotated[str, Path(max_length=64)],
        who: Annotated[Identity, actor],
        wanted: Annotated[ActionIn, Body()],
    ) -> Response:
        """Does something to an incident, as the buttons of the page do."""
        feed.incident(id, who)
        deed = Deed(wanted.verb, wanted.reason, wanted.lasts, wanted.owner)
        done, failed = act(feed, who, [id], deed)
        if not done:
            raise Denied(409, "; ".join(failed))
        feed.note(request, who.name, deed.verb, id, deed.reason)
        return JSONResponse(out(request, who, done)[0])

    def look(who: Identity, after: int, limit: int) -> tuple[list[tuple[int, bytes]], int]:
        """Numbered OCSF lines, and the last number that was looked at."""
        newest = feed.feeds.newest_finding()  # before the rows: what comes between is told again
        rows = feed.feeds.findings_after(after, who, limit)
        tenants = feed.known(who)
        ids = [of for _, _, of in rows if of]
        known = feed.feeds.some(ids, who) if len(ids) <= 500 else {}
        lines = []
        for number, body, of in rows:
            finding = finding_for(who, Finding.model_validate_json(body), tenants)
            record = to_ocsf(finding)
            if of is not None:
                record["unmapped"]["incident"] = {"id": of}
                if of in known:
                    record["unmapped"]["incident"]["state"] = known[of].state
            lines.append((number, json.dumps(record, separators=(",", ":")).encode()))
        if len(rows) == limit:
            return lines, rows[-1][0]
        return lines, max(after, newest, *(number for number, _, _ in rows[-1:]))

    @routes.get("/findings", response_class=Response, responses={200: _LINES})
    async def findings(
        request: Request,
        who: Annotated[Identity, findings_of],
        after: Annotated[int, Query(ge=0, le=BIG, description="the last cursor; 0: all")] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 500,
        wait: Annotated[float, Query(ge=0, le=MAX_WAIT_S, description="seconds to wait")] = 0,
    ) -> Response:
        """Finding revisions in the order they came, from a cursor on.

        With `Accept: text/event-stream` the answer does not end; event ids are cursors.
        """
        last = request.headers.get("last-event-id", "")
        if last.isascii() and last.isdigit() and len(last) < 19:
            after = int(last)
        lost = await to_thread.run_sync(_lost, feed, after)
        headers = {LOST: str(lost)} if lost else {}
        if "text/event-stream" in request.headers.get("accept", ""):
            if feed.readers >= feed.settings.max_streams:
                raise Denied(503, "too many live connections are open")
            return StreamingResponse(
                _events(feed, look, who, after), headers=headers, media_type="text/event-stream"
            )
        end = time.monotonic() + wait
        while True:
            lines, cursor = await to_thread.run_sync(look, who, after, limit)
            if lines or time.monotonic() >= end or feed.hub.closing:
                break
            if await request.is_disconnected():
                break
            await asyncio.sleep(LOOK_S)
        body = b"".join(line + b"\n" for _, line in lines)
        return Response(body, 200, {**headers, CURSOR: str(cursor)}, "application/x-ndjson")

    @routes.get("/feed.json", response_class=Response)
    def json_feed(request: Request, who: Annotated[Identity, incidents_of]) -> Response:
        """The newest incidents as JSON Feed 1.1, for readers of feeds."""
        page = feed.feeds.page(Filter(view="all"), who, feed.now())
        base = feed.settings.public_url or str(request.base_url).rstrip("/")
        items = [
            {
                "id": f"{base}/incidents/{i.id}",
                "url": f"{base}/incidents/{i.id}",
                "title": f"[{i.severity}] {i.title}",
                "content_text": i.summary,
                "date_published": i.opened.isoformat(),
                "date_modified": i.changed.isoformat(),
                "tags": [i.family, i.state, i.severity, *i.detectors],
            }
            for i in feed.shown(page.incidents, who)
        ]
        body = {
            "version": "https://jsonfeed.org/version/1.1",
            "title": "Tripmeter incidents",
            "home_page_url": f"{base}/",
            "feed_url": f"{base}/api/feed.json",
            "items": items,
        }
        return Response(json.dumps(body), 200, {}, "application/feed+json")

    return routes


def _lost(feed: Feed, after: int) -> int:
    """How many records after a cursor went before they were read."""
    oldest = feed.feeds.oldest_finding()
    return max(0, oldest - after - 1) if after > 0 and oldest else 0


async def _events(feed: Feed, look: Any, who: Identity, after: int) -> AsyncIterator[bytes]:
    pinged = time.monotonic()
    feed.readers += 1
    try:
        yield b"retry: 1000\n\n"
        while not feed.hub.closing:
            lines, after = await to_thread.run_sync(look, who, after, 200)
            for number, line in lines:
                yield b"id: %d\nevent: finding\ndata: %s\n\n" % (number, line)
            if not lines:
                await asyncio.sleep(LOOK_S)
            if time.monotonic() - pinged > PING_S:
                pinged = time.monotonic()
                if not await to_thread.run_sync(feed.sessions.alive, who):
                    return
                yield b": alive\n\n"
    finally:
        feed.readers -= 1
