"""Which rows a filter asks for, and which of them somebody may see."""

import re
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, or_, select, true

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
    wanted: Filter, who: Identity, now: datetime, *, sqlite: bool
) -> list[ColumnElement[bool]]:
    """The conditions of a filter."""
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
    where += [_says(wanted.q, who, sqlite=sqlite)] if wanted.q else []
    return where


def _owned(owner: str, who: Identity) -> ColumnElement[bool]:
    if owner == "nobody":
        return N.owner.is_(None)
    return N.owner == (who.name if owner == "me" else owner)


def _says(asked: str, who: Identity, *, sqlite: bool) -> ColumnElement[bool]:
    """The newest incidents that say something; that of a finding, if it is a finding's id."""
    if _FINDING.fullmatch(asked):
        return N.id.in_(select(F.incident).where(F.id == asked))
    said = saying(asked, FOUND, sqlite=sqlite)
    if said is None:
        return false()
    found: ColumnElement[bool] = N.id.in_(said)
    if who.tenants is None:
        return found
    # nobody learns by asking that a story names another tenant
    tenant = INCIDENTS.alias("other").c.tenant
    named = (func.lower(tenant).contains(word, autoescape=True) for word in wholes(asked))
    return and_(found, ~select(tenant).where(~theirs(who, tenant), or_(*named)).exists())
