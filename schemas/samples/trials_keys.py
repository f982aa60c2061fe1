"""Scenes of stolen keys: tried, shared, planted, revoked; and of honest ones like them."""

from typing import Any

import numpy as np

from schemas.samples.clients import TENANTS
from schemas.samples.lines import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    Line,
    Times,
    at,
    fingerprint,
    fingerprints,
)
from schemas.samples.plain import lines_of
from schemas.samples.trials import AUTOMATION, CANARY, REVOKED, REVOKED_MS, Trial, arrived

PERIODS_MIN = (3, 60, 90, 360)  # of the key checkers of resale proxies
THEFT = at(3, 9)


def rng_of(seed: int, name: str) -> np.random.Generator:
    """The randomness of one scene."""
    return np.random.default_rng((seed, sum(name.encode())))


def key_of(seed: int, name: object) -> str:
    """A key of one scene."""
    return fingerprint(seed, "trial", name)


def _calls(name: tuple[object, ...], ms: Times, key: str, tenant: str | None, **more: Any) -> Any:
    named = {
        "api_key_id": key,
        "tenant_id": tenant,
        "request_model": "gpt-4o",
        "provider_name": "openai",
        "client_address_quality": "peer",
        "user_agent": "OpenAI/Python 1.99.1",
        "http_status": 200,
        "status": "ok",
        "content_input_hash": fingerprints(len(ms), *name, "prompt"),
    }
    return lines_of(name, ms, **{**named, **more})


def work(
    seed: int, name: object, tenant: str, address: str, begin: int, end: int, a_day: int = 60
) -> list[Line]:
    """A key that works from one address, at random times with ordinary prompts."""
    rng = np.random.default_rng((seed, 70, sum(str(name).encode())))
    count = max(1, round(a_day * (end - begin) / DAY_MS))
    ms = begin + np.sort(rng.integers(0, end - begin, count))
    sizes = np.rint(rng.lognormal(7, 0.5, count)).astype(int)
    found: list[Line] = _calls(
        (seed, "work", name, address, begin),
        ms,
        key_of(seed, name),
        tenant,
        client_address=address,
        input_tokens=sizes,
        output_tokens=np.rint(rng.lognormal(5, 0.5, count)).astype(int),
    )
    return found


def tries(
    seed: int, name: object, address: str, ms: Times, tokens: int = 9, **more: Any
) -> list[Line]:
    """Calls of a few tokens with a key, from some address."""
    sizes = {"input_tokens": tokens, "output_tokens": 2}
    label = (seed, "tries", name, address)
    found: list[Line] = _calls(
        label, ms, key_of(seed, name), TENANTS[0], **{"client_address": address, **sizes, **more}
    )
    return found


# --- key-beacon -----------------------------------------------------------------------------


def _beats(rng: np.random.Generator, begin: int, rounds: int, period_ms: int, jitter: float) -> Any:
    steps = period_ms * rng.uniform(1 - jitter, 1 + jitter, rounds)
    return begin + np.cumsum(steps).astype(np.int64)


def beacon(seed: int) -> list[bytes]:
    """A resale proxy checks a key at its period, two models at a time; the owner works on."""
    rng = rng_of(seed, "beacon")
    period = int(rng.choice(PERIODS_MIN)) * MINUTE_MS
    beats = _beats(rng, at(2, int(rng.integers(0, 24))), 12, period, 0.03)
    both = np.repeat(beats, 2) + np.tile([0, 40], len(beats))
    lines = work(seed, "k", TENANTS[0], "10.1.1.1", at(0), int(both[-1]))
    return arrived(lines + tries(seed, "k", "198.18.7.7", both), seed)


def health_check(seed: int) -> list[bytes]:
    """The owner's own check, from where the program runs, since the key began."""
    beats = _beats(rng_of(seed, "check"), at(0), 300, 10 * MINUTE_MS, 0.01)
    lines = work(seed, "k", TENANTS[0], "10.1.1.1", at(0), at(3))
    return arrived(lines + tries(seed, "k", "10.1.1.1", beats), seed)


