"""Signing in with OpenID Connect: authorization code, PKCE, state and nonce, by Authlib.

What was begun is remembered in a signed cookie that lasts ten minutes.
"""

import json
import logging
import os
import secrets
import time
from typing import Any

import httpx
from anyio import to_thread
from authlib.integrations.httpx_client import AsyncOAuth2Client
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from alerts.feed.context import Feed
from alerts.feed.identity import Denied, Tenants
from alerts.feed.pages_access import enter
from alerts.feed.render import safe_next
from alerts.feed.settings import ROLES, OidcSettings, Role

BEGUN_S = 600
KEPT_S = 300.0  # the provider's addresses and keys
TIMEOUT_S = 10.0
LEEWAY_S = 60
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
COOKIE = "tripmeter_oidc"

log = logging.getLogger("tripmeter.feed")


class Provider:
    """What the provider says about itself, kept for a while."""

    def __init__(self, settings: OidcSettings) -> None:
        self.settings = settings
        self._known: tuple[float, dict[str, Any], KeySet] | None = None

    async def about(self, *, fresh: bool = False) -> tuple[dict[str, Any], KeySet]:
        """Its metadata and keys.

        Raises:
            Denied: it does not answer, or answers nonsense.
        """
        if self._known and not fresh and time.monotonic() < self._known[0]:
            return self._known[1], self._known[2]
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
                where = f"{self.settings.issuer}/.well-known/openid-configuration"
                told = (await client.get(where)).raise_for_status().json()
                keys = (await client.get(told["jwks_uri"])).raise_for_status().json()
            if told["issuer"].rstrip("/") != self.settings.issuer:
                raise ValueError("it is another issuer")
            found = KeySet.import_key_set(keys)
        except (httpx.HTTPError, ValueError, KeyError, AttributeError, JoseError) as error:
            log.warning("the OIDC provider cannot be used: %s", type(error).__name__)
            raise Denied(502, "the sign-in provider does not answer; try again later") from None
        self._known = (time.monotonic() + KEPT_S, told, found)
        return told, found


def router(feed: Feed, settings: OidcSettings) -> APIRouter:
    """Its routes."""
    routes = APIRouter(include_in_schema=False)
    provider = Provider(settings)
    signer = URLSafeTimedSerializer(secrets.token_hex(32), salt="oidc")
    if settings.client_secret_env and not os.environ.get(settings.client_secret_env):
        log.error("feed.oidc.client_secret_env: %s is not set", settings.client_secret_env)

    def client(request: Request) -> AsyncOAuth2Client:
        base = feed.settings.public_url or str(request.base_url).rstrip("/")
        secret = os.environ.get(settings.client_secret_env) if settings.client_secret_env else None
        return AsyncOAuth2Client(
            settings.client_id,
            secret,
            scope="openid email profile",
            redirect_uri=f"{base}/oidc/callback",
            code_challenge_method="S256",
            token_endpoint_auth_method="client_secret_basic" if secret else "none",
            timeout=TIMEOUT_S,
        )

    @routes.get("/oidc/login")
    async def begin(request: Request, next: str = "/") -> Response:
        """Sends the browser to the provider."""
        told, _ = await provider.about()
        begun = {
            "verifier": secrets.token_urlsafe(48),
            "nonce": secrets.token_urlsafe(24),
            "state": secrets.token_urlsafe(24),
            "next": safe_next(next),
        }
        async with client(request) as session:
            where, _state = session.create_authorization_url(
                told["authorization_endpoint"],
                state=begun["state"],
                nonce=begun["nonce"],
                code_verifier=begun["verifier"],
            )
        answer = RedirectResponse(where, 303)
        answer.set_cookie(
            COOKIE, signer.dumps(begun), max_age=BEGUN_S, httponly=True, secure=feed.https,
            samesite="lax", path="/oidc",
        )  # fmt: skip
        return answer

    @routes.get("/oidc/callback")
    async def back(request: Request, code: str = "", state: str = "", error: str = "") -> Response:
        """Takes what the provider says of somebody, and signs them in."""
        begun = _begun(signer, request.cookies.get(COOKIE, ""))
        if begun is None or not secrets.compare_digest(begun["state"].encode(), state.encode()):
            raise Denied(400, "this sign-in was not begun here, or took too long; try again")
        if error or not code:
            raise Denied(403, "the provider did not sign you in")
        told, keys = await provider.about()
        try:
            async with client(request) as session:
                token = await session.fetch_token(
                    told["token_endpoint"], code=code, code_verifier=begun["verifier"]
                )
        except Exception as failure:
            log.warning("the OIDC provider refused a code: %s", type(failure).__name__)
            raise Denied(502, "the sign-in provider refused; try again") from None
        claims = await _claims(provider, keys, str(token.get("id_token", "")), begun["nonce"])
        name, role, tenants = who_is(settings, claims)
        await to_thread.run_sync(feed.note, request, name, "signed in", "oidc", role)
        secret = await to_thread.run_sync(feed.sessions.begin, name, role, tenants)
        answer = enter(feed, RedirectResponse(begun["next"], 303), secret)
        answer.delete_cookie(COOKIE, path="/oidc")
        return answer

    return routes


async def _claims(provider: Provider, keys: KeySet, token: str, nonce: str) -> dict[str, Any]:
    """The claims of an id token that is really for us, now.

    Raises:
        Denied: it is not.
    """
    wanted = provider.settings
    rules = jwt.JWTClaimsRegistry(
        leeway=LEEWAY_S,
        aud={"essential": True, "value": wanted.client_id},
        exp={"essential": True},
        nonce={"essential": True, "value": nonce},
    )
    for fresh in (False, True):  # the provider may have changed its keys
        if fresh:
            _, keys = await provider.about(fresh=True)
        try:
            found = jwt.decode(token, keys, algorithms=ALGORITHMS)
            rules.validate(found.claims)
            if str(found.claims.get("iss", "")).rstrip("/") != wanted.issuer:
                raise ValueError("another issuer")
        except (JoseError, ValueError) as error:
            log.warning("an id token is not believed: %s", type(error).__name__)
            continue
        return dict(found.claims)
    raise Denied(403, "the provider's answer is not believed")


def who_is(settings: OidcSettings, claims: dict[str, Any]) -> tuple[str, Role, Tenants]:
    """Name, role and tenants of somebody.

    Raises:
        Denied: they have no name or no role here.
    """
    name = claims.get(settings.name_claim) or claims.get("sub")
    if not isinstance(name, str) or not 0 < len(name) <= 128 or not name.isprintable():
        raise Denied(403, "the provider does not say who you are")
    if settings.name_claim == "email" and claims.get("email_verified") is False:
        raise Denied(403, "your e-mail address is not verified at the provider")
    groups = claims.get(settings.roles_claim)
    listed = groups if isinstance(groups, list) else [groups]
    roles = [settings.roles[g] for g in listed if isinstance(g, str) and g in settings.roles]
    roles += [settings.default_role] if settings.default_role and not roles else []
    if not roles:
        raise Denied(403, "you have no role here; ask an administrator")
    role = max(roles, key=ROLES.index)
    if not settings.tenants_claim or role == "admin":
        return name, role, None
    told = claims.get(settings.tenants_claim)
    own = told if isinstance(told, list) else [told]
    return name, role, frozenset(t for t in own if isinstance(t, str) and t)


def _begun(signer: URLSafeTimedSerializer, cookie: str) -> dict[str, str] | None:
    try:
        found: dict[str, str] = signer.loads(cookie, max_age=BEGUN_S)
    except (BadSignature, json.JSONDecodeError):
        return None
    return found
