"""A small day of traffic with attacks that need no long habit, for tests of whole processes."""

from collections.abc import Sequence

from schemas.samples import (
    TENANTS,
    World,
    at,
    cross_tenant_read,
    key_probe_from_one_address,
    make_clients,
    rate_limit_storm,
    shared_session,
    stuck_tool_loop,
    triple_charge,
)

HOUR_MS = 3_600_000


def small_day(seed: int = 0, hours: Sequence[int] = (9, 13, 17), clients: int = 12) -> list[bytes]:
    """Some thousands of canonical lines, in order of arrival.

    Args:
        hours: when a round of attacks begins.
        clients: how many keys also do their usual work.
    """
    world = World(seed, 1, make_clients(seed, 1), sessions_a_day=1)
    a, b, c, d, e, *_ = TENANTS
    keys = world.clients
    world.clients = keys[:clients]
    for hour in hours:
        ms = at(0, 0) + hour * HOUR_MS
        world.staged += [
            key_probe_from_one_address(seed + hour, ms, keys[:2]),
            cross_tenant_read(seed + hour, ms + 600_000, a, b),
            shared_session(seed + hour, ms + 900_000, c, d),
            triple_charge(seed + hour, ms + 1_200_000, e),
            stuck_tool_loop(seed + hour, ms + 1_500_000, a),
            rate_limit_storm(seed + hour, ms + 1_800_000, keys[4], per_second=2, minutes=5),
        ]
    return [line.data for day in world.lines() for line in day]
