"""Seeded sample traffic: calm keys and agents, attacks of every family, and their look-alikes.

`two_weeks(seed)` is the demo's world, `calm_world(seed)` the same with nothing wrong. Each attack
and each look-alike is a function of its own that returns a `Staged` with its events.
"""

from schemas.samples.agents import calm_agents
from schemas.samples.calm import Incident, calm
from schemas.samples.clients import TENANTS, Client, make_clients, migrating, roaming
from schemas.samples.cross_tenant import (
    cross_tenant_read,
    learned_foreign_read,
    shared_session,
    support_engineer,
)
from schemas.samples.lines import Line, at, fingerprint, llm_lines, tool_lines
from schemas.samples.llmjacking import (
    deploy_burst,
    key_probe_from_one_address,
    key_probe_on_a_credential,
    model_sweep,
    slow_resale,
    stolen_key_burst,
)
from schemas.samples.retry_storm import (
    rate_limit_storm,
    repeated_prompt,
    retry_after_failure,
    runaway_agent,
    status_polling,
    stuck_tool_loop,
    triple_charge,
)
from schemas.samples.staged import Staged
from schemas.samples.world import World, calm_world, in_order_of_arrival, two_weeks

__all__ = [
    "TENANTS",
    "Client",
    "Incident",
    "Line",
    "Staged",
    "World",
    "at",
    "calm",
    "calm_agents",
    "calm_world",
    "cross_tenant_read",
    "deploy_burst",
    "fingerprint",
    "in_order_of_arrival",
    "key_probe_from_one_address",
    "key_probe_on_a_credential",
    "learned_foreign_read",
    "llm_lines",
    "make_clients",
    "migrating",
    "model_sweep",
    "rate_limit_storm",
    "repeated_prompt",
    "retry_after_failure",
    "roaming",
    "runaway_agent",
    "shared_session",
    "slow_resale",
    "status_polling",
    "stolen_key_burst",
    "stuck_tool_loop",
    "support_engineer",
    "tool_lines",
    "triple_charge",
    "two_weeks",
]
