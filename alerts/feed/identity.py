"""Who asks, and what they may see and do."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from alerts.feed.settings import ROLES, Role

Tenants = frozenset[str] | None  # None: all of them

SCOPES = ("incidents", "findings", "act")  # of API tokens


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who signed in, or a program with a token.

    Attributes:
        tenants: the only tenants they may see; None: all, and what belongs to no tenant.
        scopes: of a token; None for people, who are limited by their role.
        local: a user of ours, not one an OIDC provider vouched for.
    """

    name: str
    role: Role
    tenants: Tenants = None
    scopes: frozenset[str] | None = None
    local: bool = False
    session: str = ""
    csrf: str = ""

    def may(self, role: Role) -> bool:
        """Whether they have at least this role."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def sees(self, tenant: str | None) -> bool:
        """Whether what belongs to a tenant is theirs to see."""
        return self.tenants is None or tenant in self.tenants


class Denied(Exception):
    """They may not; `status` is 401, 403 or 404 and the text says why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def tenants_to_text(tenants: Tenants) -> str | None:
    """As a column holds them."""
    return None if tenants is None else json.dumps(sorted(tenants))


def tenants_of_text(text: str | None) -> Tenants:
    """Back from a column."""
    return None if text is None else frozenset(json.loads(text))


def tenants_of(names: Iterable[str]) -> Tenants:
    """Names as a person gave them; none given, or `*`, means all.

    >>> tenants_of(["*"]), sorted(tenants_of(["a", " b "]))
    (None, ['a', 'b'])
    """
    found = frozenset(name.strip() for name in names if name.strip())
    return None if not found or "*" in found else found
