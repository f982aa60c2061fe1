"""Looks at findings, incidents and their history; waits for no writer."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, text

from alerts.incident import Incident, State
from alerts.store_engine import Target, open_store, reading
from alerts.tables import FINDINGS, HISTORY, INCIDENTS

F, N, H = FINDINGS.c, INCIDENTS.c, HISTORY.c


class Query:
    """Reads a store that may be in use by others.

    Raises (from its methods):
        sqlite3.Error, StoreDown: it cannot be read now.
    """

    def __init__(self, target: Target) -> None:
        self.engine = open_store(target)

    def select(
        self,
        *,
        rank: int = 1,
        detector: str | None = None,
        since: datetime | None = None,
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        """The newest findings, each in its last revision, newest first."""
        other = FINDINGS.alias("other")
        last = select(func.max(other.c.revision)).where(other.c.id == F.id).scalar_subquery()
        query = select(F.json).where(F.rank >= rank, F.revision == last)
        if detector is not None:
            query = query.where(F.detector == detector)
        if since is not None:
            query = query.where(F.time >= since.timestamp())
        return self._bodies(query.order_by(F.time.desc(), F.id).limit(limit))

    def revisions(self, id: str) -> list[dict[str, Any]]:
        """All revisions of one finding by its id or an unambiguous beginning of it."""
        begins = func.substr(F.id, 1, len(id)) == id
        with reading(self.engine) as connection:
            ids = list(connection.execute(select(F.id).where(begins).distinct().limit(2)).scalars())
        if len(ids) != 1:
            return []
        return self._bodies(select(F.json).where(F.id == ids[0]).order_by(F.revision))

    def incidents(
        self,
        *,
        states: Sequence[State] = (),
        rank: int = 1,
        family: str | None = None,
        tenant: str | None = None,
        entity: str | None = None,
        since: datetime | None = None,
        changed_after: int | None = None,
        limit: int = 100,
    ) -> list[Incident]:
        """Incidents, those with the newest findings first.

        Args:
            entity: its id, or an incident's key.
            changed_after: only those changed after this number, in the order of their changes.
        """
        where: list[ColumnElement[bool]] = [N.rank >= rank]
        where += [N.state.in_(states)] if states else []
        where += [N.family == family] if family else []
        where += [N.tenant == tenant] if tenant else []
        where += [(N.entity == entity) | (N.key == entity)] if entity else []
        where += [N.last >= since.timestamp()] if since else []
        query = select(N.json).where(*where)
        if changed_after is not None:
            query = query.where(N.change > changed_after).order_by(N.change)
        else:
            query = query.order_by(N.last.desc(), N.id)
        with reading(self.engine) as connection:
            rows = connection.execute(query.limit(limit)).scalars()
            return [Incident.model_validate_json(body) for body in rows]

    def incident(self, id: str) -> Incident | None:
        """One by its id or an unambiguous beginning of it."""
        begins = func.substr(N.id, 1, len(id)) == id
        with reading(self.engine) as connection:
            exact = connection.execute(select(N.json).where(N.id == id)).scalar()
            if exact is None:
                found = connection.execute(select(N.json).where(begins).limit(2)).scalars().all()
                exact = found[0] if id and len(found) == 1 else None
        return None if exact is None else Incident.model_validate_json(exact)

    def findings_of(self, incident: str, limit: int = 1000) -> list[dict[str, Any]]:
        """All revisions of its findings, in the order they came."""
        query = select(F.json).where(F.incident == incident).order_by(F.number).limit(limit)
        return self._bodies(query)

    def history(self, incident: str, limit: int = 1000) -> list[dict[str, Any]]:
        """Who did what when, oldest first: the newest of that, and of what findings did."""
        mine = select(HISTORY).where(H.incident == incident).order_by(H.number.desc()).limit(limit)
        with reading(self.engine) as connection:
            rows = [
                dict(row)
                for people in (H.change != "updated", H.change == "updated")
                for row in connection.execute(mine.where(people)).mappings()
            ]
        return sorted(rows, key=lambda row: int(row["number"]))

    def last_change(self) -> int:
        """Number of the newest change of any incident; 0 when there was none."""
        with reading(self.engine) as connection:
            return int(connection.execute(select(func.max(H.number))).scalar() or 0)

    def states(self) -> dict[str, int]:
        """How many incidents there are in each state."""
        query = select(N.state, func.count()).group_by(N.state)
        with reading(self.engine) as connection:
            return {str(row[0]): int(row[1]) for row in connection.execute(query)}

    def active(self) -> Iterator[Incident]:
        """Every incident that is not closed."""
        query = select(N.json).where(text("incidents.active"))
        with reading(self.engine) as connection:
            for body in connection.execute(query).scalars():
                yield Incident.model_validate_json(body)

    def close(self) -> None:
        """Closes idle connections."""
        self.engine.dispose()

    def _bodies(self, query: Select[Any]) -> list[dict[str, Any]]:
        with reading(self.engine) as connection:
            return [json.loads(body) for body in connection.execute(query).scalars()]
