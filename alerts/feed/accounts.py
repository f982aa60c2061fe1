"""Local users: passwords as argon2 hashes, one-time links for the first sign-in."""

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Engine, delete, func, insert, select, update

from alerts.feed.identity import Tenants, tenants_of_text, tenants_to_text
from alerts.feed.settings import Role
from alerts.feed.tables import LINKS, SESSIONS, USERS
from alerts.store_engine import reading, writing

MIN_PASSWORD = 12
MAX_PASSWORD = 256
LINK_S = 24 * 3600.0
MAX_USERS = 10_000
FIRST = "admin"
TRIES = 5  # wrong passwords for one name, then it waits
TRIES_FROM = 50  # from one address, which many people behind a proxy may share
TRIES_S = 300.0
ADDRESS = "address "  # how names of addresses begin
MAX_TRIED = 10_000  # names and addresses remembered

_WORK = threading.Semaphore(2)  # each check takes 64 MiB and most of a core for a moment


class BadAccount(ValueError):
    """It cannot be made so; the text says why."""


@dataclass(frozen=True, slots=True)
class User:
    """A local user."""

    name: str
    role: Role
    tenants: Tenants
    disabled: bool


class Throttle:
    """Counts wrong passwords; those who try too often wait."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()
        self._guard = threading.Lock()

    def wait_s(self, *names: str) -> float:
        """Seconds until one of these may try again; 0: now."""
        now = self._now()
        waits = [0.0]
        for name in names:
            most = TRIES_FROM if name.startswith(ADDRESS) else TRIES
            with self._guard:
                times = [t for t in self._wrong.get(name, ()) if now - t < TRIES_S]
            if len(times) >= most:
                waits.append(TRIES_S - (now - times[-most]))
        return max(waits)

    def wrong(self, *names: str) -> None:
        """Notes a wrong try."""
        with self._guard:
            for name in names:
                self._wrong[name] = [*self._wrong.pop(name, [])[1 - TRIES_FROM :], self._now()]
                while len(self._wrong) > MAX_TRIED:
                    self._wrong.popitem(last=False)

    def right(self, *names: str) -> None:
        """Forgets earlier tries."""
        with self._guard:
            for name in names:
                self._wrong.pop(name, None)


class Accounts:
    """The local users of a store.

    Args:
        now: epoch seconds.
        hasher: of passwords; argon2id with 64 MiB when left out.
    """

    def __init__(
        self,
        engine: Engine,
        now: Callable[[], float] = time.time,
        hasher: PasswordHasher | None = None,
    ) -> None:
        self._engine = engine
        self._now = now
        self.hasher = hasher or PasswordHasher()
        self._nobody = ""

    def first(self) -> str | None:
        """On the first run makes an administrator, and a one-time link's secret; later None."""
        with reading(self._engine) as connection:
            if connection.execute(select(func.count()).select_from(USERS)).scalar():
                return None
        self.make(FIRST, "admin", None)
        return self.link(FIRST)

    def make(self, name: str, role: Role, tenants: Tenants) -> None:
        """Makes a user, who cannot sign in before a link or a password.

        Raises:
            BadAccount: there is one already, or the name cannot be used.
        """
        if not 0 < len(name) <= 64 or not name.isprintable() or name != name.strip():
            raise BadAccount("a name has 1 to 64 printable characters")
        if role == "admin" and tenants is not None:
            raise BadAccount("an admin sees every tenant")
        with writing(self._engine) as connection:
            if connection.execute(select(USERS.c.name).where(USERS.c.name == name)).first():
                raise BadAccount("there is a user of this name")
            if (connection.execute(select(func.count()).select_from(USERS)).scalar() or 0) >= (
                MAX_USERS
            ):
                raise BadAccount(f"there are {MAX_USERS} users; remove some")
            row = {
                "name": name, "role": role, "tenants": tenants_to_text(tenants),
                "disabled": False, "created": self._now(),
            }  # fmt: skip
            connection.execute(insert(USERS).values(row))

    def disable(self, name: str, disabled: bool) -> None:
        """Locks a user out at once, or lets them in again.

        Raises:
            BadAccount: nobody of this name, or nobody would be left to administer.
        """
        with writing(self._engine) as connection:
            others = select(func.count()).where(
                USERS.c.role == "admin", ~USERS.c.disabled, USERS.c.name != name
            )
            if disabled and not connection.execute(others).scalar():
                raise BadAccount("no other admin would be left")
            change = update(USERS).where(USERS.c.name == name).values(disabled=disabled)
            if not connection.execute(change).rowcount:
                raise BadAccount("there is no user of this name")
            if disabled:
                connection.execute(delete(SESSIONS).where(SESSIONS.c.name == name))

    def link(self, name: str) -> str:
        """The secret of a one-time link with which a user signs in and sets a password.

        Raises:
            BadAccount: there is no such user.
        """
        if self.user(name) is None:
            raise BadAccount("there is no user of this name")
        secret = secrets.token_urlsafe(24)
        row = {"hash": digest(secret), "name": name, "expires": self._now() + LINK_S}
        with writing(self._engine) as connection:
            connection.execute(delete(LINKS).where(LINKS.c.expires < self._now()))
            connection.execute(insert(LINKS).values(row))
        return secret

    def follow(self, secret: str) -> User | None:
        """Who a one-time link is for; it works once."""
        mine = LINKS.c.hash == digest(secret)
        with writing(self._engine) as connection:
            row = connection.execute(select(LINKS).where(mine)).first()
            connection.execute(delete(LINKS).where(mine))
        return self.user(row.name) if row is not None and row.expires > self._now() else None

    def set_password(self, name: str, password: str) -> None:
        """Sets it, and ends every session of that user.

        Raises:
            BadAccount: too short, too long, or nobody of this name.
        """
        if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
            raise BadAccount(f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters")
        with _WORK:
            hashed = self.hasher.hash(password)
        with writing(self._engine) as connection:
            change = update(USERS).where(USERS.c.name == name).values(password=hashed)
            if not connection.execute(change).rowcount:
                raise BadAccount("there is no user of this name")
            connection.execute(delete(SESSIONS).where(SESSIONS.c.name == name))

    def check(self, name: str, password: str) -> User | None:
        """The user, when the password is right; takes equally long when there is no such user."""
        with reading(self._engine) as connection:
            query = select(USERS.c.password).where(USERS.c.name == name, ~USERS.c.disabled)
            hashed = connection.execute(query).scalar()
        with _WORK:
            if not self._nobody:
                self._nobody = self.hasher.hash(secrets.token_hex(16))
            try:
                right = self.hasher.verify(hashed or self._nobody, password[:MAX_PASSWORD])
            except (VerificationError, InvalidHashError):
                return None
        return self.user(name) if right and hashed else None

    def user(self, name: str) -> User | None:
        """One, unless disabled or unknown."""
        return next((u for u in self.all() if u.name == name and not u.disabled), None)

    def all(self) -> list[User]:
        """Every local user, by name."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(USERS).order_by(USERS.c.name)).all()
        return [User(r.name, r.role, tenants_of_text(r.tenants), bool(r.disabled)) for r in rows]


def digest(secret: str) -> str:
    """What is stored of a random secret; one hash is enough for those."""
    return hashlib.sha256(secret.encode()).hexdigest()
