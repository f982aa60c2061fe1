"""Scenes of what runs away and wastes, and of patient programs like it."""

from dataclasses import replace

import numpy as np

from schemas.samples.agents import calm_agents
from schemas.samples.calm import Incident, calm
from schemas.samples.clients import Client, make_clients
from schemas.samples.lines import Line, at
from schemas.samples.loops import document_batch, finished_agent, growing_agent
from schemas.samples.retry_storm import (
    rate_limit_storm,
    repeated_prompt,
    retry_after_failure,
    status_polling,
    stuck_tool_loop,
    triple_charge,
)
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


def storm(seed: int) -> list[bytes]:
    """A program that answers every 429 with an immediate new try."""
    rng, client = np.random.default_rng((seed, 304)), _client(seed)
    staged = rate_limit_storm(seed, NOON, client, float(rng.uniform(2, 8)), minutes=4)
    return arrived([*_day(seed, client), *staged.lines], seed)


def incident(seed: int) -> list[bytes]:
    """A provider in trouble for an hour, and a client that waits longer each time."""
    client = replace(_client(seed), per_day=3000.0, cron_s=0)
    trouble = Incident(client.model, at(0, 12), at(0, 13), 0.9)
    return arrived(calm(seed, client, 0, [trouble]), seed)


def paid_loop(seed: int) -> list[bytes]:
    """The same question, asked and paid for every few seconds."""
    rng, client = np.random.default_rng((seed, 305)), _client(seed)
    staged = repeated_prompt(seed, NOON, client, float(rng.uniform(1, 5)), minutes=15)
    return arrived([*_day(seed, client), *staged.lines], seed)


def stuck_agent(seed: int) -> list[bytes]:
    """One tool call that fails, and is made again without a change."""
    rng = np.random.default_rng((seed, 306))
    return arrived(stuck_tool_loop(seed, NOON, "acme", int(rng.integers(5, 30))).lines, seed)


def health_check(seed: int) -> list[bytes]:
    """A check every minute with one fixed prompt."""
    client = replace(_client(seed), cron_s=int(np.random.default_rng(seed).integers(60, 300)))
    return arrived(calm(seed, client, 0), seed)


def polling(seed: int) -> list[bytes]:
    """An agent that asks every few seconds whether a job is done, and is answered."""
    rng = np.random.default_rng((seed, 307))
    return arrived(status_polling(seed, NOON, "acme", float(rng.uniform(3, 20))).lines, seed)


def charged_thrice(seed: int) -> list[bytes]:
    """A refund that had succeeded is sent twice more."""
    return arrived([*_agents(seed), *triple_charge(seed, NOON, "acme").lines], seed)


def honest_retry(seed: int) -> list[bytes]:
    """A charge that timed out twice is sent again under the same idempotency key."""
    return arrived([*_agents(seed), *retry_after_failure(seed, NOON, "acme").lines], seed)


def _agents(seed: int) -> list[Line]:
    return [line for day in (0, 1) for line in calm_agents(seed, "acme", day)]


TRIALS = {
    "runaway-session": Trial((growing,), (finished, documents)),
    "rate-limit-storm": Trial((storm,), (incident, health_check)),
    "repeated-call": Trial((paid_loop, stuck_agent), (health_check, polling, honest_retry)),
    "duplicate-side-effect": Trial((charged_thrice,), (honest_retry, polling)),
}
