"""Stolen keys, from the first probe to the resale, and the honest traffic that resembles them."""

import numpy as np

from schemas.finding import Family
from schemas.samples.clients import Client
from schemas.samples.lines import (
    HOUR_MS,
    MINUTE_MS,
    MODEL_NAMES,
    Line,
    Times,
    fingerprint,
    fingerprints,
    llm_lines,
)
from schemas.samples.staged import Staged, entity, stage

THIEF_AGENTS = ("axios/1.7.4", "Python/3.11 aiohttp/3.9.5", "python-urllib3/2.0.7")
THIEF_MODEL = "claude-opus-4-1"
RETRY_HABITS = ("provider-incident", "cron-prompt")
THIEF_TOKENS_IN, THIEF_TOKENS_OUT = 2500, 350  # medians of resold chats


def foreign_addresses(seed: int, *name: object, count: int) -> list[str]:
    """Addresses no client has, each in a network of its own (RFC 2544's range)."""
    rng = _rng(seed, "addresses", *name)
    networks = rng.choice(512, count, replace=False).tolist()
    return [f"198.{18 + n // 256}.{n % 256}.{int(rng.integers(1, 255))}" for n in networks]


def key_probe_from_one_address(
    seed: int, ms: int, live: list[Client], dead: int = 45, minutes: float = 8
) -> Staged:
    """One address tries a list of leaked keys; most are dead, the ones in `live` answer."""
    rng = _rng(seed, "list probe")
    [address] = foreign_addresses(seed, "list probe", count=1)
    times = ms + np.sort(rng.integers(0, int(minutes * MINUTE_MS), dead))
    lines: list[Line] = []
    for number, t in enumerate(times.tolist()):
        lines += llm_lines(
            (seed, "list probe", number),
            np.array([t]),
            tenant=None,
            key=fingerprint(seed, "leaked", number),
            model="gpt-4o-mini",
            address=address,
            agent=THIEF_AGENTS[1],
            prompt=fingerprint(seed, "hi"),
            tokens_in=9,
            tokens_out=0,
            status=401,
            event="llm.auth_failure",
        )
    for number, client in enumerate(live):
        lines += llm_lines(
            (seed, "list probe, live", number),
            np.array([ms + int((number + 1) * minutes * MINUTE_MS / (len(live) + 1))]),
            tenant=client.tenant,
            key=client.key,
            model="gpt-4o-mini",
            address=address,
            agent=THIEF_AGENTS[1],
            prompt=fingerprint(seed, "hi"),
            tokens_in=9,
            tokens_out=1,
        )
    named = (entity("origin", address), *(entity("credential", c.key) for c in live))
    return stage("key-probe-origin", "llmjacking", True, lines, named, ("key-probe",))


def key_probe_on_a_credential(seed: int, ms: int, client: Client, rounds: int = 4) -> Staged:
    """A reseller's key checker: two models at once, malformed on purpose, every three minutes."""
    [address] = foreign_addresses(seed, "checker", count=1)
    times = np.repeat(ms + np.arange(rounds) * 3 * MINUTE_MS, 2) + np.tile([0, 40], rounds)
    lines = llm_lines(
        (seed, "checker"),
        times,
        tenant=client.tenant,
        key=client.key,
        model=["claude-opus-4-1", "claude-sonnet-4-5"] * rounds,
        address=address,
        agent=THIEF_AGENTS[0],
        prompt=fingerprint(seed, "empty"),
        tokens_in=0,
        tokens_out=0,
        status=[400, 403] * rounds,
    )
    named = (entity("credential", client.key), entity("origin", address))
    detectors = ("key-probe", "new-origin")
    return stage("key-probe-credential", "llmjacking", True, lines, named, detectors)


def model_sweep(seed: int, ms: int, client: Client, models: int = 12) -> Staged:
    """Which models does this key open? A tiny question to each, within six minutes."""
    rng = _rng(seed, "sweep", client.key)
    [address] = foreign_addresses(seed, "sweep", count=1)
    tried = rng.choice(MODEL_NAMES, models, replace=False)
    lines = llm_lines(
        (seed, "sweep", client.key),
        ms + np.sort(rng.integers(0, 6 * MINUTE_MS, models)),
        tenant=client.tenant,
        key=client.key,
        model=tried,
        address=address,
        agent=THIEF_AGENTS[2],
        prompt=fingerprint(seed, "how many states"),
        tokens_in=12,
        tokens_out=3,
        status=np.where(rng.random(models) < 0.6, 403, 200),
    )
    named = (entity("credential", client.key), entity("origin", address))
    return stage("model-sweep", "llmjacking", True, lines, named, ("model-sweep",))


