"""Signing in and out, people and tokens, and the log of who did what."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from alerts.feed.accounts import ADDRESS, BadAccount, User
from alerts.feed.context import Feed
from alerts.feed.identity import SCOPES, Denied, Identity, tenants_of
from alerts.feed.render import safe_next
from alerts.feed.settings import ROLES, Role

AUDIT_PAGE = 100


def enter(feed: Feed, response: Response, secret: str) -> Response:
    """Gives the browser a session's cookie."""
    response.set_cookie(
        feed.cookie, secret, max_age=int(feed.settings.session_hours * 3600),
        httponly=True, secure=feed.https, samesite="lax", path="/",
    )  # fmt: skip
    return response


def _address(request: Request) -> str:
    return ADDRESS + (request.client.host if request.client else "")


def router(feed: Feed) -> APIRouter:
    """Its routes."""
    routes = APIRouter(include_in_schema=False)
    viewer = Depends(feed.guard.person("viewer"))
    admin = Depends(feed.guard.person("admin"))

    def form(request: Request, next: str, problem: str = "", status: int = 200) -> HTMLResponse:
        oidc = feed.settings.oidc is not None
        return feed.page(
            "login.html", request, None, status, next=safe_next(next), problem=problem, oidc=oidc
        )

    @routes.get("/login")
    def login(request: Request, next: str = "/") -> HTMLResponse:
        """The form."""
        return form(request, next)

    @routes.post("/login")
    def sign_in(
        request: Request,
        name: Annotated[str, Form()] = "",
        password: Annotated[str, Form()] = "",
        next: Annotated[str, Form()] = "/",
    ) -> Response:
        """Checks a password; who errs too often waits."""
        feed.guard.same_origin(request)
        name = name.strip()[:64]
        keys = (f"name {name}", _address(request))
        if (wait := feed.throttle.wait_s(*keys)) > 0:
            answer = form(request, next, "Too many wrong passwords; wait a few minutes.", 429)
            answer.headers["retry-after"] = str(int(wait) + 1)
            return answer
        user = feed.accounts.check(name, password)
        if user is None:
            feed.throttle.wrong(*keys)
            feed.note(request, name, "wrong password")
            return form(request, next, "Wrong name or password.", 401)
        feed.throttle.right(*keys)
        return begin(request, user, safe_next(next))

    def begin(request: Request, user: User, next: str) -> Response:
        feed.note(request, user.name, "signed in")
        return enter(feed, RedirectResponse(next, 303), feed.sessions.begin(user.name))

    @routes.post("/logout")
    def logout(request: Request, who: Annotated[Identity, viewer]) -> Response:
        """Ends the session."""
        feed.sessions.end(who)
        feed.note(request, who.name, "signed out")
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(feed.cookie, path="/", secure=feed.https, httponly=True)
        return answer

    @routes.get("/enter/{secret}")
    def one_time(request: Request, secret: str, next: str = "/account") -> Response:
        """A one-time link: a button, so that nothing that only looks at links uses it up."""
        return feed.page("enter.html", request, None, secret=secret[:128], next=safe_next(next))

    @routes.post("/enter/{secret}")
    def entered(
        request: Request, secret: str, next: Annotated[str, Form()] = "/account"
    ) -> Response:
        """Signs in, once."""
        feed.guard.same_origin(request)
        keys = (_address(request),)
        if feed.throttle.wait_s(*keys) > 0:
            raise Denied(429, "too many links that do not work; wait a few minutes")
        user = feed.accounts.follow(secret[:128])
        if user is None:
            feed.throttle.wrong(*keys)
            raise Denied(404, "this link was used already, or is too old; ask for another")
        return begin(request, user, safe_next(next))

    @routes.get("/account")
    def account(request: Request, who: Annotated[Identity, viewer]) -> HTMLResponse:
        """One's own account."""
        return feed.page("account.html", request, who, problem="")

    @routes.post("/account")
    def password(
        request: Request, who: Annotated[Identity, viewer], password: Annotated[str, Form()] = ""
    ) -> Response:
        """Sets one's password; every other session of one's ends."""
        if not who.local:
            raise Denied(403, "your password is your provider's business")
        try:
            feed.accounts.set_password(who.name, password)
        except BadAccount as error:
            return feed.page("account.html", request, who, 400, problem=str(error))
        feed.note(request, who.name, "set a password")
        return enter(feed, RedirectResponse("/", 303), feed.sessions.begin(who.name))

    def people_page(request: Request, who: Identity, **more: object) -> HTMLResponse:
        shown = {"link": "", "secret": "", "problem": "", **more}
        return feed.page(
            "people.html", request, who, 400 if shown["problem"] else 200,
            users=feed.accounts.all(), tokens=feed.sessions.tokens(), roles=ROLES, scopes=SCOPES,
            **shown,
        )  # fmt: skip

    @routes.get("/people")
    def people(request: Request, who: Annotated[Identity, admin]) -> HTMLResponse:
        """Users and tokens."""
        return people_page(request, who)

    @routes.post("/people")
    def invite(
        request: Request,
        who: Annotated[Identity, admin],
        name: Annotated[str, Form()] = "",
        role: Annotated[str, Form()] = "viewer",
        tenants: Annotated[str, Form()] = "",
    ) -> Response:
        """Makes a user (or a new link for one), and shows their one-time link."""
        known: Role | None = next((each for each in ROLES if each == role), None)
        try:
            if known is None:
                raise BadAccount("there is no such role")
            if feed.accounts.user(name) is None:
                feed.accounts.make(name, known, tenants_of(tenants.split(",")))
            secret = feed.accounts.link(name)
        except BadAccount as error:
            return people_page(request, who, problem=str(error))
        feed.note(request, who.name, "invited", name, f"{role} {tenants}")
        base = feed.settings.public_url or str(request.base_url).rstrip("/")
        return people_page(request, who, link=f"{base}/enter/{secret}")

    @routes.post("/people/lock")
    def lock(
        request: Request,
        who: Annotated[Identity, admin],
        name: Annotated[str, Form()] = "",
        locked: Annotated[str, Form()] = "",
    ) -> Response:
        """Locks a user out, or lets them in again."""
        try:
            feed.accounts.disable(name, bool(locked))
        except BadAccount as error:
            return people_page(request, who, problem=str(error))
        feed.note(request, who.name, "locked" if locked else "unlocked", name)
        return RedirectResponse("/people", 303)

    @routes.post("/tokens")
    def token(
        request: Request,
        who: Annotated[Identity, admin],
        label: Annotated[str, Form()] = "",
        scopes: Annotated[list[str] | None, Form()] = None,
        tenants: Annotated[str, Form()] = "",
    ) -> Response:
        """Makes a token, and shows it once."""
        limited = tenants_of(tenants.split(","))
        try:
            secret = feed.sessions.make_token(label, frozenset(scopes or ()), limited, who.name)
        except ValueError as error:
            return people_page(request, who, problem=str(error))
        feed.note(request, who.name, "made a token", label, " ".join(scopes or ()))
        return people_page(request, who, secret=secret)

    @routes.post("/tokens/revoke")
    def revoke(
        request: Request, who: Annotated[Identity, admin], id: Annotated[str, Form()] = ""
    ) -> Response:
        """Ends a token."""
        if feed.sessions.revoke(id[:64]):
            feed.note(request, who.name, "revoked a token", id)
        return RedirectResponse("/people", 303)

    @routes.get("/audit")
    def audit(
        request: Request, who: Annotated[Identity, admin], before: int | None = None
    ) -> HTMLResponse:
        """Who did what."""
        found = feed.audit.entries(before, AUDIT_PAGE)
        more = found[-1]["number"] if len(found) == AUDIT_PAGE else None
        return feed.page("audit.html", request, who, entries=found, more=more)

    return routes
