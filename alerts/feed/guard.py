"""What stands before every route: who asks, whether they may, and whether they meant it.

Every answer carries a strict Content-Security-Policy. Whoever has a session cookie must also show
its CSRF token with everything that changes something, and come from a page of ours.
"""

import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlsplit

from fastapi import Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alerts.feed.identity import Denied, Identity
from alerts.feed.sessions import Sessions
from alerts.feed.settings import Role

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data:; connect-src 'self'; font-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Headers:
    """Puts our headers on every answer; pages are never kept by caches, except what is static."""

    def __init__(self, app: ASGIApp, https: bool) -> None:
        self._app = app
        self._headers = [(n.encode(), v.encode()) for n, v in HEADERS.items()]
        if https:
            self._headers.append((b"strict-transport-security", b"max-age=31536000"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        kept = scope["path"].startswith("/static/")

        async def more(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = [*self._headers]
                there = {name.lower() for name, _ in message["headers"]}
                if kept:
                    ours.append((b"cache-control", b"public, max-age=31536000, immutable"))
                elif b"cache-control" not in there:
                    ours.append((b"cache-control", b"no-store"))
                message = {**message, "headers": [*message["headers"], *ours]}
            await send(message)

        await self._app(scope, receive, more)


Dependency = Callable[[Request], Awaitable[Identity]]


class Guard:
    """Makes the dependencies of routes.

    Args:
        cookie: its name.
        origin: the feed's own address for people, if it is known.
    """

    def __init__(self, sessions: Sessions, cookie: str, origin: str = "") -> None:
        self._sessions = sessions
        self._cookie = cookie
        self._origin = origin

    def person(self, role: Role) -> Dependency:
        """Somebody who signed in, with at least this role."""

        async def needed(request: Request) -> Identity:
            who = await self._person(request)
            if not who.may(role):
                raise Denied(403, f"this needs the role {role}; yours is {who.role}")
            return who

        needed.__dict__["needs"] = role
        return needed

    def program(self, scope: str) -> Dependency:
        """A token with this scope, or somebody who signed in."""

        async def needed(request: Request) -> Identity:
            header = request.headers.get("authorization", "")
            if not header:
                who = await self._person(request)
                if scope == "act" and not who.may("analyst"):
                    raise Denied(403, f"this needs the role analyst; yours is {who.role}")
                return who
            kind, _, secret = header.partition(" ")
            from anyio import to_thread

            found = None
            if kind.lower() == "bearer" and 0 < len(secret) <= 256:
                found = await to_thread.run_sync(self._sessions.of_token, secret.strip())
            if found is None or found.scopes is None:
                raise Denied(401, "the token is not known, or has expired")
            if scope not in found.scopes:
                raise Denied(403, f"the token lacks the scope {scope}")
            return found

        needed.__dict__["needs"] = f"scope {scope}"
        return needed

    async def _person(self, request: Request) -> Identity:
        secret = request.cookies.get(self._cookie, "")
        from anyio import to_thread

        who = None
        if 0 < len(secret) <= 256:
            who = await to_thread.run_sync(self._sessions.of_cookie, secret)
        if who is None:
            raise Denied(401, "sign in first")
        if request.method not in SAFE:
            self.same_origin(request)
            shown = request.headers.get("x-csrf-token") or ""
            if not shown:
                value = (await request.form()).get("csrf")
                shown = value if isinstance(value, str) else ""
            if not secrets.compare_digest(unmasked(shown).encode(), who.csrf.encode()):
                raise Denied(403, "the page is out of date; load it again")
        return who

    def same_origin(self, request: Request) -> None:
        """Refuses what another site's page sends.

        Raises:
            Denied: it does.
        """
        site = request.headers.get("sec-fetch-site")
        if site is not None and site not in ("same-origin", "none"):
            raise Denied(403, "another site sent this request")
        origin = request.headers.get("origin")
        if origin is None or origin == self._origin:
            return
        if origin == "null" or urlsplit(origin).netloc != request.headers.get("host", ""):
            raise Denied(403, "another site sent this request")


def masked(token: str) -> str:
    """A token that looks different on every page, so that its length in a compressed page tells
    nothing.

    >>> unmasked(masked("token")), unmasked("zz")
    ('token', '')
    """
    raw = token.encode()
    key = secrets.token_bytes(len(raw))
    return (key + bytes(a ^ b for a, b in zip(raw, key, strict=True))).hex()


def unmasked(text: str) -> str:
    """Back from `masked`; empty when it is not from there."""
    try:
        raw = bytes.fromhex(text[:1024])
        half = len(raw) // 2
        return bytes(a ^ b for a, b in zip(raw[:half], raw[half:], strict=True)).decode()
    except ValueError:
        return ""


def denied(request: Request, error: Denied) -> Response:
    """The answer to somebody who may not."""
    path = request.url.path
    if path.startswith("/api/"):
        headers = {"www-authenticate": "Bearer"} if error.status == 401 else {}
        return JSONResponse({"error": str(error)}, error.status, headers)
    if error.status == 401:
        where = (
            f"/login?next={quote(path + ('?' + request.url.query if request.url.query else ''))}"
        )
        if request.headers.get("hx-request"):
            return Response(str(error), 401, {"hx-redirect": "/login"})
        if request.method == "GET" and path not in ("/live",) and not path.endswith(".json"):
            return RedirectResponse(where, 303)
    return Response(str(error), error.status, media_type="text/plain; charset=utf-8")
