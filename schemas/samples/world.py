"""Two weeks of a dozen tenants: calm traffic, attacks of every family and their look-alikes.

A pure function of the seed. Events come a day at a time, in the order in which they would arrive:
by time, with up to two seconds of disorder.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from schemas.records import Control
from schemas.samples.agents import SESSIONS_A_DAY, calm_agents
from schemas.samples.calm import Incident, calm
from schemas.samples.clients import TENANTS, Client, make_clients, migrating, roaming
from schemas.samples.cross_tenant import (
    cross_tenant_read,
    learned_foreign_read,
    shared_session,
    support_engineer,
)
from schemas.samples.lines import HOUR_MS, MINUTE_MS, START_MS, Line, at
from schemas.samples.llmjacking import (
    deploy_burst,
    habit,
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

DAYS = 14
MAX_DISORDER_MS = 2000
TYPICAL_DISORDER_MS = 200


@dataclass(slots=True)
class World:
    """What will happen: clients, incidents and what is staged among them."""

    seed: int
    days: int
    clients: list[Client]
    sessions_a_day: int = SESSIONS_A_DAY
    incidents: list[Incident] = field(default_factory=list)
    staged: list[Staged] = field(default_factory=list)

    @property
    def attacks(self) -> list[Staged]:
        """What must be found, in the order of time."""
        return sorted((s for s in self.staged if s.attack), key=lambda s: s.start_ms)

    @property
    def lookalikes(self) -> list[Staged]:
        """What must stay quiet, in the order of time."""
        return sorted((s for s in self.staged if not s.attack), key=lambda s: s.start_ms)

    @property
    def controls(self) -> list[Control]:
        """What operators decided beforehand; to be fed before the events."""
        return [control for staged in self.staged for control in staged.controls]

    def lines(self) -> Iterator[list[Line]]:
        """The events of each day in order of arrival; a few of a day's end come with the next."""
        waiting = [line for staged in self.staged for line in staged.lines]
        rng = np.random.default_rng((self.seed, 5))
        for day in range(self.days):
            for client in self.clients:
                waiting += calm(self.seed, client, day, self.incidents)
            for tenant in dict.fromkeys(client.tenant for client in self.clients):
                waiting += calm_agents(self.seed, tenant, day, self.sessions_a_day)
            midnight = at(day + 1)
            today = [line for line in waiting if line.ms < midnight or day == self.days - 1]
            waiting = [line for line in waiting if line.ms >= midnight]
            yield in_order_of_arrival(today, rng)


def in_order_of_arrival(lines: list[Line], rng: np.random.Generator) -> list[Line]:
    """Sorted by time, after a random delay of each of up to two seconds."""
    delays = np.minimum(rng.exponential(TYPICAL_DISORDER_MS, len(lines)), MAX_DISORDER_MS)
    arrival = np.array([line.ms for line in lines]) + delays
    return [lines[i] for i in np.argsort(arrival, kind="stable").tolist()]


def calm_world(seed: int, days: int = DAYS, per_tenant: int = 5) -> World:
    """The same tenants with nothing staged; what is found here is false."""
    return World(seed, days, make_clients(seed, per_tenant))


def two_weeks(seed: int = 0) -> World:
    """The demo: one of each attack, and one of each look-alike, on different keys."""
    world = calm_world(seed)
    rng = np.random.default_rng((seed, 6))
    pick = _picker(rng, world.clients)

    def when(day: int) -> int:
        return at(day, 0) + int(rng.integers(9 * HOUR_MS, 18 * HOUR_MS))

    stolen = pick(lambda c: c.per_day > 300)
    start = when(9)
    world.staged += [
        key_probe_from_one_address(seed, when(5), [pick(), pick()]),
        key_probe_on_a_credential(seed, when(6), pick()),
        model_sweep(seed, when(7), pick()),
        stolen_key_burst(seed, start, stolen),
        slow_resale(seed, when(11), pick(lambda c: c.per_day > 200)),
        rate_limit_storm(seed, when(8), pick()),
        repeated_prompt(seed, when(10), pick()),
        runaway_agent(seed, when(12), pick()),
        deploy_burst(seed, when(9), pick(lambda c: c.per_day > 300)),
    ]
    a, b, c, d, e, f, g, h, i, j = rng.permutation(TENANTS)[:10].tolist()
    world.staged += [
        cross_tenant_read(seed, when(6), a, b),
        learned_foreign_read(seed, when(10), c, d),
        shared_session(seed, when(8), e, f),
        triple_charge(seed, when(7), g),
        stuck_tool_loop(seed, when(9), h),
        retry_after_failure(seed, when(5), i),
        status_polling(seed, when(11), j),
        support_engineer(seed, when(12), b, a),
    ]
    _traits(world, pick, when)
    return world


Fits = Callable[[Client], bool]


class Pick(Protocol):
    """Draws a client that fits and that nothing else was staged on."""

    def __call__(self, fits: Fits = ...) -> Client: ...


def _picker(rng: np.random.Generator, clients: list[Client]) -> Pick:
    free: list[Client] = [clients[i] for i in rng.permutation(len(clients)).tolist()]

    def pick(fits: Fits = lambda client: not client.cron_s) -> Client:
        for client in free:
            if fits(client):
                free.remove(client)
                return client
        raise LookupError("no free client fits")

    return pick


def _traits(world: World, pick: Pick, when: Callable[[int], int]) -> None:
    """Look-alikes that are a client's own way: roaming, migration, cron, a provider's incident."""
    last = at(world.days)

    def become(old: Client, new: Client) -> Client:
        world.clients[world.clients.index(old)] = new
        return new

    laptop = pick()
    become(laptop, roaming(laptop))
    world.staged.append(habit("roaming-laptop", [laptop], START_MS, last, "new-origin"))

    moving, moment = pick(lambda c: c.per_day > 200), when(8)
    target = "gpt-5.2" if moving.model != "gpt-5.2" else "gpt-4o"
    become(moving, migrating(moving, moment, target))
    world.staged.append(
        habit("model-migration", [moving], moment, last, "stolen-key-spend", "model-sweep")
    )

    checked = pick(lambda c: c.per_day > 100)
    become(checked, replace(checked, cron_s=120))
    checkers = [client for client in world.clients if client.cron_s]
    world.staged.append(habit("cron-prompt", checkers, START_MS, last, "repeated-call"))

    model, begin = pick(lambda c: c.per_day > 400).model, when(7)
    trouble = Incident(model, begin, begin + 25 * MINUTE_MS, 0.6)
    world.incidents.append(trouble)
    hit = [client for client in world.clients if model in (client.model, client.second_model)]
    tempted = ("rate-limit-storm", "repeated-call")
    world.staged.append(habit("provider-incident", hit, begin, trouble.end_ms, *tempted))
