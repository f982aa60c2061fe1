"""Which rows a filter asks for, and which of them somebody may see."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import CTE, ColumnElement, Select, and_, false, func, or_, select, true

from alerts.feed.filters import Filter
from alerts.feed.identity import Identity
from alerts.store_search import saying, wholes
from alerts.tables import FINDINGS, INCIDENTS

FOUND = 10_000  # incidents that one search finds at most: the newest

N, F = INCIDENTS.c, FINDINGS.c
_FINDING = re.compile("[0-9a-f]{32}")


def theirs(who: Identity, column: Any = N.tenant) -> ColumnElement[bool]:
    """The rows somebody may see."""
    return true() if who.tenants is None else column.in_(sorted(who.tenants))


def matching(
    wanted: Filter,
    who: Identity,
    now: datetime,
    *,
    sqlite: bool,
    said: Sequence[str] | None = None,
) -> list[ColumnElement[bool]]:
    """The conditions of a filter.

    Args:
        said: what its search found, if it was made already.
    """
    where = [theirs(who)]
    if wanted.view in ("open", "mine", "monitor"):
        where += [N.active, N.inhibited_by.is_(None)]
        where += [N.mode == ("monitor" if wanted.view == "monitor" else "active")]
    elif wanted.view == "closed":
        where += [~N.active]
    where += [N.owner == who.name] if wanted.view == "mine" else []
    where += [N.rank >= wanted.rank] if wanted.severity else []
    where += [N.family == wanted.family] if wanted.family else []
    where += [N.tenant == wanted.tenant] if wanted.tenant else []
    where += [N.lane == wanted.lane] if wanted.lane else []
    where += [N.entity == wanted.entity] if wanted.entity else []
    where += [_owned(wanted.owner, who)] if wanted.owner else []
    if wanted.detector:
        of = select(F.incident).where(F.incident == N.id, F.detector == wanted.detector)
        where += [of.exists()]
    if (begin := wanted.begin(now)) is not None:
        where += [N.last >= begin.timestamp()]
    start, until = wanted.opened
    where += [N.opened >= start.timestamp()] if start else []
    where += [N.opened < until.timestamp()] if until else []
    where += [_says(wanted.q, who, said, sqlite=sqlite)] if wanted.q else []
    return where


def _owned(owner: str, who: Identity) -> ColumnElement[bool]:
    if owner == "nobody":
        return N.owner.is_(None)
    return N.owner == (who.name if owner == "me" else owner)


def searched(asked: str, *, sqlite: bool, limit: int) -> Select[Any] | None:
    """Ids of the newest incidents that say something; of a finding's, if it is a finding's id.

    Returns:
        None when there is nothing to look for.
    """
    if _FINDING.fullmatch(asked):
        return select(F.incident).where(F.id == asked)
    return saying(asked, limit, sqlite=sqlite)


def _says(
    asked: str, who: Identity, said: Sequence[str] | None, *, sqlite: bool
) -> ColumnElement[bool]:
    among = said if said is not None else searched(asked, sqlite=sqlite, limit=FOUND)
    if among is None:
        return false()
    found: ColumnElement[bool] = N.id.in_(among)
    if who.tenants is None:
        return found
    # nobody learns by asking that a story names another tenant
    name = tenants().c.name
    named = (func.lower(name).contains(word, autoescape=True) for word in wholes(asked))
    return and_(found, ~select(name).where(~theirs(who, name), or_(*named)).exists())


def tenants() -> CTE:
    """Every tenant that has an incident, and one null: a step of the index each."""
    first = select(func.min(N.tenant).label("name")).cte("tenants", recursive=True)
    more = INCIDENTS.alias("more").c.tenant
    after = select(func.min(more)).where(more > first.c.name).scalar_subquery()
    return first.union_all(select(after).where(first.c.name.is_not(None)))
