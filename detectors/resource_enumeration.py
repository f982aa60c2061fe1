"""A session that walks over ids to see which of them it can reach."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from detectors.base import Detector, Verdict, atlas, attack, owasp
from detectors.events import Events
from detectors.long_memory import LongMemory
from detectors.memory import Memory
from detectors.settled import HOUR_MS, SETTLED_MS, settled_hour
from schemas.decode import Record
from schemas.finding import About, Severity

REFUSED = 10  # different resources refused to one session within `SPAN_MS`
NEW = 20  # different resources that are new to the tenant and not known to be its own
ABOVE_USUAL = 2.0  # times what the tenant has reached in two different hours of the last week
NOTABLE = 8  # fewer say nothing about a tenant's habit
SPAN_MS = 600_000
REFUSALS = ("error", "blocked")  # statuses
MAX_IDS = 512  # of one session of a tenant
MOST_USUAL = 384  # beyond it a tenant's habit is too near to what can be counted
MAX_HOURS = 48
HORIZON_MS = 7 * 24 * HOUR_MS
MAX_RESOURCES = 200_000  # and sessions, remembered per generation


class ResourceEnumeration(Detector):
    """Flags a session that is refused many resources, or uses many that its tenant never used.

    Somebody who tries ids meets those that do not exist or are not theirs; where nothing is
    refused, they reach what their tenant never touched before. An export over the tenant's own
    records is neither, and a tenant that reads new records in bulk every night has that as a habit.

    Source: 20 ids or 10 refusals in ten minutes; Panther's rule for chat histories needs 50
    refusals. Real agents touch 5 resources in a session, 27 at most (tau-bench).
    Blind spot: a walk slower than ten minutes for twenty ids, or spread over many sessions; by a
    tenant that usually reaches more than 384 new resources in ten minutes.

    >>> from schemas.testing import record
    >>> detector, told = ResourceEnumeration(), []
    >>> for number in range(12):
    ...     tried = record(kind="agent.tool_call", tenant="acme", session="s", status="error",
    ...         resource=f"order-{number}")
    ...     told += [(number, v.summary) for v in detector.inspect(tried, 5000 * number)]
    >>> told[0]
    (9, '10 different resources were refused to one session within 10 minutes')
    """

    about = About(
        id="resource-enumeration",
        title="A session walks over resources that are not known to be its own",
        family="cross-tenant",
        severity=Severity.MEDIUM,
        techniques=(
            atlas("AML.T0085.001", "Data from AI Services: AI Agent Tools"),
            attack("T1087", "Account Discovery"),
            owasp("LLM06", "Excessive Agency"),
        ),
        runbook=(
            "Look at the ids: do they follow each other, or come from a list?",
            "See which of them were answered, and whose they are.",
            "Limit how many different resources one session may touch; make ids hard to guess.",
        ),
        blind_spot="a walk slower than twenty ids in ten minutes, or spread over many sessions;"
        " by a tenant that usually reaches more than 384 new resources in ten minutes",
        needs=("tenant.id", "gen_ai.conversation.id", "resource.id", "status"),
    )
    takes = "resource_call"
    lane = "session"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._memory = LongMemory(HOUR_MS, MAX_RESOURCES, HORIZON_MS)

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        return event.conversation_id or event.session_id

    def pick(self, events: Events) -> Iterable[int]:
        own = events.hashes("resource_owner_tenant_id") == events["tenant"]
        return np.flatnonzero(~own | events.words("status", *REFUSALS)).tolist()

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        session, tenant, resource = self.entity(event), event.tenant_id, event.resource_id
        if session is None or tenant is None or resource is None:
            return
        if not self.allowed.isdisjoint((tenant, event.user_id, event.api_key_id)):
            return
        refused = event.status in REFUSALS
        new = not refused and event.resource_owner_tenant_id != tenant
        new = new and not self._used(tenant, resource, time_ms)
        kind = "refused" if refused else "new"
        if not (refused or new):
            return
        name, mine = f"{kind}\0{tenant}\0{session}", [time_ms, event.event_id]
        ids: dict[str, list[Any]] = self._memory.get(name) or {}
        before = ids.get(resource)
        if before is None and len(ids) >= MAX_IDS:
            ids = {one: at for one, at in ids.items() if at[0] > time_ms - SPAN_MS - SETTLED_MS}
        if len(ids) >= MAX_IDS if before is None else before <= mine:
            return  # what there was to say was said
        ids[resource] = mine
        self._memory.put(name, ids)
        run = _densest(sorted(ids.values()))
        usual = 0 if refused else self._usual(tenant, run)
        if len(run) >= (REFUSED if refused else _limit(usual)):
            what = "were refused to" if refused else "that its tenant never used were reached by"
            yield Verdict(
                f"{len(run)} different resources {what} one session within 10 minutes",
                {
                    "resources": len(run),
                    "usual": usual,
                    "refused": refused,
                    "tool": event.tool_name,
                },
                severity=Severity.HIGH if refused else None,
                parts=(kind, tenant),
                decisive=(run[-1][1], run[-1][0]),
                others=tuple((id, at) for at, id in reversed(run[:-1])),
            )

    def _used(self, tenant: str, resource: str, time_ms: int) -> bool:
        """Whether the tenant used the resource long enough before."""
        name = f"used\0{tenant}\0{resource}"
        first = self._memory.long.get(name)
        if first is None or time_ms < first[0]:
            self._memory.long.put(name, [time_ms])
        else:
            self._memory.long.keep(name, first)
        return first is not None and first[0] < time_ms - SETTLED_MS

    def _usual(self, tenant: str, run: list[list[Any]]) -> int:
        """What came up in two different hours before this one; remembers this one."""
        name, hour = f"usual\0{tenant}", run[-1][0] // HOUR_MS
        hours = dict(self._memory.long.get(name) or ())
        if len(run) >= NOTABLE and len(run) > hours.get(hour, 0):
            hours[hour] = len(run)
            newest = sorted(one for one in hours.items())[-MAX_HOURS:]
            self._memory.long.put(name, [list(one) for one in newest])
        until = settled_hour(run[-1][0])
        past = sorted(count for at, count in hours.items() if at < until)
        return past[-2] if len(past) > 1 else 0


def _limit(usual: int) -> float:
    """So many new resources are too many for a tenant; no more can be reached than are counted."""
    if usual > MOST_USUAL:
        return MAX_IDS + 1
    return max(NEW, min(ABOVE_USUAL * usual, MAX_IDS))


def _densest(times: list[list[Any]]) -> list[list[Any]]:
    """The most of these that lie within ten minutes; of equals the last."""
    best = (0, 0)
    start = 0
    for end in range(len(times)):
        while times[end][0] - times[start][0] >= SPAN_MS:
            start += 1
        if end + 1 - start >= best[1] - best[0]:
            best = (start, end + 1)
    return times[slice(*best)]