def monitored_since_birth(seed: int) -> list[bytes]:
    """A monitoring service has watched the key from its own address since the first day."""
    beats = _beats(rng_of(seed, "monitor"), at(0, 3), 300, 10 * MINUTE_MS, 0.01)
    lines = work(seed, "k", TENANTS[0], "10.1.1.1", at(0), at(3))
    return arrived(lines + tries(seed, "k", "10.8.8.8", beats), seed)


def moved_with_its_check(seed: int) -> list[bytes]:
    """The program moves to another address, and its check with it."""
    beats = _beats(rng_of(seed, "moved"), at(2, 12), 60, 10 * MINUTE_MS, 0.01)
    lines = work(seed, "k", TENANTS[0], "10.1.1.1", at(0), at(2, 12))
    lines += work(seed, "k", TENANTS[0], "10.2.2.2", at(2, 12), at(3), 400)
    return arrived(lines + tries(seed, "k", "10.2.2.2", beats), seed)


def short_questions(seed: int) -> list[bytes]:
    """Somebody asks short questions from a new place, when they come to mind."""
    rng = rng_of(seed, "short")
    ms = at(2, 9) + np.sort(rng.integers(0, 12 * HOUR_MS, 60))
    lines = work(seed, "k", TENANTS[0], "10.1.1.1", at(0), at(3))
    return arrived(lines + tries(seed, "k", "10.3.3.3", ms), seed)


# --- shared-key -----------------------------------------------------------------------------


def one_key_two_tenants(seed: int) -> list[bytes]:
    """A copied key works for another tenant as well."""
    rng = rng_of(seed, "shared")
    lines = work(seed, "k", TENANTS[0], "10.1.1.1", at(0), at(4))
    count = int(rng.integers(1, 30))
    ms = at(2, 8) + np.sort(rng.integers(0, 6 * HOUR_MS, count))
    return arrived(lines + tries(seed, "k", "10.9.9.9", ms, 900, tenant_id=TENANTS[1]), seed)


def handed_over(seed: int) -> list[bytes]:
    """A key moves to another tenant overnight."""
    lines = work(seed, "k", TENANTS[0], "10.1.1.1", at(0), at(2, -1))
    return arrived(lines + work(seed, "k", TENANTS[1], "10.1.1.1", at(2, 6), at(4)), seed)


def tenant_unknown_at_times(seed: int) -> list[bytes]:
    """Some events of a key lack the tenant."""
    ms = at(0) + np.arange(50) * HOUR_MS
    lines = work(seed, "k", TENANTS[0], "10.1.1.1", at(0), at(2))
    return arrived(lines + tries(seed, "k", "10.1.1.1", ms, 900, tenant_id=None), seed)


def staff_of_several(seed: int) -> list[bytes]:
    """Automation that may act in several tenants does."""
    ms = at(0) + np.arange(40) * HOUR_MS
    one = tries(seed, "k", "10.1.1.1", ms, 900, user_id=AUTOMATION)
    two = tries(seed, "k", "10.1.1.2", ms + 60, 900, user_id=AUTOMATION, tenant_id=TENANTS[1])
    return arrived(one + two, seed)


# --- one-origin-many-keys -------------------------------------------------------------------


def _guests(
    seed: int, tenants: int, keys: int, homes: list[str], away: str, begin: int
) -> list[Line]:
    """Keys that work at home for three days and are then used from one new address."""
    rng = rng_of(seed, "guests")
    lines = []
    for number in range(keys):
        name, tenant = f"k{number}", TENANTS[number % tenants]
        lines += work(seed, name, tenant, homes[number % len(homes)], at(0), at(4), 15)
        ms = begin + np.sort(rng.integers(0, 2 * HOUR_MS, int(rng.integers(1, 5))))
        lines += tries(seed, name, away, ms, 1500, tenant_id=tenant)
    return lines


