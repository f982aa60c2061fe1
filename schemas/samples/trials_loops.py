"""Scenes of what runs away and wastes, and of patient programs like it."""

import numpy as np

from schemas.samples.calm import calm
from schemas.samples.clients import Client, make_clients
from schemas.samples.lines import Line, at
from schemas.samples.loops import document_batch, finished_agent, growing_agent
from schemas.samples.trials import Trial, arrived

NOON = at(1, 12)


def _client(seed: int) -> Client:
    """A client of moderate size; another one for each seed."""
    fit = [client for client in make_clients(seed) if 150 < client.per_day < 600]
    return fit[seed % len(fit)]


def _day(seed: int, client: Client) -> list[Line]:
    return [line for day in (0, 1) for line in calm(seed, client, day)]


def growing(seed: int) -> list[bytes]:
    """An agent whose context grows, on a key with calls of its own."""
    rng, client = np.random.default_rng((seed, 301)), _client(seed)
    staged = growing_agent(
        seed,
        NOON,
        client,
        steps=int(rng.integers(50, 200)),
        step_tokens=int(rng.integers(400, 1500)),
        period_s=float(rng.uniform(5, 20)),
        named=bool(rng.random() < 0.5),
    )
    return arrived([*_day(seed, client), *staged.lines], seed)


def finished(seed: int) -> list[bytes]:
    """Agents that grow for a while and are done."""
    rng, client = np.random.default_rng((seed, 302)), _client(seed)
    staged = finished_agent(seed, NOON, client, int(rng.integers(4, 20)))
    return arrived([*_day(seed, client), *staged.lines], seed)


def documents(seed: int) -> list[bytes]:
    """Documents of every size, one after the other."""
    rng, client = np.random.default_rng((seed, 303)), _client(seed)
    staged = document_batch(seed, NOON, client, int(rng.integers(100, 600)))
    return arrived([*_day(seed, client), *staged.lines], seed)


TRIALS = {"runaway-session": Trial((growing,), (finished, documents))}
