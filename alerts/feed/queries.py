"""Looks for incidents and findings, page by page, always within what somebody may see."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Engine,
    Select,
    cast,
    func,
    literal,
    select,
    tuple_,
)

from alerts.feed.conditions import FOUND, matching, searched, tenants, theirs
from alerts.feed.filters import Filter
from alerts.feed.identity import Identity
from alerts.feed.render import LANES
from alerts.feed.tables import COST
from alerts.incident import Incident
from alerts.store_engine import reading
from alerts.store_search import saying
from alerts.tables import COUNTS, DESTINATIONS, FINDINGS, HISTORY, INCIDENTS
from schemas.finding import Finding

PAGE = 50
COUNTED = 10_000  # more than so many are not counted to the end
MAX_RELATED = 8  # of each kind
MAX_ADDRESSES = 8  # whose other incidents are looked for
MAX_FINDINGS = 200  # of one incident, shown

N, F, H = INCIDENTS.c, FINDINGS.c, HISTORY.c


class BadCursor(ValueError):
    """Not one of our cursors."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some incidents, and where the next ones begin."""

    incidents: list[Incident]
    next: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """A finding in its last revision, and the event time at which it was first told."""

    first: datetime
    finding: Finding


@dataclass(frozen=True, slots=True)
class Change:
    """What became of an incident, as the live feed needs it."""

    number: int
    id: str
    change: str


