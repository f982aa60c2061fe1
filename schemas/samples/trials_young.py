"""Scenes of keys that were never used before: sold unused, or made for a new project.

`per` is how many calls stand for one that is looked at.
"""

from typing import Any

import numpy as np

from schemas.samples.clients import TENANTS
from schemas.samples.lines import HOUR_MS, Line, Times, at, fingerprint, fingerprints
from schemas.samples.plain import lines_of
from schemas.samples.trials import Trial, arrived

DAYS = 3  # of the tenant's other keys, before something happens
SAMPLE = 16  # calls of which one is looked at
OWN, DEAREST = "gpt-4o", "claude-opus-4-1"
KEYS = 5  # of the tenant


def _rng(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng((seed, 75, sum(name.encode())))


def _calls(
    seed: int, name: str, key: str, ms: Times, addresses: list[str], model: str, **more: Any
) -> list[Line]:
    """Calls of one key, each from one of its addresses."""
    rng, count = _rng(seed, f"{name}/{key}"), len(ms)
    named = {
        "api_key_id": fingerprint(seed, "trial", key),
        "tenant_id": TENANTS[seed % len(TENANTS)],
        "request_model": model,
        "provider_name": "example",
        "client_address": rng.choice(addresses, count).tolist(),
        "client_address_quality": "peer",
        "user_agent": "OpenAI/Python 1.99.1",
        "http_status": 200,
        "status": "ok",
        "content_input_hash": fingerprints(count, seed, name, key, "prompt"),
        "input_tokens": np.rint(rng.lognormal(7.5, 0.5, count)).astype(int),
        "output_tokens": np.rint(rng.lognormal(5.8, 0.5, count)).astype(int),
        "cost_usd": np.round(rng.uniform(0.001, 0.01, count), 6),
    }
    return lines_of((seed, name, key), ms, **{**named, **more})


def _times(seed: int, name: str, begin: int, hours: float, count: int) -> Times:
    found: Times = begin + np.sort(_rng(seed, name).integers(0, round(hours * HOUR_MS), count))
    return found


def _tenant(seed: int, per: int, days: int = DAYS + 1) -> list[Line]:
    """What the tenant's other keys do, each at home."""
    lines = []
    for number in range(KEYS):
        ms = _times(seed, f"home/{number}", at(0), 24.0 * days, 20 * days * per)
        lines += _calls(seed, "home", f"k{number}", ms, [f"10.1.{number}.1"], OWN)
    return lines


def _dear(seed: int, name: str, count: int) -> Any:
    return np.round(_rng(seed, name).uniform(0.03, 0.12, count), 6)


def sold_unused(seed: int, per: int = 1) -> list[bytes]:
    """A leaked key that its owner never used is sold to many, for the tenant's own model."""
    rng = _rng(seed, "sold")
    addresses = [f"198.18.{place}.7" for place in range(int(rng.integers(12, 40)))]
    ms = _times(seed, "sold", at(DAYS, int(rng.integers(0, 12))), rng.uniform(1, 8), 40 * per)
    return arrived([*_tenant(seed, per), *_calls(seed, "sold", "new", ms, addresses, OWN)], seed)


def dearest_model(seed: int, per: int = 1) -> list[bytes]:
    """A key that was never used works for one thief, on a model that the tenant never paid for."""
    rng, count = _rng(seed, "dearest"), 40 * per
    ms = _times(seed, "dearest", at(DAYS, int(rng.integers(0, 12))), rng.uniform(1, 5), count)
    costs = _dear(seed, "dearest/usd", count)
    more = _calls(seed, "dearest", "new", ms, ["198.18.0.9"], DEAREST, cost_usd=costs)
    return arrived([*_tenant(seed, per), *more], seed)


def new_project(seed: int, per: int = 1) -> list[bytes]:
    """A new key for the tenant's own model, from the few addresses of a new service."""
    rng = _rng(seed, "project")
    addresses = [f"10.9.0.{place}" for place in range(int(rng.integers(1, 6)))]
    ms = _times(seed, "project", at(DAYS, 8), 12, 100 * per)
    costs = _dear(seed, "project/usd", len(ms))
    more = _calls(seed, "project", "new", ms, addresses, OWN, cost_usd=costs)
    return arrived([*_tenant(seed, per), *more], seed)


def dearer_at_home(seed: int, per: int = 1) -> list[bytes]:
    """One of the tenant's programs moves to a dear model, where it always ran."""
    ms = _times(seed, "dearer", at(DAYS, 8), 12, 60 * per)
    costs = _dear(seed, "dearer/usd", len(ms))
    more = _calls(seed, "dearer", "k0", ms, ["10.1.0.1"], DEAREST, cost_usd=costs)
    return arrived([*_tenant(seed, per), *more], seed)


def new_tenant(seed: int, per: int = 1) -> list[bytes]:
    """A tenant begins with a fleet of machines and a dear model on its first day."""
    addresses = [f"10.8.0.{place}" for place in range(30)]
    ms = _times(seed, "begins", at(DAYS, 8), 10, 80 * per)
    costs = _dear(seed, "begins/usd", len(ms))
    other = TENANTS[(seed + 1) % len(TENANTS)]
    named = {"cost_usd": costs, "tenant_id": other}
    more = _calls(seed, "begins", "new", ms, addresses, DEAREST, **named)
    return arrived([*_tenant(seed, per), *more], seed)


def machines_of_the_tenant(seed: int, per: int = 1) -> list[bytes]:
    """A new key runs on machines that other keys of its tenant have run on."""
    addresses = [f"10.7.0.{place}" for place in range(20)]
    before = _times(seed, "before", at(0), 24.0 * DAYS, 400 * per)
    ms = _times(seed, "machines", at(DAYS, 8), 6, 80 * per)
    lines = _calls(seed, "before", "k0", before, addresses, OWN)
    lines += _calls(seed, "machines", "new", ms, addresses, OWN)
    return arrived([*_tenant(seed, per), *lines], seed)


TRIALS = {
    "unlike-tenant": Trial(
        (sold_unused, dearest_model),
        (new_project, dearer_at_home, new_tenant, machines_of_the_tenant),
        thinned=SAMPLE,
    ),
}
