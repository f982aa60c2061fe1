"""Scenes of clients that retry badly, together or alone, and of patient ones like them."""

from typing import Any

import numpy as np

from schemas.samples.clients import TENANTS
from schemas.samples.lines import (
    HOUR_MS,
    SECOND_MS,
    Line,
    Times,
    at,
    fingerprint,
    fingerprints,
)
from schemas.samples.plain import lines_of
from schemas.samples.trials import Trial, arrived

NOON = at(0, 12)


def _rng(seed: int, scene: int) -> np.random.Generator:
    return np.random.default_rng((seed, 500 + scene))


def _times(seconds: Any) -> Times:
    return np.asarray(NOON + np.sort(np.asarray(seconds) * SECOND_MS), np.int64)


def _calls(name: tuple[object, ...], ms: Times, **columns: Any) -> list[Line]:
    named = {
        "api_key_id": fingerprint(*name, "key"),
        "tenant_id": TENANTS[0],
        "provider_name": "openai",
        "request_model": "gpt-4o",
        "status": "ok",
        "http_status": 200,
        "input_tokens": 900,
        "output_tokens": 200,
        "content_input_hash": fingerprints(len(ms), *name, "prompt"),
    }
    return lines_of(name, ms, **{**named, **columns})


def _refused(name: tuple[object, ...], ms: Times, status: int, **columns: Any) -> list[Line]:
    error = {400: "invalid_request", 403: "permission", 429: "rate_limit", 503: "server_error"}
    outcome = {"http_status": status, "status": "error", "error_type": error[status]}
    return _calls(name, ms, **{**outcome, "output_tokens": 0, **columns})


# stubborn-retry


def final_refusals(seed: int) -> list[bytes]:
    """One request that is not valid, sent again and again."""
    rng = _rng(seed, 1)
    ms = _times(np.cumsum(rng.uniform(2, 90, int(rng.integers(10, 30)))))
    status = int(rng.choice([400, 403]))
    same = fingerprint(seed, "same prompt")
    return arrived(_refused((seed, "final"), ms, status, content_input_hash=same), seed)


def hasty_retries(seed: int) -> list[bytes]:
    """One request that meets a rate limit, sent again at once."""
    rng = _rng(seed, 2)
    ms = _times(np.cumsum(rng.uniform(0.05, 0.9, int(rng.integers(15, 60)))))
    same = fingerprint(seed, "same prompt")
    return arrived(_refused((seed, "hasty"), ms, 429, content_input_hash=same), seed)


def expired_key(seed: int) -> list[bytes]:
    """A key that has expired, and a program that goes on with its work."""
    rng = _rng(seed, 3)
    ms = _times(np.cumsum(rng.uniform(0.5, 20, int(rng.integers(50, 300)))))
    return arrived(_refused((seed, "expired"), ms, 403), seed)


def backoff(seed: int) -> list[bytes]:
    """Many requests that meet an overload, each tried five times, later every time."""
    rng, lines = _rng(seed, 4), []
    for number in range(int(rng.integers(20, 60))):
        waits = rng.uniform(0.5, 1.5, 5) * 2.0 ** np.arange(5)
        ms = _times(number * 3 + np.cumsum(waits))
        same = fingerprint(seed, "prompt", number)
        lines += _refused(
            (seed, "backoff", number),
            ms,
            int(rng.choice([429, 503])),
            content_input_hash=same,
            api_key_id=fingerprint(seed, "patient"),
        )
    return arrived(lines, seed)


# thundering-herd


def _herd(seed: int, name: str, seconds: Any, keys: int, status: int = 429) -> list[Line]:
    ms = _times(seconds)
    rng = np.random.default_rng((seed, len(name)))
    who = [fingerprint(seed, "member", int(i)) for i in rng.integers(0, keys, len(ms))]
    return _refused((seed, name), ms, status, api_key_id=who)


