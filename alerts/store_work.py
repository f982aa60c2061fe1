"""What one transaction does to incidents: load those concerned, move them on, write them back."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, text, tuple_, update

from alerts.incident import RUNNER, Action, Incident, Policy, key_of
from alerts.incident_inhibition import COVERS, coverer, covers
from alerts.incident_steps import act, due, inhibit, receive, tick
from alerts.outbox import CHUNK
from alerts.outbox_queue import Queue
from alerts.store_engine import replace
from alerts.store_search import note
from alerts.tables import FINDINGS, HISTORY, INCIDENTS
from schemas.finding import Finding

MAX_COVERED = (
    5000  # incidents one provider's incident covers at once; further ones when they change
)

_ACTIVE = text("incidents.active")  # spelled out: partial indexes need it
_LATEST = text("incidents.latest")


class Work:
    """Incidents in memory for the length of one transaction.

    Args:
        now: the runner's clock.
    """

    def __init__(self, connection: Connection, policy: Policy, now: datetime) -> None:
        self._connection = connection
        self._policy = policy
        self._now = now
        self._by_id: dict[str, Incident] = {}
        self._by_key: dict[str, Incident] = {}
        self._news: dict[str, Finding] = {}  # incident -> its newest finding
        self._steps: list[Incident] = []
        self._new: set[str] = set()
        self._of: dict[str, str] = {}  # finding -> incident
        self._by_entity: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._loaded: set[tuple[str, str]] = set()  # entities whose active incidents are in memory
        self._services: set[str] | None = None  # active storms of services

    def load(self, findings: Sequence[Finding], owners: Mapping[str, str]) -> None:
        """Reads every incident these findings may touch.

        Args:
            owners: finding -> incident, of findings told before.
        """
        self._of = dict(owners)
        self._fetch(INCIDENTS.c.id.in_, list(dict.fromkeys(owners.values())))
        keys = dict.fromkeys(key_of(f.family, f.entity) for f in findings)
        self._fetch(INCIDENTS.c.key.in_, list(keys), _LATEST)
        if any(f.family in WEAK or f.family in COVERS for f in findings):
            self._load_entities((f.entity.lane, f.entity.id) for f in findings)

    def receive(self, finding: Finding) -> str:
        """Moves the finding's incident on; gives the incident's id."""
        owner = self._of.get(finding.id)
        current = self._by_id.get(owner or "") or self._by_key.get(
            key_of(finding.family, finding.entity)
        )
        after = receive(
            current, finding, self._now, self._policy, self._covered, seen=owner is not None
        )
        self._news[after.id] = finding
        self._of.setdefault(finding.id, after.id)
        self._put(current, after)
        return after.id

    def act(self, id: str, action: Action) -> Incident:
        """Moves an incident on as somebody wants."""
        before = self._get(id)
        after = act(before, action, self._policy)
        self._put(before, after)
        return after

    def tick(self, id: str) -> None:
        """Moves an incident on as time wants."""
        before = self._get(id)
        self._put(before, tick(before, self._now, self._policy))

    def write(self, queue: Queue) -> None:
        """Stores every step and queues what is to be told."""
        if not self._steps:
            return
        first = 1 + (self._connection.execute(select(func.max(HISTORY.c.number))).scalar() or 0)
        numbers: dict[str, int] = {}
        history = []
        for number, step in enumerate(self._steps, first):
            numbers[step.id] = number
            history.append({"number": number, **_history(step)})
        self._connection.execute(insert(HISTORY), history)
        self._store(numbers)
        for step in self._steps:
            if step.change in ("resolved", "false_positive", "reopened"):
                queue.closing(step, self._findings(step))
        for id, told in _last_to_tell(self._steps).items():
            queue.incident(told, self._finding(id), numbers[id], new=id in self._new)

    def _put(self, before: Incident | None, after: Incident) -> None:
        if after is before:
            return
        if after.previous in self._by_id and after.revision == 1 and after.id not in self._by_id:
            self._connection.execute(
                update(INCIDENTS).where(INCIDENTS.c.id == after.previous).values(latest=False)
            )
        newest = self._by_key.get(after.key)
        if before is None or before.id != after.id:
            self._new.add(after.id)
            newest = after
        self._remember(after)
        if newest is not None and newest.id == after.id:  # old news of an older one is no newer
            self._by_key[after.key] = after
        self._steps.append(after)
        if before is None or _weight(before) != _weight(after):
            self._cover_others(after)

    def _cover_others(self, incident: Incident) -> None:
        """Puts what this incident covers behind it, or lets it go."""
        stood_behind = [i for i in self._behind(incident) if i.id != incident.id]
        for weaker in stood_behind:
            if not covers(incident, weaker):
                by = self._covered(weaker)
                self._put(weaker, inhibit(weaker, by, self._now))
        for weaker in self._weaker(incident):
            if weaker.inhibited_by is None and covers(incident, weaker):
                self._put(weaker, inhibit(weaker, incident.id, self._now))

    def _covered(self, weaker: Incident) -> str | None:
        if weaker.family not in WEAK:
            return None
        by = coverer(weaker, self._stronger(weaker))
        return by.id if by else None

    def _stronger(self, weaker: Incident) -> list[Incident]:
        if self._services is None:
            c = INCIDENTS.c
            service = (c.lane == "service") & (c.family == "retry-storm")
            self._services = set(self._fetch(None, [], _ACTIVE, service))
        same = self._by_entity[weaker.entity.lane, weaker.entity.id]
        return [i for i in map(self._by_id.__getitem__, same | self._services) if i.active]

    def _weaker(self, incident: Incident) -> list[Incident]:
        entity = (incident.entity.lane, incident.entity.id)
        if incident.entity.lane == "service" and incident.family == "retry-storm":
            if self._services is not None:
                self._services.add(incident.id)
            c = INCIDENTS.c
            self._fetch(None, [], _ACTIVE, (c.family == "retry-storm") & (c.lane != "service"))
            ids = set(self._by_id)
        elif incident.family in COVERS:
            self._load_entities([entity])
            ids = self._by_entity[entity]
        else:
            return []
        return [i for i in map(self._by_id.__getitem__, ids) if i.active and i.family in WEAK]

    def _load_entities(self, entities: Iterable[tuple[str, str]]) -> None:
        missing = [each for each in dict.fromkeys(entities) if each not in self._loaded]
        if missing:
            self._loaded.update(missing)
            self._fetch(tuple_(INCIDENTS.c.lane, INCIDENTS.c.entity).in_, missing, _ACTIVE)

    def _remember(self, incident: Incident) -> None:
        self._by_id[incident.id] = incident
        self._by_entity[incident.entity.lane, incident.entity.id].add(incident.id)

    def _behind(self, incident: Incident) -> list[Incident]:
        if incident.revision == 1:
            return []
        self._fetch(None, [], INCIDENTS.c.inhibited_by == incident.id)
        return [i for i in self._by_id.values() if i.inhibited_by == incident.id]

    def _get(self, id: str) -> Incident:
        if id not in self._by_id:
            self._fetch(INCIDENTS.c.id.in_, [id])
        return self._by_id[id]

    def _fetch(self, among: Any, names: Sequence[Any], *only: Any) -> list[str]:
        """Reads incidents that are not in memory yet; what is in memory is newer."""
        found = []
        for at in range(0, max(1, len(names)), CHUNK):
            query = select(INCIDENTS.c.id, INCIDENTS.c.latest, INCIDENTS.c.json).where(*only)
            if among is not None:
                if not names:
                    break
                query = query.where(among(names[at : at + CHUNK]))
            for id, latest, body in self._connection.execute(query.limit(MAX_COVERED)):
                found.append(id)
                if id in self._by_id:
                    continue
                incident = Incident.model_validate_json(body)
                self._remember(incident)
                if latest:
                    self._by_key.setdefault(incident.key, incident)
        return found

    def _store(self, numbers: Mapping[str, int]) -> None:
        new, changed, touched = [], [], []
        for id, number in numbers.items():
            incident = self._by_id[id]
            values = _columns(incident, number, due(incident, self._policy))
            if id in self._new:
                finding = self._news[id].to_json()
                new.append({"id": id, "latest": True, "finding": finding, **values})
            elif id in self._news:
                touched.append({"of": id, "finding": self._news[id].to_json(), **values})
            else:
                changed.append({"of": id, **values})
        if new:
            replace(self._connection, INCIDENTS, new)
        for rows in (changed, touched):  # one statement each: the columns differ
            if rows:
                names: dict[str, Any] = {name: bindparam(name) for name in rows[0] if name != "of"}
                mine = INCIDENTS.c.id == bindparam("of")
                self._connection.execute(update(INCIDENTS).where(mine).values(names), rows)
        note(self._connection, {id: (self._by_id[id], self._news.get(id)) for id in numbers})

    def _finding(self, incident: str) -> Finding:
        if (news := self._news.get(incident)) is None:
            query = select(INCIDENTS.c.finding).where(INCIDENTS.c.id == incident)
            body = self._connection.execute(query).scalar_one()
            news = self._news[incident] = Finding.model_validate_json(body)
        return news

    def _findings(self, incident: Incident) -> list[Finding]:
        c = FINDINGS.c
        named = tuple_(c.id, c.revision).in_([(p.id, p.revision) for p in incident.findings])
        rows = self._connection.execute(select(c.json).where(named).order_by(c.number))
        return [Finding.model_validate_json(body) for body in rows.scalars()]


WEAK = frozenset().union(*COVERS.values())  # families that another incident may cover


def _weight(incident: Incident) -> tuple[Any, ...]:
    """What decides which others it covers."""
    return (incident.active, incident.severity, incident.mode, incident.inhibited_by)


def _last_to_tell(steps: Iterable[Incident]) -> dict[str, Incident]:
    """Of several steps of one incident the last, as the loudest of them unless it is over."""
    told: dict[str, Incident] = {}
    for step in steps:
        if not step.shown:
            continue
        before = told.get(step.id)
        if before is not None and before.loud and not step.loud and step.active:
            step = step.model_copy(update={"change": before.change})
        told[step.id] = step
    return told


def _history(step: Incident) -> dict[str, Any]:
    last = step.history[-1]
    noted = last.at == step.changed and last.change == step.change
    return {
        "incident": step.id,
        "revision": step.revision,
        "at": step.changed.timestamp(),
        "by": last.by if noted else RUNNER,
        "change": step.change,
        "state": step.state,
        "rank": step.severity.rank,
        "reason": last.reason if noted else "",
        "until": step.until.timestamp() if step.until else None,
    }


def _columns(incident: Incident, number: int, end: datetime | None) -> dict[str, Any]:
    return {
        "key": incident.key,
        "state": incident.state,
        "active": incident.active,
        "rank": incident.severity.rank,
        "family": incident.family,
        "lane": incident.entity.lane,
        "entity": incident.entity.id,
        "tenant": incident.tenant,
        "mode": incident.mode,
        "owner": incident.owner,
        "opened": incident.opened.timestamp(),
        "changed": incident.changed.timestamp(),
        "last": incident.last.timestamp(),
        "due": end.timestamp() if end else None,
        "inhibited_by": incident.inhibited_by,
        "cost_usd": incident.cost_usd,
        "revision": incident.revision,
        "change": number,
        "json": incident.to_json(),
    }
