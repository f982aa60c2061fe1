"""Scenes in which tenants meet or data leaves, and of honest work like it."""

import numpy as np

from schemas.samples.agents import agent_address, agent_key, session_id
from schemas.samples.clients import TENANTS
from schemas.samples.leaks import errands, injected_errand, newsletter
from schemas.samples.lines import HOUR_MS, SECOND_MS, Line, at, fingerprint, tool_lines
from schemas.samples.trials import Trial, arrived

NOON = at(1, 12)


def _tenants(seed: int, count: int) -> list[str]:
    """So many different tenants, others for each seed."""
    chosen: list[str] = np.random.default_rng((seed, 400)).permutation(TENANTS)[:count].tolist()
    return chosen


def injected(seed: int) -> list[bytes]:
    """An errand on which somebody else's instruction was read."""
    rng, [tenant] = np.random.default_rng((seed, 401)), _tenants(seed, 1)
    staged = injected_errand(seed, NOON, tenant, sessions=int(rng.integers(15, 24)))
    return arrived(staged.lines, seed)


def usual_errands(seed: int) -> list[bytes]:
    """Errands to a few usual places."""
    rng, [tenant] = np.random.default_rng((seed, 402)), _tenants(seed, 1)
    return arrived(errands(seed, NOON, tenant, int(rng.integers(20, 60)), places=1), seed)


def letters(seed: int) -> list[bytes]:
    """Letters to somebody new each time."""
    rng, [tenant] = np.random.default_rng((seed, 403)), _tenants(seed, 1)
    return arrived(newsletter(seed, NOON, tenant, int(rng.integers(20, 60))).lines, seed)


def _work(seed: int, tenant: str, number: int, errand: int, ends: list[str]) -> list[Line]:
    """One run of an errand: two calls, the same each time, and acts without a destination."""
    tools = [f"open_{errand}", "read_notes", *ends]
    name = (seed, "work", tenant, number)
    return tool_lines(
        name,
        NOON + number * HOUR_MS + np.arange(len(tools)) * 6 * SECOND_MS,
        tenant=tenant,
        key=agent_key(0, tenant),
        session=session_id(seed, "work", tenant, number),
        tool=tools,
        args=[fingerprint(seed, tenant, tool, errand * (tool not in ends)) for tool in tools],
        address=agent_address(tenant),
        side_effect=[tool in ends for tool in tools],
    )


def _works(seed: int, scene: int, odd: list[int]) -> list[bytes]:
    """Errands of three kinds, and then some that also delete something."""
    rng, [tenant] = np.random.default_rng((seed, scene)), _tenants(seed, 1)
    kinds = rng.permutation(np.repeat(np.arange(3), int(rng.integers(16, 24)))).tolist()
    lines = [x for n, kind in enumerate(kinds) for x in _work(seed, tenant, n, kind, ["save"])]
    for n, kind in enumerate(odd, len(kinds)):
        lines += _work(seed, tenant, n, kind, ["delete", "save"])
    return arrived(lines, seed)


def whatever_the_errand(seed: int) -> list[bytes]:
    """The same deletion on three errands that have nothing in common."""
    return _works(seed, 404, np.random.default_rng((seed, 405)).permutation(3).tolist())


def tidying(seed: int) -> list[bytes]:
    """A deletion that now belongs to one of the errands."""
    return _works(seed, 406, [seed % 3] * 5)


TRIALS = {
    "exfil-footprint": Trial((injected, whatever_the_errand), (usual_errands, letters, tidying))
}
