"""One incident: its story, its habit and the break, what to do; as a page and as a drawer."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from alerts.feed.context import Feed
from alerts.feed.identity import Identity
from alerts.feed.render import pretty
from alerts.feed.story import runbook_page, tell, ticket
from alerts.feed.usage import drawn, feature_name
from alerts.incident import Incident
from alerts.ocsf import to_ocsf

BEFORE = timedelta(days=4)  # of habit, drawn before an incident
AFTER = timedelta(hours=12)
PRIVATE = ("credential", "session")  # lanes whose usage is one tenant's own


def router(feed: Feed) -> APIRouter:
    """Its routes."""
    routes = APIRouter(include_in_schema=False)
    viewer = Depends(feed.guard.person("viewer"))

    def shown(request: Request, who: Identity, id: str, template: str) -> HTMLResponse:
        incident = feed.incident(id, who)
        told = feed.findings(incident, who)
        story = tell(told)
        related = feed.feeds.related(incident, story.addresses, who)
        return feed.page(
            template,
            request,
            who,
            incident=incident,
            story=story,
            related=[(r.why, feed.shown([r.incident], who)[0]) for r in related],
            runbook=runbook_page(feed.runbooks, story.lead.detector) if story.lead else None,
            features=chartable(feed, who, incident),
            ticket=ticket(incident, story, _link(feed, request, incident)),
            raw=pretty(
                [to_ocsf(f, incident=incident) for f in (each.finding for each in told[-20:])]
            ),
        )

    @routes.get("/incidents/{id}")
    def page(request: Request, id: str, who: Annotated[Identity, viewer]) -> HTMLResponse:
        """The page."""
        return shown(request, who, id, "incident.html")

    @routes.get("/incidents/{id}/drawer")
    def drawer(request: Request, id: str, who: Annotated[Identity, viewer]) -> HTMLResponse:
        """The same beside the list."""
        return shown(request, who, id, "drawer.html")

    @routes.get("/incidents/{id}/chart.json")
    def chart(id: str, who: Annotated[Identity, viewer], feature: str = "") -> Response:
        """Its entity's usage around it, with the band of what is usual."""
        incident = feed.incident(id, who)
        if not may_draw(feed, who, incident.entity.lane, incident.entity.id):
            return JSONResponse({"columns": None})
        begin, end = incident.since - BEFORE, incident.last + AFTER
        entity = incident.entity
        windows = feed.usage.windows(entity.lane, entity.id, begin.timestamp(), end.timestamp())
        marks = [
            {"time": each.first.timestamp(), "name": each.finding.detector}
            for each in feed.findings(incident, who)
        ]
        name = feature[:64] or "tokens"
        return JSONResponse(
            {
                "name": feature_name(name),
                "columns": drawn(windows, name) if windows else None,
                "marks": marks[:50],
            }
        )

    @routes.get("/incidents/{id}/ocsf.json")
    def raw(id: str, who: Annotated[Identity, viewer]) -> Response:
        """Its findings as a SIEM gets them."""
        incident = feed.incident(id, who)
        records = [to_ocsf(t.finding, incident=incident) for t in feed.findings(incident, who)]
        name = f'attachment; filename="incident-{incident.id}.json"'
        return Response(pretty(records), 200, {"content-disposition": name}, "application/json")

    @routes.get("/incidents/{id}/ticket.txt")
    def text(request: Request, id: str, who: Annotated[Identity, viewer]) -> Response:
        """It as text for a ticket."""
        incident = feed.incident(id, who)
        story = tell(feed.findings(incident, who))
        return PlainTextResponse(ticket(incident, story, _link(feed, request, incident)))

    return routes


def may_draw(feed: Feed, who: Identity, lane: str, id: str) -> bool:
    """Whether somebody may see an entity's usage: those of some tenants only what is all theirs."""
    if who.tenants is None:
        return True
    tenants = feed.feeds.tenants_of(lane, id)
    return lane in PRIVATE and bool(tenants) and all(who.sees(tenant) for tenant in tenants)


def chartable(feed: Feed, who: Identity, incident: Incident) -> list[tuple[str, str]]:
    """Features of its entity that can be drawn: those with a habit first."""
    entity = incident.entity
    if not may_draw(feed, who, entity.lane, entity.id):
        return []
    end = (incident.last + AFTER).timestamp()
    begin = (incident.since - BEFORE).timestamp()
    return features_of(feed.usage.windows(entity.lane, entity.id, begin, end))


def features_of(windows: list[Any]) -> list[tuple[str, str]]:
    """Features of windows, as name and words."""
    names: dict[str, None] = {}
    for window in windows:
        names |= dict.fromkeys(window.usual)
    for window in windows:
        names |= dict.fromkeys(name for name, value in window.totals.items() if value)
    return [(name, feature_name(name)) for name in names][:12]


def _link(feed: Feed, request: Request, incident: Incident) -> str:
    base = feed.settings.public_url or str(request.base_url).rstrip("/")
    return f"{base}/incidents/{incident.id}"
