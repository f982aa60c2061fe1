"""More that runs away, and the patient programs that resemble it: long runs, stubborn clients."""

from typing import Any

import numpy as np

from schemas.samples.agents import session_id
from schemas.samples.clients import Client
from schemas.samples.lines import (
    MINUTE_MS,
    SECOND_MS,
    Line,
    Times,
    fingerprints,
    llm_lines,
)
from schemas.samples.staged import Staged, entity, stage


def growing_agent(
    seed: int,
    ms: int,
    client: Client,
    steps: int = 60,
    step_tokens: int = 700,
    period_s: float = 9,
    named: bool = False,
) -> Staged:
    """An agent whose context grows with every step; the client's own calls lie between its own.

    Args:
        named: whether its events name the conversation.
    """
    rng = np.random.default_rng((seed, 31))
    run = session_id(seed, client.key, "growing")
    grown = np.cumsum(rng.uniform(0.6, 1.4, steps) * step_tokens)
    lines = _calls(
        (seed, "growing", client.key),
        client,
        ms + np.cumsum(rng.gamma(4, period_s / 4, steps) * SECOND_MS).astype(np.int64),
        prompt=fingerprints(steps, seed, "growing", client.key),
        tokens_in=(2000 + grown).astype(int),
        conversation=run if named else None,
    )
    who = (entity("credential", client.key), entity("session", run))
    return stage("growing-agent", "retry-storm", True, lines, who, ("runaway-session",))


def finished_agent(seed: int, ms: int, client: Client, runs: int = 6) -> Staged:
    """Look-alike: agents that read a lot, grow for a dozen steps, and are done."""
    rng = np.random.default_rng((seed, 32))
    lines: list[Line] = []
    for run in range(runs):
        steps = int(rng.integers(5, 13))
        sizes = 9000 + np.cumsum(rng.integers(300, 3000, steps))
        lines += _calls(
            (seed, "finished", run, client.key),
            client,
            ms + run * 20 * MINUTE_MS + np.cumsum(rng.integers(5, 20, steps) * SECOND_MS),
            prompt=fingerprints(steps, seed, "finished", run),
            tokens_in=sizes.astype(int),
        )
    who = (entity("credential", client.key),)
    return stage("finished-agent", "retry-storm", False, lines, who, ("runaway-session",))


def document_batch(seed: int, ms: int, client: Client, calls: int = 200) -> Staged:
    """Look-alike: documents of every size are summarised, one after the other."""
    rng = np.random.default_rng((seed, 33))
    lines = _calls(
        (seed, "documents", client.key),
        client,
        ms + np.cumsum(rng.integers(2, 9, calls) * SECOND_MS),
        prompt=fingerprints(calls, seed, "documents"),
        tokens_in=np.minimum(rng.lognormal(10.3, 0.6, calls), 128_000).astype(int),
    )
    who = (entity("credential", client.key),)
    return stage("document-batch", "retry-storm", False, lines, who, ("runaway-session",))


def _calls(name: tuple[object, ...], client: Client, times: Times, **columns: Any) -> list[Line]:
    return llm_lines(
        name,
        times,
        tenant=client.tenant,
        key=client.key,
        model=client.model,
        address=client.addresses[0],
        agent=client.agent,
        tokens_out=client.tokens_out,
        **columns,
    )
