"""The overview: how many incidents there were, who spends, and whether we would know."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from alerts.feed.context import Feed
from alerts.feed.filters import Filter
from alerts.feed.histogram import Grid, stacked
from alerts.feed.identity import Identity
from alerts.feed.overview import MAX_TENANTS, families, movers, owned, spend_by_tenant
from alerts.feed.usage import MAX_HOURS

DAYS = 14
DAY_S = 86_400
KEPT_S = 15.0  # seconds it is given again


def router(feed: Feed) -> APIRouter:
    """Its routes."""
    routes = APIRouter(include_in_schema=False)
    viewer = Depends(feed.guard.person("viewer"))

    def look(who: Identity) -> dict[str, Any]:
        now = feed.now()
        hours = feed.last_day()
        nameless = list({hour.entity for hour in hours if hour.tenant is None})
        found = owned(hours, feed.feeds.entity_tenants("credential", nameless))
        mine = [hour for hour in found if who.sees(hour.tenant)]
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        grid = Grid(midnight - timedelta(days=DAYS - 1), DAY_S, DAYS)
        counted = feed.feeds.opened(Filter(view="all"), who, now, grid.begin, DAY_S)
        spend = spend_by_tenant(mine)
        return {
            "spend": spend[:MAX_TENANTS],
            "others": len(spend) - MAX_TENANTS,
            "cut": mine[-1].start if len(hours) >= MAX_HOURS and mine else None,
            "movers": movers(mine),
            "days": stacked(counted, grid),
            "families": families(counted),
        }

    @routes.get("/overview")
    def overview(request: Request, who: Annotated[Identity, viewer]) -> HTMLResponse:
        """Counts, spend, movers and health."""
        shown = feed.keep(("overview", who.tenants), KEPT_S, lambda: look(who))
        return feed.page("overview.html", request, who, **shown)

    return routes
