"""Sessions of people and tokens of programs; the store has only their hashes."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, delete, func, insert, select

from alerts.feed.accounts import digest
from alerts.feed.identity import SCOPES, Identity, Tenants, tenants_of_text, tenants_to_text
from alerts.feed.settings import Role
from alerts.feed.tables import SESSIONS, TOKENS, USERS
from alerts.store_engine import reading, writing

MAX_SESSIONS = 20  # of one person; the oldest end
MAX_TOKENS = 1000

TOKEN_PREFIX = "tmf_"  # noqa: S105  (so that scanners recognise a leaked one)


class Sessions:
    """Makes and recognises sessions and tokens."""

    def __init__(
        self, engine: Engine, lasts_s: float, now: Callable[[], float] = time.time
    ) -> None:
        self._engine = engine
        self._lasts_s = lasts_s
        self._now = now

    def begin(self, name: str, role: Role | None = None, tenants: Tenants = None) -> str:
        """A new session's secret.

        Args:
            role, tenants: of people an OIDC provider vouched for; local users have their row.
        """
        secret = secrets.token_urlsafe(32)
        now = self._now()
        row = {
            "hash": digest(secret), "name": name, "role": role,
            "tenants": tenants_to_text(tenants), "csrf": secrets.token_urlsafe(24),
            "created": now, "expires": now + self._lasts_s,
        }  # fmt: skip
        c = SESSIONS.c
        with writing(self._engine) as connection:
            connection.execute(delete(SESSIONS).where(c.expires < now))
            mine = select(c.hash).where(c.name == name).order_by(c.created.desc())
            old = connection.execute(mine.offset(MAX_SESSIONS - 1)).scalars().all()
            connection.execute(delete(SESSIONS).where(c.hash.in_(old)))
            connection.execute(insert(SESSIONS).values(row))
        return secret

    def end(self, identity: Identity) -> None:
        """Signs out."""
        with writing(self._engine) as connection:
            connection.execute(delete(SESSIONS).where(SESSIONS.c.hash == identity.session))

    def alive(self, who: Identity) -> bool:
        """Whether somebody who was let in would still be."""
        again = self._token if who.scopes is not None else self._person
        return again(who.session) == who

    def of_cookie(self, secret: str) -> Identity | None:
        """Who a session belongs to, with the rights they have now."""
        return self._person(digest(secret))

    def of_token(self, secret: str) -> Identity | None:
        """Which program a token belongs to."""
        return self._token(digest(secret))

    def _person(self, hashed: str) -> Identity | None:
        s, u = SESSIONS.c, USERS.c
        query = select(
            s.hash, s.name, s.csrf, s.expires, s.role.label("given"), s.tenants.label("limited"),
            u.role, u.tenants, u.disabled,
        ).join_from(SESSIONS, USERS, u.name == s.name, isouter=True)  # fmt: skip
        with reading(self._engine) as connection:
            row = connection.execute(query.where(s.hash == hashed)).first()
        if row is None or row.expires <= self._now() or row.disabled:
            return None
        if row.given is not None:
            return Identity(
                row.name, row.given, tenants_of_text(row.limited), None, False, row.hash, row.csrf
            )
        if row.role is None:
            return None
        tenants = tenants_of_text(row.tenants)
        return Identity(row.name, row.role, tenants, None, True, row.hash, row.csrf)

    def _token(self, hashed: str) -> Identity | None:
        with reading(self._engine) as connection:
            row = connection.execute(select(TOKENS).where(TOKENS.c.hash == hashed)).first()
        if row is None or (row.expires is not None and row.expires <= self._now()):
            return None
        scopes = frozenset(row.scopes.split())
        role: Role = "analyst" if "act" in scopes else "viewer"
        tenants = tenants_of_text(row.tenants)
        return Identity(f"token {row.label}", role, tenants, scopes, False, row.hash)

    def make_token(
        self,
        label: str,
        scopes: frozenset[str],
        tenants: Tenants,
        by: str,
        lasts_s: float | None = None,
    ) -> str:
        """A new token; this is the only time it can be seen.

        Raises:
            ValueError: what is wrong with the request.
        """
        if not 0 < len(label) <= 64 or not label.isprintable():
            raise ValueError("a token needs a name of 1 to 64 printable characters")
        if not scopes or not scopes <= set(SCOPES):
            raise ValueError(f"choose at least one scope of: {', '.join(SCOPES)}")
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        now = self._now()
        row = {
            "id": secrets.token_hex(6), "hash": digest(secret), "label": label,
            "scopes": " ".join(sorted(scopes)), "tenants": tenants_to_text(tenants),
            "made_by": by, "created": now, "expires": now + lasts_s if lasts_s else None,
        }  # fmt: skip
        with writing(self._engine) as connection:
            if (connection.execute(select(func.count()).select_from(TOKENS)).scalar() or 0) >= (
                MAX_TOKENS
            ):
                raise ValueError(f"there are {MAX_TOKENS} tokens; revoke some")
            connection.execute(insert(TOKENS).values(row))
        return secret

    def tokens(self) -> list["Token"]:
        """Those there are, the newest first."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(TOKENS).order_by(TOKENS.c.created.desc())).all()
        return [_token(row) for row in rows]

    def revoke(self, id: str) -> bool:
        """Ends a token; False when there is none."""
        with writing(self._engine) as connection:
            return bool(connection.execute(delete(TOKENS).where(TOKENS.c.id == id)).rowcount)


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token; never the token itself."""

    id: str
    label: str
    scopes: str
    tenants: Tenants
    made_by: str
    created: float
    expires: float | None


def _token(row: Any) -> Token:
    return Token(
        row.id, row.label, row.scopes, tenants_of_text(row.tenants), row.made_by, row.created,
        row.expires,
    )  # fmt: skip
