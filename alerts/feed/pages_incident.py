"""One incident: its story, its habit and the break, what to do; as a page and as a drawer."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from alerts.feed.context import Feed
from alerts.feed.identity import Identity
from alerts.feed.render import pretty
from alerts.feed.story import runbook_page, tell, ticket
from alerts.feed.usage import Window, drawn, feature_name
from alerts.incident import Incident
from alerts.ocsf import to_ocsf
from alerts.outbox_log import tellings
from schemas.finding import Entity

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
        windows = around(feed, who, incident)
        related = feed.feeds.related(incident, story.met.get("Addresses", ()), who)
        return feed.page(
            template,
            request,
            who,
            incident=incident,
            story=story,
            related=[(r.why, feed.shown([r.incident], who)[0]) for r in related],
            runbook=runbook_page(feed.runbooks, story.lead.detector) if story.lead else None,
            features=features_of(windows),
            spent=spent_since(windows, incident),
            tellings=tellings(feed.feeds.engine, incident) if who.tenants is None else None,
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
        windows = around(feed, who, incident)
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


def windows_of(
    feed: Feed, who: Identity, entity: Entity, begin: datetime, end: datetime
) -> list[Window]:
    """An entity's windows, as far as somebody may see them."""
    if not may_draw(feed, who, entity.lane, entity.id):
        return []
    found = feed.usage.windows(entity.lane, entity.id, begin.timestamp(), end.timestamp())
    return [window for window in found if window.tenant is None or who.sees(window.tenant)]


def around(feed: Feed, who: Identity, incident: Incident) -> list[Window]:
    """The windows of its entity before, during and after an incident."""
    return windows_of(feed, who, incident.entity, incident.since - BEFORE, incident.last + AFTER)


def features_of(windows: list[Window]) -> list[tuple[str, str]]:
    """Features of windows, as name and words."""
    names: dict[str, None] = {}
    for window in windows:
        names |= dict.fromkeys(window.usual)
    for window in windows:
        names |= dict.fromkeys(name for name, value in window.totals.items() if value)
    return [(name, feature_name(name)) for name in names][:12]


def spent_since(windows: list[Window], incident: Incident) -> tuple[float, float] | None:
    """Dollars its key spent from the window it began in, and the most that would be usual."""
    own = [window for window in windows if window.end > incident.since.timestamp()]
    if incident.entity.lane != "credential" or not own:
        return None
    usual = sum(window.usual.get("nanousd", (0.0, 0.0))[1] for window in own)
    return sum(window.cost_usd for window in own), usual


def _link(feed: Feed, request: Request, incident: Incident) -> str:
    base = feed.settings.public_url or str(request.base_url).rstrip("/")
    return f"{base}/incidents/{incident.id}"
