"""The application: every route, what stands before them, and answers when something is wrong."""

import logging
import sqlite3
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from alerts.feed import (
    api,
    pages_access,
    pages_actions,
    pages_entity,
    pages_incident,
    pages_list,
    pages_overview,
)
from alerts.feed.context import Feed
from alerts.feed.guard import Headers, denied
from alerts.feed.identity import Denied

MAX_BODY = 256 * 1024  # of a form
STATIC = Path(__file__).parent / "static"
TITLE = "Tripmeter feed"

log = logging.getLogger("tripmeter.feed")


def make_app(feed: Feed) -> FastAPI:
    """The ASGI application of a feed."""
    app = FastAPI(
        title=TITLE, version=feed.version or "0", docs_url=None, redoc_url=None,
        openapi_url=api.OPENAPI_AT,
    )  # fmt: skip
    rooms = (
        pages_list, pages_incident, pages_actions, pages_entity, pages_overview, pages_access, api,
    )  # fmt: skip
    for room in rooms:
        app.include_router(room.router(feed))
    if feed.settings.oidc is not None:
        from alerts.feed import oidc

        app.include_router(oidc.router(feed, feed.settings.oidc))

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        """The event loop runs."""
        return PlainTextResponse("ok\n")

    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_middleware(GZipMiddleware, minimum_size=512)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=MAX_BODY)
    app.add_middleware(Headers, https=feed.https)
    _faults(app, feed)
    return app


def _faults(app: FastAPI, feed: Feed) -> None:
    def answer(request: Request, status: int, told: str) -> Response:
        if request.url.path.startswith("/api/"):
            return JSONResponse({"error": told}, status)
        part = request.headers.get("hx-request") or request.method != "GET"
        if part or request.url.path.endswith(".json"):
            return PlainTextResponse(told, status)
        return feed.page("fault.html", request, None, status, told=told, code=status)

    @app.exception_handler(Denied)
    async def refused(request: Request, error: Denied) -> Response:
        if error.status != 401 and not request.url.path.startswith("/api/"):
            return answer(request, error.status, str(error))
        return denied(request, error)

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> Response:
        told = "there is no such page" if error.status_code == 404 else str(error.detail)
        response = answer(request, error.status_code, told)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        wrong = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5]]
        return answer(request, 400, "; ".join(wrong))

    async def down(request: Request, error: Exception) -> Response:
        log.warning("the store cannot be read: %s", type(error).__name__)
        response = answer(request, 503, "The store cannot be read now; nothing is lost. Try again.")
        response.headers["retry-after"] = "2"
        return response

    app.add_exception_handler(sqlite3.Error, down)
    app.add_exception_handler(OSError, down)
