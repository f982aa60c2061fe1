"""One tenant's agent touching what belongs to another."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from detectors.base import Detector, Verdict, atlas, attack, owasp
from detectors.events import Events
from detectors.memory import Memory
from detectors.settled import HOUR_MS, SETTLED_MS, count, counted
from schemas.decode import Record
from schemas.finding import About, Severity

OWNED_AFTER = 4  # uses by one tenant alone that make it the likely owner, whatever the tool
PRIVATE_REUSED = 30  # resources of a tool that were used again, before one earlier use is enough
PRIVATE_SHARE = 0.2  # of them to which a second tenant came back, at most: then they are private
MAX_REUSED = 4000  # after which older ones count half
HORIZON_MS = 7 * 24 * HOUR_MS
MAX_TOOLS = 16  # that use one resource
MAX_RESOURCES = 200_000  # remembered per generation


class ForeignResource(Detector):
    """Flags a tool call on a resource whose owner is another tenant.

    The owner is known from the event (`resource.owner.tenant_id`: a registry, a resolver). Where it
    is unknown it is learned: a resource that one tenant alone used four times or more is probably
    theirs. Where hardly ever a second tenant comes back to what one tool reads, a single earlier
    use is enough; a tool that reads handbooks never gets there.

    The same tenant reaching the same resource again in another session is told again after a week.

    Source: Asana's MCP server returned other customers' records for 34 days in 2025 because it
    resolved ids without the tenant; one join on the owner's id would have shown the first one.
    Blind spot: a resource that its owner never used while we watched; a wrong registry.

    >>> from schemas.testing import record
    >>> event = record(kind="agent.tool_call", tenant="acme", resource="doc", owner="globex")
    >>> [verdict.severity.value for verdict in ForeignResource().inspect(event, 0)]
    ['critical']
    """

    about = About(
        id="foreign-resource",
        title="A tenant reached another tenant's resource",
        family="cross-tenant",
        severity=Severity.CRITICAL,
        techniques=(
            atlas("AML.T0085.001", "Data from AI Services: AI Agent Tools"),
            attack("T1213", "Data from Information Repositories"),
            owasp("LLM02", "Sensitive Information Disclosure"),
        ),
        runbook=(
            "Stop the tool or the session; it may be reading more.",
            "List everything this session and this tool touched since then.",
            "Find out why the tool does not check the tenant; tell the owner's tenant.",
        ),
        blind_spot="a resource that its owner never used while we watched; a wrong registry",
        needs=("tenant.id", "resource.id"),
        helps=("resource.owner.tenant_id",),
    )
    takes = "resource_call"
    lane = "session"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._memory = Memory(HORIZON_MS, MAX_RESOURCES)

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        return event.conversation_id or event.session_id or event.api_key_id

    def pick(self, events: Events) -> Iterable[int]:
        own = events.hashes("resource_owner_tenant_id") == events["tenant"]
        return np.flatnonzero(~own).tolist()

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        tenant, resource, owner = event.tenant_id, event.resource_id, event.resource_owner_tenant_id
        if (
            tenant is None
            or resource is None
            or not self.allowed.isdisjoint((tenant, event.user_id, event.api_key_id))
        ):
            return ()
        known = owner is not None
        if owner is None:
            owner = self._learned_owner(event, time_ms)
        if owner is None or owner == tenant or self._again(event, owner, time_ms):
            return ()
        reached = event.status != "error" and event.status != "blocked"
        return (
            Verdict(
                f"tenant {'reached' if reached else 'tried to reach'} a resource of another tenant"
                + ("" if known else ", judging by who used it before"),
                {"owner": owner, "owner_known": known, "tool": event.tool_name},
                severity=_severity(known, reached),
                parts=(resource, owner, tenant),
            ),
        )

    def _again(self, event: Record, owner: str, time_ms: int) -> bool:
        """Whether this tenant was told to have reached this resource in an earlier session."""
        name = f"told\0{event.tenant_id}\0{event.resource_id}\0{owner}"
        mine = [time_ms, self.entity(event) or ""]
        first = self._memory.get(name)
        if first is not None and first[1] != mine[1] and first[0] <= time_ms - SETTLED_MS:
            return True
        if first is None or mine < first:
            self._memory.put(name, mine)
        return False

    def _learned_owner(self, event: Record, time_ms: int) -> str | None:
        """The tenant that used this resource before, if this one never did and that is telling."""
        name, tenant, tool = f"use\0{event.resource_id}", event.tenant_id, event.tool_name
        state: dict[str, Any] = self._memory.get(name) or {"uses": []}
        settled = [one for one in state["uses"] if one[0] <= time_ms - SETTLED_MS]
        tenants = {one[1] for one in settled}
        crossed = bool(settled) and tenant not in tenants
        if event.status != "error":
            state["uses"] = _kept(sorted([*state["uses"], [time_ms, tenant]]))
            if settled:
                self._note(state, "again", tool, time_ms)
            if settled and tenant in tenants and tenant != settled[0][1]:
                self._note(state, "shared", tool, time_ms)
            self._memory.put(name, state)
        if not crossed:
            return None
        again, shared = counted(self._memory.get(f"tool\0{tool}") or [], time_ms) or (0, 0)
        private = shared <= PRIVATE_SHARE * again
        lone = len(tenants) == 1 and len(settled) >= OWNED_AFTER
        return str(settled[0][1]) if private and (lone or again >= PRIVATE_REUSED) else None

    def _note(self, state: dict[str, Any], what: str, tool: str | None, time_ms: int) -> None:
        """Counts a resource once for a tool, in the hour of the earliest event that says so."""
        noted: dict[str, int] = state.setdefault(what, {})
        name = f"tool\0{tool}"
        earliest = noted.get(name)
        if (earliest is not None and time_ms >= earliest) or len(noted) >= MAX_TOOLS:
            return
        noted[name] = time_ms
        for at, by in ((time_ms, 1), (earliest, -1)):
            if at is not None:
                amounts = (by, 0) if what == "again" else (0, by)
                known = self._memory.get(name) or []
                self._memory.put(name, count(known, at, *amounts, most=MAX_REUSED))


def _kept(uses: list[list[object]]) -> list[list[object]]:
    """The earliest uses, and the first by anybody else: enough to know a lone owner."""
    others = [use for use in uses[OWNED_AFTER:] if use[1] != uses[0][1]]
    return uses[:OWNED_AFTER] + others[:1]


def _severity(known: bool, reached: bool) -> Severity:
    if known:
        return Severity.CRITICAL if reached else Severity.HIGH
    return Severity.MEDIUM if reached else Severity.LOW
