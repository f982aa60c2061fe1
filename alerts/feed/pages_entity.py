"""One key, session, tool or address over time; and a tenant."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from alerts.feed.context import Feed
from alerts.feed.filters import MAX_TEXT
from alerts.feed.identity import Denied, Identity
from alerts.feed.overview import spend_by_key
from alerts.feed.pages_incident import features_of, may_draw, windows_of
from alerts.feed.redact import incident_for
from alerts.feed.story import met
from alerts.feed.usage import Hour, drawn, feature_name
from alerts.incident import Incident
from schemas.finding import LANES, Entity

SPAN = timedelta(days=30)
DAY = timedelta(days=1)
MAX_ENTITIES = 50  # of a tenant, with their usage


def router(feed: Feed) -> APIRouter:
    """Its routes."""
    routes = APIRouter(include_in_schema=False)
    viewer = Depends(feed.guard.person("viewer"))

    def known(lane: str, id: str, who: Identity) -> Entity:
        id = id[:MAX_TEXT]
        kind = next((each for each in LANES if each == lane), None)
        if kind is None or not id:
            raise Denied(404, "there is no such entity")
        if who.tenants is not None and not feed.feeds.of_entity(lane, id, who, 1):
            raise Denied(404, "there is no such entity, or it is not yours to see")
        return Entity(lane=kind, id=id)

    @routes.get("/entities/{lane}")
    def entity(
        request: Request, lane: str, who: Annotated[Identity, viewer], id: str = ""
    ) -> HTMLResponse:
        """Its incidents, what it was met with, usage, habit and silences."""
        found = known(lane, id, who)
        now = feed.now()
        incidents = feed.shown(feed.feeds.of_entity(lane, found.id, who), who)
        windows = windows_of(feed, who, found, now - SPAN, now + DAY)
        silences = [s for s in feed.desk.silences.list(now) if s.control.entity == found]
        tenants = {i.tenant for i in incidents} | {w.tenant for w in windows}
        return feed.page(
            "entity.html",
            request,
            who,
            lane=lane,
            id=found.id,
            incidents=incidents,
            naming=feed.shown(feed.feeds.naming(lane, found.id, who), who),
            tenants=sorted(name for name in tenants if name),
            silences=silences if who.tenants is None else [],
            met=met([told.finding for i in incidents[:10] for told in feed.findings(i, who)]),
            features=features_of(windows),
            windows=len(windows),
            calls=sum(w.totals.get("calls", 0) for w in windows),
            spent=sum(w.cost_usd for w in windows),
            first=min([*(w.start for w in windows), *_times(incidents)], default=None),
            last=max([*(w.end for w in windows), *_times(incidents)], default=None),
        )

    @routes.get("/entities/{lane}/chart.json")
    def chart(
        lane: str, who: Annotated[Identity, viewer], id: str = "", feature: str = ""
    ) -> Response:
        """Its usage, with the band of what is usual and where incidents began."""
        found = known(lane, id, who)
        windows = windows_of(feed, who, found, feed.now() - SPAN, feed.now() + DAY)
        name = feature[:64] or "tokens"
        marks = [
            {"time": i.since.timestamp(), "name": incident_for(who, i, feed.known(who)).title[:80]}
            for i in feed.feeds.of_entity(lane, found.id, who, 50)
        ]
        columns = drawn(windows, name) if windows else None
        return JSONResponse({"name": feature_name(name), "columns": columns, "marks": marks})

    @routes.get("/tenants")
    def tenant(
        request: Request, who: Annotated[Identity, viewer], tenant: str = ""
    ) -> HTMLResponse:
        """A tenant: its incidents, its keys and sessions, and what those spent."""
        tenant = tenant[:MAX_TEXT]
        now = feed.now()
        found = feed.feeds.of_tenant(tenant, who) if who.sees(tenant) else []
        named = {i.entity.id for i in found if i.entity.lane == "credential"}
        day = [hour for hour in feed.last_day() if who.sees(tenant) and _whose(hour, tenant, named)]
        if not found and not day:
            raise Denied(404, "there is no such tenant, or it is not yours to see")
        keys = list(dict.fromkeys([*sorted(named), *(hour.entity for hour in day)]))[:MAX_ENTITIES]
        may = [id for id in keys if id not in named or may_draw(feed, who, "credential", id)]
        month = feed.usage.hours((now - SPAN).timestamp(), may)
        spent = {s.name: s for s in spend_by_key([h for h in month if _whose(h, tenant, named)])}
        today = {s.name: s for s in spend_by_key([h for h in day if h.entity in may])}
        counts: dict[tuple[str, str], int] = {("credential", key): 0 for key in keys}
        for incident in found:
            at = (incident.entity.lane, incident.entity.id)
            counts[at] = counts.get(at, 0) + 1
        rows: list[tuple[str, str, int, Any, Any]] = [
            (lane, id, count, today.get(id), spent.get(id)) for (lane, id), count in counts.items()
        ]
        rows.sort(key=lambda row: (-(row[4].cost_usd if row[4] else 0.0), -row[2]))
        return feed.page(
            "tenant.html",
            request,
            who,
            tenant=tenant,
            incidents=feed.shown(found, who),
            entities=rows[: 2 * MAX_ENTITIES],
            day=sum(s.cost_usd for s in today.values()),
            usual=sum(s.usual_usd for s in today.values()),
            spent=sum(s.cost_usd for s in spent.values()),
            silences=[s for s in feed.desk.silences.list(now) if s.control.tenant == tenant],
        )

    return routes


def _whose(hour: Hour, tenant: str, named: set[str]) -> bool:
    """Whether an hour is a tenant's; where it names none, incidents that name its key decide."""
    return hour.tenant == tenant if hour.tenant else hour.entity in named


def _times(incidents: list[Incident]) -> list[float]:
    moments: list[datetime] = [m for i in incidents for m in (i.since, i.last)]
    return [moment.timestamp() for moment in moments]
