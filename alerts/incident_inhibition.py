"""Which incident covers which: people hear of the cause, not also of what follows from it."""

from collections.abc import Iterable

from alerts.incident import Incident
from schemas.finding import Family

COVERS: dict[Family, frozenset[Family]] = {  # on one entity: a thief's calls are also a storm
    "llmjacking": frozenset({"retry-storm"}),
    "cross-tenant": frozenset({"retry-storm"}),
}


def covers(stronger: Incident, weaker: Incident) -> bool:
    """Whether people who know of one need not hear of the other.

    On one entity a stronger family covers a weaker one that is no more severe. A storm on a service
    (a provider, a model, a tool) covers the storms of the clients that use it.
    """
    if not stronger.active or stronger.id == weaker.id or stronger.mode == "monitor":
        return False
    if stronger.inhibited_by is not None:
        return False  # nobody heard of it; one that is snoozed somebody knows
    if stronger.entity == weaker.entity:
        weak = COVERS.get(stronger.family, frozenset())
        return weaker.family in weak and weaker.severity.rank <= stronger.severity.rank
    if stronger.entity.lane != "service" or weaker.entity.lane == "service":
        return False
    if not stronger.family == weaker.family == "retry-storm":
        return False
    service = stronger.entity.id
    names = {service, service.rpartition("/")[2]}  # "openai/gpt-4o" and "gpt-4o"
    return bool(names & set(weaker.services))


def coverer(weaker: Incident, others: Iterable[Incident]) -> Incident | None:
    """The incident that covers this one; the most severe, then the oldest, of several."""
    found = [other for other in others if covers(other, weaker)]
    return min(found, key=lambda i: (-i.severity.rank, i.opened, i.id), default=None)
