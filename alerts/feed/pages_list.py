"""The list of incidents: pages, rows that changed, the live stream, saved views."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from sqlalchemy import delete, func, insert, select

from alerts.feed.conditions import FOUND
from alerts.feed.context import Feed
from alerts.feed.filters import MAX_TEXT, SINCE, SORTS, VIEWS, Filter
from alerts.feed.histogram import Grid, Step, stacked
from alerts.feed.identity import Denied, Identity
from alerts.feed.queries import COUNTED, BadCursor
from alerts.feed.tables import VIEWS as SAVED
from alerts.store_engine import reading, writing

MAX_SAVED = 50  # views of one person
MAX_ROWS = 100  # asked for again at once


def router(feed: Feed) -> APIRouter:
    """Its routes."""
    routes = APIRouter(include_in_schema=False)
    viewer = Depends(feed.guard.person("viewer"))

    @routes.get("/")
    def incidents(
        request: Request, who: Annotated[Identity, viewer], after: str = ""
    ) -> HTMLResponse:
        """The list; with `HX-Target: list` only its rows."""
        wanted = Filter.of(request.query_params)
        at = feed.feeds.last_change()  # before the rows: what comes between is told again
        try:
            said = feed.feeds.said(wanted.q)
            page = feed.feeds.page(wanted, who, feed.now(), after, said=said)
        except BadCursor as error:
            raise Denied(400, str(error)) from None
        part = request.headers.get("hx-target") == "list"
        opened = request.query_params.get("open", "")[:64]
        count = feed.keep(
            ("count", *_asked(wanted, who)), 5.0,
            lambda: feed.feeds.count(wanted, who, feed.now(), said),
        )  # fmt: skip
        return feed.page(
            "list_part.html" if part else "list.html",
            request,
            who,
            wanted=wanted,
            incidents=feed.shown(page.incidents, who),
            next=page.next,
            at=at,
            count=f"{count:,}" if count <= COUNTED else f"{COUNTED:,}+",
            views=VIEWS,
            sorts=SORTS,
            spans=list(SINCE),
            saved=[] if part else _saved(feed, who),
            opened=opened,
            crowded=FOUND if said is not None and len(said) > FOUND else 0,
            first=not after,
        )

    @routes.get("/histogram")
    def histogram(
        request: Request, who: Annotated[Identity, viewer], still: str = ""
    ) -> HTMLResponse:
        """When the incidents of a list were opened; `still` is for looking only."""
        wanted = Filter.of(request.query_params)

        def look() -> tuple[Grid, list[Step]]:
            grid = Grid.of(wanted, feed.now())
            counted = feed.feeds.opened(wanted, who, feed.now(), grid.begin, grid.step_s)
            return grid, stacked(counted, grid)

        grid, steps = feed.keep(("histogram", *_asked(wanted, who)), 10.0, look)
        return feed.page(
            "histogram.html", request, who, wanted=wanted, grid=grid, steps=steps, still=still
        )

    @routes.get("/rows")
    def more(request: Request, who: Annotated[Identity, viewer], after: str = "") -> HTMLResponse:
        """The next rows of a list."""
        wanted = Filter.of(request.query_params)
        try:
            page = feed.feeds.page(wanted, who, feed.now(), after)
        except BadCursor as error:
            raise Denied(400, str(error)) from None
        shown = feed.shown(page.incidents, who)
        return feed.page("rows.html", request, who, wanted=wanted, incidents=shown, next=page.next)

    @routes.get("/rows/some")
    def some(request: Request, who: Annotated[Identity, viewer], ids: str = "") -> HTMLResponse:
        """Rows that are on the screen and changed."""
        found = feed.feeds.some(ids.split(",")[:MAX_ROWS], who)
        shown = feed.shown(found.values(), who)
        return feed.page("rows_again.html", request, who, incidents=shown)

    @routes.get("/live")
    async def live(request: Request, who: Annotated[Identity, viewer]) -> Response:
        """New and changed incidents of a list, as they come."""
        last = request.headers.get("last-event-id") or request.query_params.get("at", "")
        at = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else None
        events = await feed.hub.stream(who, Filter.of(request.query_params), at)
        return StreamingResponse(
            events, media_type="text/event-stream", headers={"x-accel-buffering": "no"}
        )

    @routes.get("/health")
    def health(request: Request, who: Annotated[Identity, viewer]) -> HTMLResponse:
        """The health strip."""
        return feed.page("health.html", request, who)

    @routes.post("/views")
    def save(
        request: Request,
        who: Annotated[Identity, viewer],
        name: Annotated[str, Form()] = "",
        query: Annotated[str, Form()] = "",
        remove: Annotated[str, Form()] = "",
    ) -> Response:
        """Saves a search under a name, or removes one."""
        from urllib.parse import parse_qsl

        name = name.strip()[:64]
        if not name or not name.isprintable():
            raise Denied(400, "give the view a name")
        wanted = Filter.of(dict(parse_qsl(query[: 20 * MAX_TEXT]))).query()
        mine = SAVED.c.owner == who.name
        with writing(feed.feeds.engine) as connection:
            connection.execute(delete(SAVED).where(mine, SAVED.c.name == name))
            count = connection.execute(select(func.count()).select_from(SAVED).where(mine)).scalar()
            if not remove and (count or 0) < MAX_SAVED:
                connection.execute(insert(SAVED).values(owner=who.name, name=name, query=wanted))
        return RedirectResponse(f"/?{wanted}" if wanted and not remove else "/", 303)

    return routes


def _asked(wanted: Filter, who: Identity) -> tuple[object, ...]:
    """What makes an answer another one."""
    return wanted, who.tenants, who.name if wanted.personal else ""


def _saved(feed: Feed, who: Identity) -> list[tuple[str, str]]:
    query = select(SAVED.c.name, SAVED.c.query).where(SAVED.c.owner == who.name)
    with reading(feed.feeds.engine) as connection:
        return [(n, q) for n, q in connection.execute(query.order_by(SAVED.c.name))]
