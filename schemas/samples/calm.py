"""Traffic of one key on one day in which nothing is wrong: diurnal, bursty, with honest retries."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from schemas.samples.clients import Client
from schemas.samples.lines import (
    DAY_MS,
    MINUTE_MS,
    SECOND_MS,
    START_MS,
    Line,
    Times,
    fingerprint,
    fingerprints,
    llm_lines,
)

ERROR_SHARE = 0.015
ERROR_STATUS = (429, 500, 503, 400, 403)
ERROR_WEIGHTS = (0.55, 0.15, 0.15, 0.13, 0.02)
RETRIES = 4
RETRY_SHARE = 0.7  # the others give up at once
BURSTINESS = 0.7  # shape of the gamma noise on the rate of ten minutes; smaller is burstier
WEEKEND = 0.45


@dataclass(frozen=True, slots=True)
class Incident:
    """A provider in trouble: a share of the calls to one model fails for a while."""

    model: str
    start_ms: int
    end_ms: int
    share: float


def calm(seed: int, client: Client, day: int, incidents: Sequence[Incident] = ()) -> list[Line]:
    """The client's calls that begin on day `day` (0 is 1 October 2026), in no special order."""
    rng = np.random.default_rng((seed, 2, day, int(client.key[5:13], 16)))
    ms = _arrivals(rng, client, day)
    n = len(ms)
    model = np.full(n, client.model, dtype=object)
    if client.second_model:
        model[rng.random(n) < 0.15] = client.second_model
    address = _addresses(seed, client, ms, rng)
    prompt = np.array(fingerprints(n, seed, client.key, day), dtype=object)
    tokens_in = np.rint(client.tokens_in * rng.lognormal(0, 0.5, n)).astype(int) + 1
    tokens_out = np.rint(client.tokens_out * rng.lognormal(0, 0.6, n)).astype(int) + 1
    if client.cron_s:
        checks = _checks(client, day)
        k = len(checks)
        ms = np.concatenate([ms, checks])
        model = np.concatenate([model, np.full(k, client.model, dtype=object)])
        address = np.concatenate([address, np.full(k, client.addresses[0], dtype=object)])
        prompt = np.concatenate([prompt, [fingerprint(seed, client.key, "health")] * k])
        tokens_in, tokens_out = np.append(tokens_in, [60] * k), np.append(tokens_out, [8] * k)
    if client.migration:
        model[ms >= client.migration[0]] = client.migration[1]
    status, source = _outcomes(rng, ms, model, incidents)
    ms = ms[source] + np.concatenate([np.zeros(len(ms), np.int64), _backoff(rng, source, len(ms))])
    n = len(ms)
    tokens_in = tokens_in[source]
    return llm_lines(
        (seed, client.key, day),
        ms,
        tenant=client.tenant,
        key=client.key,
        model=model[source],
        address=address[source],
        agent=client.agent,
        prompt=prompt[source],
        tokens_in=tokens_in,
        tokens_out=tokens_out[source],
        cached=(tokens_in * client.cached * (rng.random(n) < 0.8)).astype(int),
        status=status,
        latency_ms=rng.lognormal(6.8, 0.5, n).astype(int),
    )


def _arrivals(rng: np.random.Generator, client: Client, day: int) -> Times:
    starts = START_MS + day * DAY_MS + np.arange(144) * 10 * MINUTE_MS
    hours = np.arange(144) / 6
    wave = 0.5 + 0.5 * np.cos((hours - client.peak_hour) * 2 * np.pi / 24)
    weight = client.night + (1 - client.night) * wave
    weekend = (day + 3) % 7 >= 5  # 1 October 2026 is a Thursday
    rate = client.per_day * weight / weight.sum() * (WEEKEND if weekend else 1.0)
    counts = rng.poisson(rate * rng.gamma(BURSTINESS, 1 / BURSTINESS, 144))
    within = rng.integers(0, 10 * MINUTE_MS, counts.sum())
    return np.asarray(np.sort(np.repeat(starts, counts) + within), np.int64)


def _checks(client: Client, day: int) -> Times:
    step = client.cron_s * SECOND_MS
    return np.arange(START_MS + day * DAY_MS, START_MS + (day + 1) * DAY_MS, step, dtype=np.int64)


def _addresses(
    seed: int, client: Client, ms: Times, rng: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    """Each call's address; the place that moves is a pure function of seed, key and time."""
    moves = np.random.default_rng((seed, 3, int(client.key[5:13], 16)))
    days = 60
    changes = np.sort(moves.integers(0, days * DAY_MS, moves.poisson(client.moves_per_day * days)))
    stay = np.searchsorted(START_MS + changes, ms, side="right")
    places = [client.addresses[0]]
    for _ in changes:  # RFC 6598: shared by the customers of access providers
        second, third, last = moves.integers([64, 0, 1], [128, 256, 255]).tolist()
        places.append(f"100.{second}.{third}.{last}")
    which = rng.integers(0, len(client.addresses), len(ms))
    chosen = [
        places[s] if w == 0 else client.addresses[w]
        for s, w in zip(stay.tolist(), which.tolist(), strict=True)
    ]
    return np.array(chosen, dtype=object)


def _outcomes(
    rng: np.random.Generator, ms: Times, model: np.ndarray, incidents: Sequence[Incident]
) -> tuple[np.ndarray, np.ndarray]:
    """Status of every attempt, and which call it belongs to; attempts of a call are in order."""
    failing = np.full(len(ms), ERROR_SHARE)
    for incident in incidents:
        hit = (model == incident.model) & (ms >= incident.start_ms) & (ms < incident.end_ms)
        failing[hit] = incident.share
    status = np.full(len(ms), 200)
    bad = np.flatnonzero(rng.random(len(ms)) < failing)
    status[bad] = rng.choice(ERROR_STATUS, len(bad), p=ERROR_WEIGHTS)
    statuses, sources = [status], [np.arange(len(ms))]
    again = bad[(rng.random(len(bad)) < RETRY_SHARE) & (status[bad] >= 429)]
    for _ in range(RETRIES):
        failed = rng.random(len(again)) < np.maximum(failing[again], 0.2)
        statuses.append(np.where(failed, 429, 200))
        sources.append(again)
        again = again[failed]
    return np.concatenate(statuses), np.concatenate(sources)


def _backoff(rng: np.random.Generator, source: np.ndarray, calls: int) -> Times:
    """How long after its call each retry comes: 1, 2, 4, 8 s with jitter, added up."""
    waited: dict[int, float] = {}
    tries: dict[int, int] = {}
    delays = []
    for call in source[calls:].tolist():
        attempt = tries.get(call, 0)
        tries[call] = attempt + 1
        waited[call] = waited.get(call, 0.0) + 2.0**attempt * float(rng.uniform(0.5, 1.5))
        delays.append(round(waited[call] * SECOND_MS))
    return np.array(delays, np.int64)
