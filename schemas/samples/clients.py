"""Who calls models in the samples: a dozen tenants, their keys, and where each key is used from."""

from dataclasses import dataclass, replace

import numpy as np

from schemas.samples.lines import fingerprint

TENANTS = (
    "acme",
    "birch-bank",
    "cobalt-games",
    "delta-clinic",
    "elm-school",
    "fjord-freight",
    "garnet-legal",
    "harbor-hotels",
    "iris-insurance",
    "juniper-media",
    "kite-robotics",
    "lumen-energy",
)
AGENTS = (
    "OpenAI/Python 1.99.1",
    "Anthropic/Python 0.69.0",
    "langchain/0.3.27",
    "litellm/1.77.2",
    "acme-gateway/4.2",
    "node-fetch/3.3.2",
)
HOUSE_MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "claude-haiku-4-5", "gemini-2.5-pro")
KEYS_PER_TENANT = 5
BUSIEST_PER_DAY = 750  # mean calls a day of a tenant's busiest key


@dataclass(frozen=True, slots=True)
class Client:
    """One key in one program: what it usually does.

    Attributes:
        per_day: mean calls a day.
        peak_hour: UTC hour of most traffic.
        night: rate at the quietest hour, as a share of the busiest.
        addresses: where it calls from; one is replaced now and then.
        moves_per_day: mean number of such replacements a day.
        cron_s: period of a health check with one fixed prompt; 0 for none.
        migration: (ms, model) from when another model is used.
    """

    tenant: str
    key: str
    model: str
    second_model: str | None
    agent: str
    addresses: tuple[str, ...]
    moves_per_day: float
    per_day: float
    peak_hour: float
    night: float
    tokens_in: int
    tokens_out: int
    cached: float
    cron_s: int = 0
    migration: tuple[int, str] | None = None


def make_clients(seed: int, per_tenant: int = KEYS_PER_TENANT) -> list[Client]:
    """Every key of every tenant, the busiest first within its tenant."""
    rng = np.random.default_rng((seed, 1))
    return [
        _client(rng, seed, number, tenant, rank)
        for number, tenant in enumerate(TENANTS)
        for rank in range(per_tenant)
    ]


def _client(rng: np.random.Generator, seed: int, number: int, tenant: str, rank: int) -> Client:
    model, second = rng.choice(HOUSE_MODELS, 2, replace=False).tolist()
    return Client(
        tenant=tenant,
        key=fingerprint(seed, "key", tenant, rank),
        model=model,
        second_model=second if rng.random() < 0.25 else None,
        agent=str(rng.choice(AGENTS)),
        addresses=tuple(
            f"10.{20 + number}.{rank}.{host}"
            for host in sorted(rng.choice(250, int(rng.integers(1, 5)), replace=False) + 1)
        ),
        moves_per_day=0.1,
        per_day=float(BUSIEST_PER_DAY / (1 + rank) ** 0.9 * rng.uniform(0.6, 1.6)),
        peak_hour=float(rng.uniform(8, 17)),
        night=float(rng.uniform(0.05, 0.5)),
        tokens_in=int(rng.lognormal(7.0, 0.6)),
        tokens_out=int(rng.lognormal(5.2, 0.5)),
        cached=float(rng.choice([0.0, 0.0, 0.4, 0.7])),
        cron_s=int(rng.integers(60, 300)) if rng.random() < 0.1 else 0,
    )


def roaming(client: Client) -> Client:
    """The same key on a laptop that changes its network every few hours."""
    return replace(client, addresses=(client.addresses[0],), moves_per_day=5.0, cron_s=0)


def migrating(client: Client, ms: int, model: str) -> Client:
    """The same key, whose program moves to another model at `ms`."""
    return replace(client, second_model=None, migration=(ms, model))