class Feeds:
    """Reads the store for people.

    Raises (from its methods):
        sqlite3.Error, StoreDown: it cannot be read now.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._sqlite = engine.dialect.name == "sqlite"

    def page(
        self,
        wanted: Filter,
        who: Identity,
        now: datetime,
        after: str = "",
        size: int = PAGE,
        said: Sequence[str] | None = None,
    ) -> Page:
        """One page of a list.

        Args:
            after: `next` of the page before.
            said: what its search found, if it was made already.
        Raises:
            BadCursor: `after` is not from us.
        """
        order = _order(wanted.sort)
        query = select(N.json, *order).where(*self.matching(wanted, who, now, said))
        if after:
            query = query.where(tuple_(*order) < tuple_(*_cursor(after, order)))
        query = query.order_by(*(column.desc() for column in order)).limit(size + 1)
        with reading(self.engine) as connection:
            rows = connection.execute(query).all()
        found = [Incident.model_validate_json(row[0]) for row in rows[:size]]
        more = len(rows) > size
        return Page(found, json.dumps(list(rows[size - 1][1:])) if more else None)

    def count(
        self, wanted: Filter, who: Identity, now: datetime, said: Sequence[str] | None = None
    ) -> int:
        """How many match; `COUNTED + 1` when there are more than that."""
        some = select(literal(1)).select_from(INCIDENTS)
        some = some.where(*self.matching(wanted, who, now, said)).limit(COUNTED + 1)
        with reading(self.engine) as connection:
            query = select(func.count()).select_from(some.subquery())
            return int(connection.execute(query).scalar() or 0)

    def matching(
        self, wanted: Filter, who: Identity, now: datetime, said: Sequence[str] | None = None
    ) -> list[ColumnElement[bool]]:
        """The conditions of a filter."""
        return matching(wanted, who, now, sqlite=self._sqlite, said=said)

    def said(self, asked: str) -> list[str] | None:
        """Ids of the newest incidents that say something, one more than `FOUND` if there are more.

        Returns:
            None when nothing is asked for.
        """
        query = searched(asked, sqlite=self._sqlite, limit=FOUND + 1) if asked else None
        if query is None:
            return [] if asked else None
        with reading(self.engine) as connection:
            return [id for id in connection.execute(query).scalars() if id is not None]

    def some(self, ids: Sequence[str], who: Identity) -> dict[str, Incident]:
        """Incidents by id, as far as they may be seen."""
        query = select(N.json).where(N.id.in_(list(ids)[:500]), theirs(who))
        with reading(self.engine) as connection:
            found = [Incident.model_validate_json(body) for body in connection.scalars(query)]
        return {incident.id: incident for incident in found}

    def incident(self, id: str, who: Identity) -> Incident | None:
        """One by its whole id."""
        return self.some([id], who).get(id)

    def findings(self, incident: str, limit: int = MAX_FINDINGS) -> list["Told"]:
        """Each finding of an incident, in the order it was first told."""
        query = select(F.json).where(F.incident == incident).order_by(F.number.desc())
        with reading(self.engine) as connection:
            bodies = connection.execute(query.limit(2 * limit)).scalars().all()
        told: dict[str, Told] = {}
        for finding in map(Finding.model_validate_json, reversed(bodies)):
            known = told.get(finding.id)
            first = known.first if known else finding.time
            told[finding.id] = Told(min(first, finding.time), finding)
        return sorted(told.values(), key=lambda t: (t.first, t.finding.id))[-limit:]

    def related(
        self, incident: Incident, addresses: Sequence[str], who: Identity
    ) -> list["Related"]:
        """Others of its entity, those that name its addresses, and open ones of its tenant."""
        e = incident.entity
        ways: list[tuple[str, ColumnElement[bool]]] = [
            (f"same {LANES[e.lane]}", (N.lane == e.lane) & (N.entity == e.id)),
        ]
        for address in list(addresses)[:MAX_ADDRESSES]:
            said = saying(address, MAX_RELATED + 1, sqlite=self._sqlite, whole=True)
            ways += [(f"same address {address}", N.id.in_(said))] if said is not None else []
        if incident.tenant is not None:
            ways.append(("same tenant", (N.tenant == incident.tenant) & N.active))
        found: dict[str, Related] = {}
        with reading(self.engine) as connection:
            for why, where in ways:
                query = select(N.json).where(where, theirs(who), N.id != incident.id)
                rows = connection.execute(query.order_by(N.last.desc()).limit(MAX_RELATED))
                for body in rows.scalars():
                    other = Incident.model_validate_json(body)
                    found.setdefault(other.id, Related(why, other))
        return list(found.values())[: 3 * MAX_RELATED]

    def of_entity(self, lane: str, id: str, who: Identity, limit: int = 100) -> list[Incident]:
        """Incidents of an entity, the newest first."""
        where = (N.lane == lane) & (N.entity == id)
        query = select(N.json).where(where, theirs(who)).order_by(N.opened.desc()).limit(limit)
        with reading(self.engine) as connection:
            return [Incident.model_validate_json(body) for body in connection.scalars(query)]

    def naming(self, lane: str, id: str, who: Identity, limit: int = 50) -> list[Incident]:
        """Incidents of others whose events name an entity, the newest first."""
        said = saying(id, limit, sqlite=self._sqlite, whole=True)
        if said is None:
            return []
        other = N.id.in_(said) & ~((N.lane == lane) & (N.entity == id))
        query = select(N.json).where(other, theirs(who)).order_by(N.last.desc()).limit(limit)
        with reading(self.engine) as connection:
            return [Incident.model_validate_json(body) for body in connection.scalars(query)]

    def of_tenant(self, tenant: str, who: Identity, limit: int = 200) -> list[Incident]:
        """Incidents of a tenant, those with the newest findings first."""
        query = select(N.json).where(N.tenant == tenant, theirs(who)).order_by(N.last.desc())
        with reading(self.engine) as connection:
            found = connection.scalars(query.limit(limit))
            return [Incident.model_validate_json(body) for body in found]

    def tenants_of(self, lane: str, id: str) -> set[str | None]:
        """Tenants whose findings name an entity."""
        query = select(F.tenant).where(F.lane == lane, F.entity == id).distinct().limit(1000)
        with reading(self.engine) as connection:
            return set(connection.execute(query).scalars())

    def last_change(self) -> int:
        """Number of the newest change of any incident."""
        with reading(self.engine) as connection:
            return int(connection.execute(select(func.max(H.number))).scalar() or 0)

    def changes(self, after: int, limit: int) -> list[Change]:
        """What changed after a number, in order."""
        query = select(H.number, H.incident, H.change).where(H.number > after)
        with reading(self.engine) as connection:
            rows = connection.execute(query.order_by(H.number).limit(limit)).all()
        return [Change(*row) for row in rows]

    def matched(
        self, ids: Sequence[str], wanted: Filter | None, who: Identity, now: datetime
    ) -> list[Any]:
        """Id, severity rank and story of those that match a filter (or may be seen at all)."""
        where = [theirs(who)] if wanted is None else self.matching(wanted, who, now)
        query = select(N.id, N.rank, N.json).where(N.id.in_(list(ids)), *where)
        with reading(self.engine) as connection:
            return list(connection.execute(query).all())

    def findings_after(
        self, number: int, who: Identity, limit: int
    ) -> list[tuple[int, bytes, str | None]]:
        """Number, body and incident of finding revisions in the order they came."""
        query: Select[Any] = select(F.number, F.json, F.incident)
        query = query.where(F.number > number, theirs(who, F.tenant)).order_by(F.number)
        with reading(self.engine) as connection:
            return [(n, body, of) for n, body, of in connection.execute(query.limit(limit))]

    def newest_finding(self) -> int:
        """Number of the newest finding; 0 when there is none."""
        with reading(self.engine) as connection:
            return int(connection.execute(select(func.max(F.number))).scalar() or 0)

    def oldest_finding(self) -> int:
        """Number of the oldest finding that is kept; 0 when there is none."""
        with reading(self.engine) as connection:
            return int(connection.execute(select(func.min(F.number))).scalar() or 0)

    def destinations(self) -> list[dict[str, Any]]:
        """Who waits for how much, and why."""
        rows: dict[str, dict[str, Any]] = {}
        with reading(self.engine) as connection:
            for name, state, count in connection.execute(select(COUNTS)):
                rows.setdefault(name, {"name": name})[state] = count
            d = DESTINATIONS.c
            held = select(d.destination, d.held_since, d.held_reason, d.overflow_since)
            for name, since, reason, full in connection.execute(held):
                row = rows.setdefault(name, {"name": name})
                row |= {"held_since": since, "reason": reason, "full_since": full}
        return sorted(rows.values(), key=lambda row: str(row["name"]))

    def opened(
        self, wanted: Filter, who: Identity, now: datetime, begin: datetime, step_s: int
    ) -> list[tuple[int, str, int, int]]:
        """Steps since `begin`, family, severity rank, and how many incidents were opened then."""
        first = begin.timestamp()
        steps = (N.opened - first) / step_s
        step = cast(steps if self._sqlite else func.floor(steps), BigInteger)  # the other rounds
        query = select(step, N.family, N.rank, func.count())
        few = wanted.view in ("open", "mine", "monitor")  # then their own index is shorter
        opened = N.opened + 0 if few else N.opened
        query = query.where(opened >= first, *self.matching(wanted, who, now))
        query = query.group_by(step, N.family, N.rank)
        with reading(self.engine) as connection:
            return [(int(a), str(b), int(c), int(d)) for a, b, c, d in connection.execute(query)]

    def tenants(self) -> set[str]:
        """Every tenant that has an incident."""
        with reading(self.engine) as connection:
            found = connection.execute(select(tenants().c.name)).scalars()
            return {name for name in found if name is not None}

    def entity_tenants(self, lane: str, ids: Sequence[str]) -> dict[str, str]:
        """Tenant of entities, as far as incidents name them."""
        query = select(N.entity, N.tenant).where(N.lane == lane, N.tenant.is_not(None))
        found: dict[str, str] = {}
        with reading(self.engine) as connection:
            for at in range(0, len(ids), 500):
                rows = connection.execute(query.where(N.entity.in_(ids[at : at + 500])))
                found |= {str(row[0]): str(row[1]) for row in rows}
        return found


@dataclass(frozen=True, slots=True)
class Related:
    """Another incident, and what it has in common."""

    why: str
    incident: Incident


def _order(sort: str) -> list[ColumnElement[Any]]:
    first: dict[str, list[ColumnElement[Any]]] = {
        "last": [N.last],
        "opened": [N.opened],
        "severity": [N.rank, N.last],
        "cost": [COST, N.last],
    }
    return [*first[sort], N.id]


def _cursor(text: str, order: Sequence[Any]) -> list[Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise BadCursor("the address is damaged; begin at the first page") from None
    kinds = [str if place == len(order) - 1 else int | float for place in range(len(order))]
    if not isinstance(found, list) or len(found) != len(order):
        raise BadCursor("the address is of another list; begin at the first page")
    if not all(isinstance(v, kind) for v, kind in zip(found, kinds, strict=True)):
        raise BadCursor("the address is damaged; begin at the first page")
    return found
