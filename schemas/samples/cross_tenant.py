"""Tenants that meet where they must not, and a support engineer who may."""

from collections.abc import Sequence

import numpy as np

from schemas.records import Control
from schemas.samples.agents import (
    agent_address,
    agent_key,
    owned_resource,
    session_id,
    unlisted_resource,
)
from schemas.samples.lines import HOUR_MS, SECOND_MS, Line, fingerprint, instant, tool_lines
from schemas.samples.staged import Staged, entity, stage


def cross_tenant_read(seed: int, ms: int, thief: str, owner: str) -> Staged:
    """An agent reads a record whose owner, as the registry says, is another tenant."""
    session = session_id(seed, thief, "cross read")
    resource = owned_resource(seed, owner, 7)
    lines = _reads(seed, "cross read", ms, thief, session, [resource], [owner], "get_order")
    named = (entity("session", session), entity("resource", resource))
    return stage("cross-tenant-read", "cross-tenant", True, lines, named, ("foreign-resource",))


def learned_foreign_read(seed: int, ms: int, thief: str, owner: str) -> Staged:
    """The same where no registry exists: only one tenant ever used this document until now."""
    session = session_id(seed, thief, "unlisted read")
    resource = unlisted_resource(seed, owner, 1)
    lines = _reads(seed, "unlisted read", ms, thief, session, [resource], [None], "read_document")
    named = (entity("session", session), entity("resource", resource))
    return stage("learned-foreign-read", "cross-tenant", True, lines, named, ("foreign-resource",))


def shared_session(seed: int, ms: int, first: str, second: str) -> Staged:
    """A transport shared by two clients: one session id carries calls of two tenants."""
    session = session_id(seed, first, second, "shared")
    lines: list[Line] = []
    for number in range(6):
        tenant = (first, second)[number % 2]
        resource = owned_resource(seed, tenant, number)
        when = ms + number * 8 * SECOND_MS
        lines += _reads(
            seed, f"shared {number}", when, tenant, session, [resource], [tenant], "get_order"
        )
    named = (entity("session", session),)
    return stage("shared-session", "cross-tenant", True, lines, named, ("shared-session",))


def support_engineer(seed: int, ms: int, home: str, visited: str) -> Staged:
    """Look-alike: support reads a customer's records under an exception given beforehand."""
    session = session_id(seed, home, visited, "support")
    resources = [owned_resource(seed, visited, n) for n in (3, 4, 5)]
    lines = _reads(
        seed, "support", ms, home, session, resources, [visited] * len(resources), "get_order"
    )
    named = (entity("session", session), *(entity("resource", r) for r in resources))
    exceptions = tuple(
        Control(
            id=f"support-{fingerprint(seed, thing.id)[5:]}",
            action="exception",
            detector="foreign-resource",
            entity=thing,
            owner="support-lead",
            reason="ticket 4711: the customer asked us to look",
            effective=instant(ms - HOUR_MS),
            until=instant(ms + 8 * HOUR_MS),
        )
        for thing in named
    )
    tempted = ("foreign-resource", "shared-session")
    return stage("support-engineer", "cross-tenant", False, lines, named, tempted, exceptions)


def _reads(
    seed: int,
    name: str,
    ms: int,
    tenant: str,
    session: str,
    resources: Sequence[str],
    owners: Sequence[str | None],
    tool: str,
) -> list[Line]:
    return tool_lines(
        (seed, name, tenant),
        ms + np.arange(len(resources)) * 6 * SECOND_MS,
        tenant=tenant,
        key=agent_key(seed, tenant),
        session=session,
        tool=tool,
        args=[fingerprint(tool, r, 0) for r in resources],
        address=agent_address(tenant),
        resource=list(resources),
        owner=list(owners),
    )
