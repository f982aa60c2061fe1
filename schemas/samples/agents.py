"""Calm work of tool-calling agents: sessions that touch their own tenant's resources, and retry."""

import numpy as np

from schemas.samples.lines import DAY_MS, SECOND_MS, START_MS, Line, Times, fingerprint, tool_lines

SESSIONS_A_DAY = 25  # per tenant
OWNED = 150  # resources of a tenant that the registry knows
UNLISTED = 40  # resources of a tenant that no registry knows: their owner has to be learned
PUBLIC = 12  # pages that every tenant reads
GAP_S = 6.0  # median time between two calls of a session
ERROR_SHARE = 0.015

READS = ("get_order", "get_customer", "search_orders", "read_document", "read_handbook")
READ_WEIGHTS = (0.35, 0.2, 0.15, 0.2, 0.1)
EFFECTS = ("update_order", "send_email", "issue_refund")


def agent_key(seed: int, tenant: str) -> str:
    """The key all agents of a tenant use."""
    return fingerprint(seed, "agent", tenant)


def agent_address(tenant: str) -> str:
    """Where a tenant's agents run."""
    return f"10.9.{sum(tenant.encode()) % 256}.10"


def session_id(seed: int, *name: object) -> str:
    """The id of one agent run."""
    return "run-" + fingerprint(seed, "run", *name)[5:]


def owned_resource(seed: int, tenant: str, number: int) -> str:
    """A resource whose owner the events name."""
    return fingerprint(seed, "order", tenant, number % OWNED)


def unlisted_resource(seed: int, tenant: str, number: int) -> str:
    """A resource whose owner no event names; only its tenant uses it."""
    return fingerprint(seed, "document", tenant, number % UNLISTED)


def public_resource(seed: int, number: int) -> str:
    """A page that belongs to nobody and is read by everybody."""
    return fingerprint(seed, "handbook", number % PUBLIC)


def calm_agents(seed: int, tenant: str, day: int, sessions: int = SESSIONS_A_DAY) -> list[Line]:
    """All tool calls of one tenant's agents on one day."""
    rng = np.random.default_rng((seed, 4, day, int(agent_key(seed, tenant)[5:13], 16)))
    weekend = (day + 3) % 7 >= 5
    lines: list[Line] = []
    for number in range(int(rng.poisson(sessions * (0.4 if weekend else 1.0)))):
        lines += _session(rng, seed, tenant, day, number)
    return lines


def _session(rng: np.random.Generator, seed: int, tenant: str, day: int, number: int) -> list[Line]:
    begin = START_MS + day * DAY_MS + int(rng.normal(13, 3.5) % 24 * 3600 * SECOND_MS)
    calls = int(rng.integers(3, 10))
    home = int(rng.zipf(1.6))  # the order this conversation is about
    tools, resources, owners, args, effects = [], [], [], [], []
    for _ in range(calls):
        tool = str(rng.choice(READS, p=READ_WEIGHTS))
        thing: str | None
        if tool == "read_handbook":
            thing, owner = public_resource(seed, int(rng.zipf(1.5))), None
        elif tool == "read_document":
            thing, owner = unlisted_resource(seed, tenant, int(rng.zipf(1.4))), None
        elif tool == "search_orders":
            thing, owner = None, None
        else:
            thing, owner = owned_resource(seed, tenant, home), tenant
        tools.append(tool)
        resources.append(thing)
        owners.append(owner)
        args.append(fingerprint(tool, thing, int(rng.integers(10**9)) if thing is None else 0))
        effects.append(False)
    if rng.random() < 0.6:  # many runs end with one action
        tools.append(str(rng.choice(EFFECTS)))
        resources.append(owned_resource(seed, tenant, home))
        owners.append(tenant)
        args.append(fingerprint(seed, tenant, day, number, "action"))
        effects.append(True)
    keep = [i for i in range(len(tools)) if (tools[i], args[i]) not in _pairs(tools, args, i, 2)]
    failed = [i for i in keep if rng.random() < ERROR_SHARE]
    order = sorted(keep + failed)
    ok = [
        not (i in failed and (j + 1 < len(order) and order[j + 1] == i))
        for j, i in enumerate(order)
    ]
    return tool_lines(
        (seed, "calm run", tenant, day, number),
        _times(rng, begin, len(order)),
        tenant=tenant,
        key=agent_key(seed, tenant),
        session=session_id(seed, tenant, day, number),
        tool=[tools[i] for i in order],
        args=[args[i] for i in order],
        address=agent_address(tenant),
        resource=[resources[i] for i in order],
        owner=[owners[i] for i in order],
        side_effect=[effects[i] for i in order],
        ok=ok,
        idempotency=[
            fingerprint(seed, tenant, day, number, i) if effects[i] else None for i in order
        ],
        destination=[
            fingerprint(tenant, "mail", home) if tools[i] == "send_email" else None for i in order
        ],
    )


def _pairs(tools: list[str], args: list[str], end: int, times: int) -> set[tuple[str, str]]:
    """Calls already made `times` times: an agent that works does not ask a third time."""
    seen = list(zip(tools[:end], args[:end], strict=True))
    return {pair for pair in seen if seen.count(pair) >= times}


def _times(rng: np.random.Generator, begin: int, n: int) -> Times:
    gaps = rng.lognormal(np.log(GAP_S), 0.8, n) * SECOND_MS
    return begin + np.cumsum(gaps).astype(np.int64)