def resale_proxy(seed: int) -> list[bytes]:
    """One address is answered with the keys of several tenants, all of which work at home too."""
    tenants = int(rng_of(seed, "resale").integers(3, 8))
    homes = [f"10.{number}.0.1" for number in range(20)]
    return arrived(_guests(seed, tenants, 2 * tenants, homes, "198.18.7.7", THEFT), seed)


def one_tenants_keys(seed: int) -> list[bytes]:
    """One tenant's many keys are used from a new build machine."""
    homes = [f"10.{number}.0.1" for number in range(20)]
    return arrived(_guests(seed, 1, 9, homes, "10.50.0.1", THEFT), seed)


def two_tenants_keys(seed: int) -> list[bytes]:
    """A contractor works for two tenants."""
    homes = [f"10.{number}.0.1" for number in range(20)]
    return arrived(_guests(seed, 2, 8, homes, "10.50.0.1", THEFT), seed)


def egress_moves(seed: int) -> list[bytes]:
    """A platform whose tenants share one way out gets another address."""
    return arrived(_guests(seed, 6, 12, ["10.0.0.1"], "10.50.0.1", THEFT), seed)


def shared_office(seed: int) -> list[bytes]:
    """Many tenants' keys have been used from one office since they began."""
    lines = []
    for number in range(8):
        name = f"k{number}"
        lines += work(seed, name, TENANTS[number], "10.7.7.7", at(0), at(4), 15)
        lines += work(seed, name, TENANTS[number], f"10.{number}.0.1", at(0), at(4), 15)
    return arrived(lines, seed)


# --- canary-key, revoked-key ----------------------------------------------------------------


def canary_tried(seed: int) -> list[bytes]:
    """A planted key is tried once, answered or not."""
    status = int(rng_of(seed, "canary").choice([200, 401, 403]))
    ms = np.array([at(1, 7)])
    outcome = "ok" if status == 200 else "error"
    lines = work(seed, "k", TENANTS[0], "10.1.1.1", at(0), at(2))
    tried = tries(
        seed,
        "canary",
        "198.18.7.7",
        ms,
        api_key_id=CANARY,
        tenant_id=None,
        http_status=status,
        status=outcome,
    )
    return arrived(lines + tried, seed)


def revoked_and_used(seed: int) -> list[bytes]:
    """A key goes on after it was revoked."""
    ms = REVOKED_MS + rng_of(seed, "revoked").integers(6 * MINUTE_MS, DAY_MS, 5)
    lines = work(seed, "k", TENANTS[0], "10.1.1.1", at(0), at(3))
    return arrived(lines + tries(seed, "r", "10.1.1.9", ms, api_key_id=REVOKED), seed)


def ordinary_keys(seed: int) -> list[bytes]:
    """Keys nobody planted and nobody revoked."""
    lines = work(seed, "k", TENANTS[0], "10.1.1.1", at(0), at(4))
    return arrived(lines + work(seed, "j", TENANTS[1], "10.2.1.1", at(0), at(4)), seed)


def revoked_after_use(seed: int) -> list[bytes]:
    """A key works until it is revoked, and for the minutes that takes."""
    last = REVOKED_MS + int(rng_of(seed, "grace").integers(0, 5 * MINUTE_MS))
    ms = np.append(at(0) + np.arange(60) * HOUR_MS, last)
    ms = ms[ms <= last]
    return arrived(tries(seed, "r", "10.1.1.9", ms, 900, api_key_id=REVOKED), seed)


TRIALS = {
    "key-beacon": Trial(
        (beacon,),
        (health_check, monitored_since_birth, moved_with_its_check, short_questions),
    ),
    "shared-key": Trial(
        (one_key_two_tenants,), (handed_over, tenant_unknown_at_times, staff_of_several)
    ),
    "one-origin-many-keys": Trial(
        (resale_proxy,), (one_tenants_keys, two_tenants_keys, egress_moves, shared_office)
    ),
    "canary-key": Trial((canary_tried,), (ordinary_keys,)),
    "revoked-key": Trial((revoked_and_used,), (revoked_after_use, ordinary_keys)),
}
