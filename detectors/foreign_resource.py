"""One tenant's agent touching what belongs to another."""

from collections.abc import Iterable

from detectors.base import Detector, Verdict, atlas, attack, owasp
from detectors.memory import Memory
from schemas.decode import Record
from schemas.finding import About, Severity

OWNED_AFTER = 4  # uses by one tenant alone that make it the likely owner
SETTLED_MS = 300_000  # uses newer than this are not counted: others may still arrive
HORIZON_MS = 7 * 86_400_000
MAX_RESOURCES = 200_000  # remembered per generation


class ForeignResource(Detector):
    """Flags a tool call on a resource whose owner is another tenant.

    The owner is known from the event (`resource.owner.tenant_id`: a registry, a resolver). Where it
    is unknown it is learned: a resource that one tenant alone used four times or more is probably
    theirs, and somebody else's first use is worth a look.

    Source: Asana's MCP server returned other customers' records for 34 days in 2025 because it
    resolved ids without the tenant; one join on the owner's id would have shown the first one.
    Blind spot: a resource used too rarely to have a learned owner; a wrong registry.

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
        blind_spot="a resource used too rarely to have a learned owner; a wrong registry",
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
            owner = self._learned_owner(resource, tenant, time_ms, event.status)
        if owner is None or owner == tenant:
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

    def _learned_owner(
        self, resource: str, tenant: str, time_ms: int, status: str | None
    ) -> str | None:
        """The one tenant that used this resource often, if this tenant never did."""
        uses = self._memory.get(resource) or []
        settled = [one for one in uses if one[0] <= time_ms - SETTLED_MS]
        tenants = {one[1] for one in settled}
        if status != "error":
            self._memory.put(resource, _kept(sorted([*uses, [time_ms, tenant]])))
        if len(tenants) == 1 and len(settled) >= OWNED_AFTER:
            return str(next(iter(tenants)))
        return None


def _kept(uses: list[list[object]]) -> list[list[object]]:
    """The earliest uses, and the first by anybody else: enough to know a lone owner."""
    others = [use for use in uses[OWNED_AFTER:] if use[1] != uses[0][1]]
    return uses[:OWNED_AFTER] + others[:1]


def _severity(known: bool, reached: bool) -> Severity:
    if known:
        return Severity.CRITICAL if reached else Severity.HIGH
    return Severity.MEDIUM if reached else Severity.LOW