def stolen_key_burst(
    seed: int, ms: int, client: Client, calls: int = 9000, hours: float = 4, addresses: int = 12
) -> Staged:
    """The key is sold: many buyers, the dearest model, from networks it was never used from."""
    rng = _rng(seed, "burst", client.key)
    times = ms + np.sort(rng.integers(0, int(hours * HOUR_MS), calls))
    lines = _resold(rng, seed, "burst", client, times, addresses)
    named = (entity("credential", client.key),)
    detectors = ("stolen-key-spend", "new-origin")
    return stage("stolen-key-burst", "llmjacking", True, lines, named, detectors)


def slow_resale(seed: int, ms: int, client: Client, calls: int = 2500, hours: float = 40) -> Staged:
    """The same, patiently: a call a minute, round the clock."""
    rng = _rng(seed, "resale", client.key)
    times = ms + np.sort(rng.integers(0, int(hours * HOUR_MS), calls))
    lines = _resold(rng, seed, "resale", client, times, 15)
    named = (entity("credential", client.key),)
    detectors = ("stolen-key-spend", "new-origin")
    return stage("slow-resale", "llmjacking", True, lines, named, detectors)


def _resold(
    rng: np.random.Generator, seed: int, name: str, client: Client, times: Times, addresses: int
) -> list[Line]:
    n = len(times)
    places = np.array(foreign_addresses(seed, name, client.key, count=addresses), dtype=object)
    return llm_lines(
        (seed, name, client.key),
        times,
        tenant=client.tenant,
        key=client.key,
        model=THIEF_MODEL,
        address=places[rng.integers(0, addresses, n)],
        agent=THIEF_AGENTS[1],
        prompt=fingerprints(n, seed, name, client.key),
        tokens_in=np.rint(THIEF_TOKENS_IN * rng.lognormal(0, 0.6, n)).astype(int) + 1,
        tokens_out=np.rint(THIEF_TOKENS_OUT * rng.lognormal(0, 0.6, n)).astype(int) + 1,
        status=rng.choice([200, 429, 400], n, p=[0.96, 0.03, 0.01]),
    )


def deploy_burst(
    seed: int, ms: int, client: Client, times_usual: float = 4, minutes: float = 90
) -> Staged:
    """Look-alike: a deploy makes the owner's program call four times as often, from home."""
    rng = _rng(seed, "deploy", client.key)
    n = max(60, round(client.per_day / 1440 * minutes * 1.5 * times_usual))
    lines = llm_lines(
        (seed, "deploy", client.key),
        ms + np.sort(rng.integers(0, int(minutes * MINUTE_MS), n)),
        tenant=client.tenant,
        key=client.key,
        model=client.model,
        address=np.array(client.addresses[-1:], dtype=object)[np.zeros(n, int)],
        agent=client.agent,
        prompt=fingerprints(n, seed, "deploy", client.key),
        tokens_in=np.rint(client.tokens_in * rng.lognormal(0, 0.5, n)).astype(int) + 1,
        tokens_out=np.rint(client.tokens_out * rng.lognormal(0, 0.6, n)).astype(int) + 1,
    )
    named = (entity("credential", client.key),)
    tempted = ("stolen-key-spend", "rate-limit-storm")
    return stage("deploy-burst", "llmjacking", False, lines, named, tempted)


def habit(kind: str, clients: list[Client], start_ms: int, end_ms: int, *tempted: str) -> Staged:
    """Look-alike that is a trait of clients (roaming, a migration, a cron prompt): no events."""
    family: Family = "retry-storm" if kind in RETRY_HABITS else "llmjacking"
    named = tuple(entity("credential", client.key) for client in clients)
    return Staged(kind, family, False, named, tempted, start_ms, end_ms)


def _rng(seed: int, *name: object) -> np.random.Generator:
    return np.random.default_rng((seed, int(fingerprint(*name)[5:13], 16)))
