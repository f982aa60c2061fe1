"""Scenes of stolen keys from the first probe to the resale, on keys that work on; and of owners."""

from dataclasses import replace
from typing import Any

import numpy as np

from schemas.samples.calm import calm
from schemas.samples.clients import Client, make_clients, migrating, roaming
from schemas.samples.lines import MINUTE_MS, MODEL_NAMES, Line, at, fingerprint
from schemas.samples.llmjacking import (
    deploy_burst,
    key_probe_from_one_address,
    model_sweep,
    stolen_key_burst,
)
from schemas.samples.trials import Trial, arrived
from schemas.samples.trials_keys import rng_of, tries, work

DAYS = 4  # of work before something happens
NOON = at(DAYS, 12)


def _client(seed: int) -> Client:
    """A client of moderate size that has no health check; another one for each seed."""
    fit = [one for one in make_clients(seed) if 150 < one.per_day < 600 and not one.cron_s]
    return fit[seed % len(fit)]


def _days(seed: int, client: Client, days: int = DAYS + 1) -> list[Line]:
    return [line for day in range(days) for line in calm(seed, client, day)]


# --- key-probe ------------------------------------------------------------------------------


def list_of_keys(seed: int) -> list[bytes]:
    """One address walks a list of leaked keys, most of them dead."""
    dead = int(rng_of(seed, "list").integers(6, 60))
    return arrived(key_probe_from_one_address(seed, at(0, 12), [], dead).lines, seed)


def what_does_it_open(seed: int) -> list[bytes]:
    """A checker tries some models on a working key and is refused."""
    rng = rng_of(seed, "opens")
    count = int(rng.integers(3, 9))
    lines = work(seed, "k", "acme", "10.1.1.1", at(0), at(1))
    models = rng.choice(MODEL_NAMES, count, replace=False).tolist()
    ms = at(0, 12) + np.sort(rng.integers(0, 2 * MINUTE_MS, count))
    refused: dict[str, Any] = {"request_model": models, "http_status": 403, "status": "error"}
    return arrived(lines + tries(seed, "k", "198.18.7.7", ms, **refused), seed)


def expired_in_one_place(seed: int) -> list[bytes]:
    """A program goes on with a key that has expired, for hours, on its two models."""
    ms = at(0, 8) + np.arange(400) * 30_000
    refused: dict[str, Any] = {
        "http_status": 401,
        "status": "error",
        "request_model": ["gpt-4o", "nova-pro"] * 200,
    }
    return arrived(tries(seed, "k", "10.1.1.1", ms, **refused), seed)


def office_after_rotation(seed: int) -> list[bytes]:
    """Four programs behind one address still hold keys that were rotated."""
    ms = at(0, 8) + np.arange(60) * MINUTE_MS
    lines = []
    for number in range(4):
        refused: dict[str, Any] = {"http_status": 401, "status": "error"}
        lines += tries(seed, f"k{number}", "10.1.1.1", ms + number, **refused)
    return arrived(lines, seed)


# --- model-sweep, stolen-key-spend, new-origin ----------------------------------------------


def sweep(seed: int) -> list[bytes]:
    """Somebody tries what a key opens, a tiny question to each model."""
    client = _client(seed)
    staged = model_sweep(seed, NOON, client, int(rng_of(seed, "sweep").integers(5, 14)))
    return arrived([*_days(seed, client), *staged.lines], seed)


def burst(seed: int) -> list[bytes]:
    """The key is sold and used by many."""
    rng, client = rng_of(seed, "burst"), _client(seed)
    staged = stolen_key_burst(
        seed,
        NOON,
        client,
        calls=int(rng.integers(1000, 5000)),
        hours=float(rng.uniform(0.5, 4)),
        addresses=int(rng.integers(1, 20)),
    )
    return arrived([*_days(seed, client), *staged.lines], seed)


def migration(seed: int) -> list[bytes]:
    """The owner's program moves to another model."""
    client = _client(seed)
    target = "gpt-5.2" if client.model != "gpt-5.2" else "gpt-4o"
    return arrived(_days(seed, migrating(client, NOON, target), DAYS + 2), seed)


def deployment(seed: int) -> list[bytes]:
    """A deployment makes the owner's program call several times as often, from home."""
    client = _client(seed)
    times = float(rng_of(seed, "deploy").uniform(2, 5))
    return arrived([*_days(seed, client), *deploy_burst(seed, NOON, client, times).lines], seed)


def laptop(seed: int) -> list[bytes]:
    """A key on a laptop that changes its network every few hours."""
    return arrived(_days(seed, roaming(_client(seed)), DAYS + 2), seed)


def upgrade(seed: int) -> list[bytes]:
    """The owner's program gets a new client library, at home."""
    client = _client(seed)
    newer = replace(client, agent=f"{client.agent}.{fingerprint(seed)[5:8]}")
    lines = [*_days(seed, client, DAYS), *calm(seed, newer, DAYS)]
    return arrived(lines, seed)


TRIALS = {
    "key-probe": Trial(
        (list_of_keys, what_does_it_open), (expired_in_one_place, office_after_rotation)
    ),
    "model-sweep": Trial((sweep,), (migration, laptop)),
    "stolen-key-spend": Trial((burst,), (deployment, migration)),
    "new-origin": Trial((burst,), (laptop, upgrade, migration)),
}
