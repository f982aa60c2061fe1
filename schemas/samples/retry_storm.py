"""Loops, storms and double charges, and the patient programs that resemble them."""

from typing import Any

import numpy as np

from schemas.samples.agents import agent_address, agent_key, owned_resource, session_id
from schemas.samples.clients import Client
from schemas.samples.lines import (
    MINUTE_MS,
    SECOND_MS,
    Line,
    Times,
    fingerprint,
    fingerprints,
    llm_lines,
    tool_lines,
)
from schemas.samples.staged import Staged, entity, stage


def rate_limit_storm(
    seed: int, ms: int, client: Client, per_second: float = 5, minutes: float = 20
) -> Staged:
    """A program that answers every 429 with an immediate new try."""
    rng = np.random.default_rng((seed, 11))
    n = round(per_second * 60 * minutes)
    lines = _calls(
        seed,
        "storm",
        client,
        ms + np.sort(rng.integers(0, int(minutes * MINUTE_MS), n)),
        prompt=[fingerprint(seed, "storm", i % 4) for i in range(n)],
        tokens_in=client.tokens_in,
        status=np.where(rng.random(n) < 0.95, 429, 200),
    )
    named = (entity("credential", client.key),)
    return stage("rate-limit-storm", "retry-storm", True, lines, named, ("rate-limit-storm",))


def repeated_prompt(
    seed: int, ms: int, client: Client, period_s: float = 2, minutes: float = 40
) -> Staged:
    """A loop that asks the same question again and again, and pays for every answer."""
    times = ms + (np.arange(minutes * 60 / period_s) * period_s * SECOND_MS).astype(np.int64)
    lines = _calls(
        seed, "loop", client, times, prompt=fingerprint(seed, "loop"), tokens_in=client.tokens_in
    )
    named = (entity("credential", client.key),)
    return stage("repeated-prompt", "retry-storm", True, lines, named, ("repeated-call",))


def runaway_agent(
    seed: int, ms: int, client: Client, period_s: float = 8, minutes: float = 90
) -> Staged:
    """An agent that never stops: its context grows with each step, and so does each bill."""
    times = ms + (np.arange(minutes * 60 / period_s) * period_s * SECOND_MS).astype(np.int64)
    lines = _calls(
        seed,
        "runaway",
        client,
        times,
        prompt=fingerprints(len(times), seed, "runaway"),
        tokens_in=np.minimum(2000 + 900 * np.arange(len(times)), 128_000),
        conversation=session_id(seed, client.key, "runaway"),
    )
    named = (
        entity("credential", client.key),
        entity("session", session_id(seed, client.key, "runaway")),
    )
    return stage("runaway-agent", "retry-storm", True, lines, named, ("stolen-key-spend",))


def stuck_tool_loop(seed: int, ms: int, tenant: str, times: int = 14) -> Staged:
    """An agent that makes one call, fails, and makes it again without changing anything."""
    session = session_id(seed, tenant, "stuck")
    resource = owned_resource(seed, tenant, 9)
    lines = _action(
        seed,
        "stuck",
        tenant,
        session,
        ms + np.arange(times) * 7 * SECOND_MS,
        tool="search_orders",
        resource=resource,
        side_effect=False,
        ok=False,
    )
    named = (entity("session", session), entity("credential", agent_key(seed, tenant)))
    return stage("stuck-tool-loop", "retry-storm", True, lines, named, ("repeated-call",))


def triple_charge(seed: int, ms: int, tenant: str) -> Staged:
    """A refund that had succeeded is sent twice more, each time under a new idempotency key."""
    session = session_id(seed, tenant, "triple charge")
    resource = owned_resource(seed, tenant, 2)
    lines = _action(
        seed,
        "triple charge",
        tenant,
        session,
        ms + np.array([0, 21, 55]) * SECOND_MS,
        tool="issue_refund",
        resource=resource,
        idempotency=[fingerprint(seed, "once", i) for i in range(3)],
    )
    named = (entity("session", session), entity("resource", resource))
    return stage("triple-charge", "retry-storm", True, lines, named, ("duplicate-side-effect",))


def retry_after_failure(seed: int, ms: int, tenant: str) -> Staged:
    """Look-alike: a charge timed out twice and is sent again under the same idempotency key."""
    session = session_id(seed, tenant, "honest retry")
    resource = owned_resource(seed, tenant, 6)
    lines = _action(
        seed,
        "honest retry",
        tenant,
        session,
        ms + np.array([0, 4, 12]) * SECOND_MS,
        tool="issue_refund",
        resource=resource,
        ok=[False, False, True],
        idempotency=fingerprint(seed, "honest retry"),
    )
    named = (entity("session", session), entity("resource", resource))
    tempted = ("duplicate-side-effect", "repeated-call")
    return stage("retry-after-failure", "retry-storm", False, lines, named, tempted)


def status_polling(
    seed: int, ms: int, tenant: str, period_s: float = 10, minutes: float = 20
) -> Staged:
    """Look-alike: an agent asks every ten seconds whether a long job is done."""
    session = session_id(seed, tenant, "polling")
    times = ms + (np.arange(minutes * 60 / period_s) * period_s * SECOND_MS).astype(np.int64)
    resource = fingerprint(seed, "job", tenant)
    lines = _action(
        seed,
        "polling",
        tenant,
        session,
        times,
        tool="get_job_status",
        resource=resource,
        side_effect=False,
    )
    named = (entity("session", session), entity("credential", agent_key(seed, tenant)))
    return stage("status-polling", "retry-storm", False, lines, named, ("repeated-call",))


def _calls(seed: int, name: str, client: Client, times: Times, **columns: Any) -> list[Line]:
    return llm_lines(
        (seed, name, client.key),
        times,
        tenant=client.tenant,
        key=client.key,
        model=client.model,
        address=client.addresses[-1],
        agent=client.agent,
        tokens_out=client.tokens_out,
        **columns,
    )


def _action(
    seed: int,
    name: str,
    tenant: str,
    session: str,
    times: Times,
    *,
    tool: str,
    resource: str,
    side_effect: bool = True,
    **columns: Any,
) -> list[Line]:
    return tool_lines(
        (seed, name, tenant),
        times,
        tenant=tenant,
        key=agent_key(seed, tenant),
        session=session,
        tool=tool,
        args=fingerprint(seed, name, tenant, "arguments"),
        address=agent_address(tenant),
        resource=resource,
        owner=tenant,
        side_effect=side_effect,
        **columns,
    )
