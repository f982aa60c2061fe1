"""Scenes in which tenants meet or data leaves, and of honest work like it."""

import numpy as np

from schemas.samples.clients import TENANTS
from schemas.samples.leaks import errands, injected_errand, newsletter
from schemas.samples.lines import at
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


TRIALS = {"exfil-footprint": Trial((injected,), (usual_errands, letters))}
