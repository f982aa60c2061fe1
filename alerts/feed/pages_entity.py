"""One key, session, tenant, tool or address over time; and the overview of everything."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from alerts.feed.context import Feed
from alerts.feed.filters import MAX_TEXT
from alerts.feed.identity import Denied, Identity
from alerts.feed.overview import movers, over_time, spend
from alerts.feed.pages_incident import features_of, may_draw
from alerts.feed.redact import incident_for
from alerts.feed.usage import drawn, feature_name
from schemas.finding import LANES

SPAN = timedelta(days=30)
OVERVIEW = timedelta(days=14)
MAX_ENTITIES = 50  # of a tenant, with their usage
KEPT_S = 15.0  # seconds the overview is given again


def router(feed: Feed) -> APIRouter:
    """Its routes."""
    routes = APIRouter(include_in_schema=False)
    viewer = Depends(feed.guard.person("viewer"))

    def known(lane: str, id: str, who: Identity) -> str:
        id = id[:MAX_TEXT]
        if lane not in LANES or not id:
            raise Denied(404, "there is no such entity")
        if who.tenants is not None and not feed.feeds.of_entity(lane, id, who, 1):
            raise Denied(404, "there is no such entity, or it is not yours to see")
        return id

    @routes.get("/entities/{lane}")
    def entity(
        request: Request, lane: str, who: Annotated[Identity, viewer], id: str = ""
    ) -> HTMLResponse:
        """Its incidents, usage, habit and silences."""
        id = known(lane, id, who)
        now = feed.now()
        incidents = feed.shown(feed.feeds.of_entity(lane, id, who), who)
        end = now.timestamp() + 3600
        draws = may_draw(feed, who, lane, id)
        windows = feed.usage.windows(lane, id, end - SPAN.total_seconds(), end) if draws else []
        silences = [
            each
            for each in feed.desk.silences.list(now)
            if each.control.entity is not None
            and (each.control.entity.lane, each.control.entity.id) == (lane, id)
        ]
        return feed.page(
            "entity.html",
            request,
            who,
            lane=lane,
            id=id,
            incidents=incidents,
            tenants=sorted({i.tenant for i in incidents if i.tenant}),
            silences=silences if who.tenants is None else [],
            features=features_of(windows),
            windows=len(windows),
            calls=sum(w.totals.get("calls", 0) for w in windows),
            spent=sum(w.cost_usd for w in windows),
            first=windows[0].start if windows else None,
            last=windows[-1].end if windows else None,
        )

    @routes.get("/entities/{lane}/chart.json")
    def chart(
        lane: str, who: Annotated[Identity, viewer], id: str = "", feature: str = ""
    ) -> Response:
        """Its usage, with the band of what is usual and where incidents began."""
        id = known(lane, id, who)
        if not may_draw(feed, who, lane, id):
            return JSONResponse({"columns": None})
        end = feed.now().timestamp() + 3600
        windows = feed.usage.windows(lane, id, end - SPAN.total_seconds(), end)
        name = feature[:64] or "tokens"
        marks = [
            {"time": i.since.timestamp(), "name": incident_for(who, i, feed.known(who)).title[:80]}
            for i in feed.feeds.of_entity(lane, id, who, 50)
        ]
        columns = drawn(windows, name) if windows else None
        return JSONResponse({"name": feature_name(name), "columns": columns, "marks": marks})

    @routes.get("/tenants")
    def tenant(
        request: Request, who: Annotated[Identity, viewer], tenant: str = ""
    ) -> HTMLResponse:
        """A tenant: its incidents, the keys and sessions they name, and what those spent."""
        tenant = tenant[:MAX_TEXT]
        found = feed.feeds.of_tenant(tenant, who) if who.sees(tenant) else []
        if not found:
            raise Denied(404, "there is no such tenant, or it is not yours to see")
        now = feed.now()
        entities: dict[tuple[str, str], list[Any]] = {}
        for incident in feed.shown(found, who):
            key = (incident.entity.lane, incident.entity.id)
            entities.setdefault(key, []).append(incident)
        rows = []
        for (lane, id), own in list(entities.items())[:MAX_ENTITIES]:
            draws = may_draw(feed, who, lane, id)
            begin = now.timestamp() - SPAN.total_seconds()
            windows = feed.usage.windows(lane, id, begin, now.timestamp()) if draws else []
            rows.append((lane, id, len(own), sum(window.cost_usd for window in windows)))
        silences = [s for s in feed.desk.silences.list(now) if s.control.tenant == tenant]
        return feed.page(
            "tenant.html",
            request,
            who,
            tenant=tenant,
            incidents=feed.shown(found, who),
            entities=sorted(rows, key=lambda row: -row[3]),
            spent=sum(row[3] for row in rows),
            silences=silences,
        )

    @routes.get("/overview")
    def overview(request: Request, who: Annotated[Identity, viewer]) -> HTMLResponse:
        """How many incidents there were, who spends, and whether we would know."""

        def look() -> dict[str, Any]:
            now = feed.now()
            windows = feed.usage.recent("credential", now.timestamp() - 86_400)
            ids = list({window.entity for window in windows})
            owners = feed.feeds.entity_tenants("credential", ids)
            found = [(w, w.tenant or owners.get(w.entity)) for w in windows]
            mine = [(w, tenant) for w, tenant in found if who.sees(tenant)]
            opened = feed.feeds.opened((now - OVERVIEW).timestamp(), who, 86_400)
            return {
                "spend": spend(mine),
                "movers": movers(mine),
                "chart": over_time(opened, now - OVERVIEW, OVERVIEW.days),
            }

        shown = feed.keep(("overview", who.tenants), KEPT_S, look)
        return feed.page("overview.html", request, who, days=OVERVIEW.days, **shown)

    return routes