def herd(seed: int) -> list[bytes]:
    """Clients without jitter: the same wait for all of them, wave after wave."""
    rng = _rng(seed, 5)
    keys, period = int(rng.integers(15, 60)), int(rng.integers(10, 31))
    waves = [wave * period + rng.uniform(0, 0.9, 2 * keys) for wave in range(8)]
    after = 8 * period + 330 + rng.uniform(0, 60, 10)
    return arrived(_herd(seed, "herd", np.concatenate([*waves, after]), keys), seed)


def overload(seed: int) -> list[bytes]:
    """A provider in trouble refuses many clients, who come when they come."""
    rng = _rng(seed, 6)
    calls = int(rng.integers(1000, 6000))
    return arrived(_herd(seed, "overload", rng.uniform(0, 600, calls), 40, 503), seed)


def lone_poller(seed: int) -> list[bytes]:
    """One client that fetches in batches, each of which meets the limit."""
    rng = _rng(seed, 7)
    waves = [wave * 20 + rng.uniform(0, 0.9, 30) for wave in range(40)]
    return arrived(_herd(seed, "poller", np.concatenate(waves), int(rng.integers(1, 4))), seed)


# wasted-tokens


def _paid(seed: int, name: str, share: float, usd: float) -> list[Line]:
    rng = _rng(seed, 8)
    ms = NOON + np.sort(rng.integers(0, 3 * HOUR_MS, 300))
    failed = rng.random(300) < share
    return _calls(
        (seed, name),
        ms,
        cost_usd=(rng.uniform(0.5, 1.5, 300) * usd).round(6),
        http_status=None,
        status=["error" if bad else "ok" for bad in failed],
        error_type=["timeout" if bad else None for bad in failed],
    )


def paid_timeouts(seed: int) -> list[bytes]:
    """Half of the answers are paid for and never read: the timeout is too short."""
    usd = float(_rng(seed, 9).uniform(0.1, 0.6))
    return arrived(_paid(seed, "paid", 0.5, usd), seed)


def few_timeouts(seed: int) -> list[bytes]:
    """Now and then a call fails after it was paid for."""
    return arrived(_paid(seed, "few", 0.01, 0.2), seed)


# pool-saturation


def _stalled(seed: int, seconds: Any, keys: int, kind: str = "timeout") -> list[Line]:
    ms, rng = _times(seconds), _rng(seed, 10)
    who = [fingerprint(seed, "waiting", int(i)) for i in rng.integers(0, keys, len(ms))]
    return _calls(
        (seed, kind),
        ms,
        api_key_id=who,
        http_status=None if kind == "timeout" else 503,
        status="error",
        error_type=kind,
        output_tokens=0,
        latency_ms=30_000.0,
    )


def full_pool(seed: int) -> list[bytes]:
    """Callers of many keys wait half a minute and give up, for some minutes."""
    rng = _rng(seed, 11)
    minutes = float(rng.uniform(5, 20))
    calls = int(minutes * rng.uniform(20, 90))
    return arrived(_stalled(seed, rng.uniform(0, 60 * minutes, calls), 12), seed)


def impatient_client(seed: int) -> list[bytes]:
    """One client whose timeout is too short for its answers."""
    rng = _rng(seed, 12)
    return arrived(_stalled(seed, rng.uniform(0, 900, 600), 1), seed)


def short_outage(seed: int) -> list[bytes]:
    """A network that is gone for half a minute; then everybody is served."""
    rng = _rng(seed, 13)
    begin = 5 + 60 * int(rng.integers(0, 3))
    blip = _stalled(seed, begin + rng.uniform(0, 30, 200), 12)
    return arrived([*blip, *_stalled(seed, rng.uniform(0, 900, 400), 12, "server_error")], seed)


TRIALS = {
    "stubborn-retry": Trial((final_refusals, hasty_retries), (expired_key, backoff)),
    "thundering-herd": Trial((herd,), (overload, lone_poller)),
    "wasted-tokens": Trial((paid_timeouts,), (few_timeouts,)),
    "pool-saturation": Trial((full_pool,), (impatient_client, short_outage)),
}
