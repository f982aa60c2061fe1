"""One tenant's agent touching what belongs to another."""

from collections.abc import Iterable

from detectors.base import Detector, Verdict, atlas, attack, owasp
from detectors.memory import Memory
from detectors.settled import HOUR_MS, SETTLED_MS, count, counted
from schemas.decode import Record
from schemas.finding import About, Severity

OWNED_AFTER = 4  # uses by one tenant alone that make it the likely owner, whatever the tool
PRIVATE_USES = 50  # repeated uses of a tool's resources before one earlier use is enough
PRIVATE_SHARE = 0.02  # of them by another tenant, at most: then the tool's resources are private
MAX_TOOL_USES = 4000  # after which older uses count half
HORIZON_MS = 7 * 24 * HOUR_MS
MAX_RESOURCES = 200_000  # remembered per generation


class ForeignResource(Detector):
    """Flags a tool call on a resource whose owner is another tenant.

    The owner is known from the event (`resource.owner.tenant_id`: a registry, a resolver). Where it
    is unknown it is learned: a resource that one tenant alone used four times or more is probably
    theirs. Where nearly everything one tool reads stays with the tenant that read it first, a
    single earlier use is enough; a tool that reads handbooks never gets there.

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
        needs=("tenant.id", "resource.id", "resource.owner.tenant_id"),
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
        mine = [time_ms, self.entity(event)]
        first = self._memory.get(name)
        if first is not None and first[1] != mine[1] and first[0] <= time_ms - SETTLED_MS:
            return True
        if first is None or mine < first:
            self._memory.put(name, mine)
        return False

    def _learned_owner(self, event: Record, time_ms: int) -> str | None:
        """The tenant that used this resource before, if this one never did and that is telling."""
        name, tenant = f"use\0{event.resource_id}", event.tenant_id
        uses = self._memory.get(name) or []
        settled = [one for one in uses if one[0] <= time_ms - SETTLED_MS]
        tenants = {one[1] for one in settled}
        if event.status != "error":
            self._memory.put(name, _kept(sorted([*uses, [time_ms, tenant]])))
            if settled:
                self._count(event.tool_name, time_ms, tenant not in tenants)
        if not settled or tenant in tenants:
            return None
        lone = len(tenants) == 1 and len(settled) >= OWNED_AFTER
        return str(settled[0][1]) if lone or self._private(event.tool_name, time_ms) else None

    def _count(self, tool: str | None, time_ms: int, crossed: bool) -> None:
        """Notes that a resource was used again: by a tenant that had used it, or by another."""
        name = f"tool\0{tool}"
        known = self._memory.get(name) or []
        self._memory.put(name, count(known, time_ms, 1, crossed, most=MAX_TOOL_USES))

    def _private(self, tool: str | None, time_ms: int) -> bool:
        """Whether hardly anything this tool reads is read by two tenants."""
        used, crossed = counted(self._memory.get(f"tool\0{tool}") or [], time_ms) or (0, 0)
        return used >= PRIVATE_USES and crossed <= PRIVATE_SHARE * used


def _kept(uses: list[list[object]]) -> list[list[object]]:
    """The earliest uses, and the first by anybody else: enough to know a lone owner."""
    others = [use for use in uses[OWNED_AFTER:] if use[1] != uses[0][1]]
    return uses[:OWNED_AFTER] + others[:1]


def _severity(known: bool, reached: bool) -> Severity:
    if known:
        return Severity.CRITICAL if reached else Severity.HIGH
    return Severity.MEDIUM if reached else Severity.LOW
