"""Scenes of models that change under their users, and of users who change themselves.

`per` is how many calls stand for one that is looked at: health is judged by a sample.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from schemas.samples.clients import TENANTS
from schemas.samples.lines import Line, Times, at, fingerprint
from schemas.samples.plain import lines_of
from schemas.samples.trials import Trial, arrived

BEGIN, CHANGE, END = at(0, 8), at(2, 8), at(3, 8)
BEFORE, AFTER = 320, 160  # calls that are looked at, before and after the change
MODEL_SAMPLE = 16  # calls of which one is looked at

Rng = np.random.Generator


def rng_of(seed: int, name: str) -> Rng:
    """The randomness of one scene."""
    return np.random.default_rng((seed, 80, sum(name.encode())))


def times_of(rng: Rng, per: int, before: int = BEFORE, after: int = AFTER) -> Times:
    """When calls come: so many looked at before the change, so many after it."""
    early = rng.integers(BEGIN, CHANGE, before * per)
    return np.sort(np.concatenate([early, rng.integers(CHANGE, END, after * per)]))


def drawn(rng: Rng, ms: Times, before: float, after: float, spread: float) -> Any:
    """Log-normal values around one median before the change and another after it."""
    return np.where(ms < CHANGE, before, after) * rng.lognormal(0, spread, len(ms))


def _model_calls(seed: int, name: str, ms: Times, key: Any = None, **more: Any) -> list[Line]:
    named = {
        "api_key_id": fingerprint(seed, "trial", name) if key is None else key,
        "tenant_id": TENANTS[seed % len(TENANTS)],
        "provider_name": "openai",
        "request_model": f"{name}-{seed}",
        "http_status": 200,
        "status": "ok",
        "client_address": "10.4.4.4",
        "user_agent": "OpenAI/Python 1.99.1",
    }
    return lines_of((seed, name), ms, **{**named, **more})


def _keys(rng: Rng, seed: int, name: str, count: int, calls: int) -> tuple[list[str], Any]:
    """Which of a few keys makes each call, some more often than others; and its number."""
    weights = rng.dirichlet(np.full(count, 4.0))
    which = rng.choice(count, calls, p=weights)
    return [fingerprint(seed, "trial", name, number) for number in which.tolist()], which


# --- cache-collapse, first-touch-burn -------------------------------------------------------


def _cached(
    seed: int, name: str, per: int, share: Callable[[Rng, Times], Any], least: int = 1500
) -> list[bytes]:
    rng = rng_of(seed, name)
    ms = times_of(rng, per)
    size = rng.integers(least, 4 * least, len(ms))
    read = (size * np.clip(share(rng, ms), 0, 0.98)).astype(int)
    lines = _model_calls(seed, name, ms, input_tokens=size, cache_read_tokens=read)
    return arrived(lines, seed)


def prompt_reordered(seed: int, per: int = 1) -> list[bytes]:
    """A deployment changes how prompts begin; hardly anything is cached any more."""

    def share(rng: Rng, ms: Times) -> Any:
        usual = float(rng.uniform(0.5, 0.95))
        return np.where(ms < CHANGE, usual, usual * rng.uniform(0, 0.4)) + rng.normal(
            0, 0.1, len(ms)
        )

    return _cached(seed, "reordered", per, share)


def never_cached(seed: int, per: int = 1) -> list[bytes]:
    """A program whose prompts all differ."""
    return _cached(seed, "uncached", per, lambda rng, ms: rng.uniform(0, 0.1, len(ms)))


def cached_at_times(seed: int, per: int = 1) -> list[bytes]:
    """A program whose calls find the cache two times in three."""
    return _cached(seed, "at times", per, lambda rng, ms: 0.9 * (rng.random(len(ms)) < 0.67))


def cold_start(seed: int, per: int = 1) -> list[bytes]:
    """After a restart a few calls miss the cache, then it is warm."""

    def share(rng: Rng, ms: Times) -> Any:
        cold = np.flatnonzero(ms >= CHANGE)[: 4 * per]
        found = np.full(len(ms), 0.85)
        found[cold] = 0
        return found

    return _cached(seed, "cold", per, share)


def _written(
    seed: int, name: str, per: int, hits: Callable[[Rng, Times], Any], size: int
) -> list[bytes]:
    """Prompts marked for the cache: those in `hits` are read, the others written."""
    rng = rng_of(seed, name)
    ms = times_of(rng, per, 60, 60)
    tokens, read = rng.integers(size, 4 * size, len(ms)), hits(rng, ms)
    lines = _model_calls(
        seed,
        name,
        ms,
        input_tokens=tokens,
        cache_creation_tokens=np.where(read, 0, tokens),
        cache_read_tokens=np.where(read, tokens, 0),
    )
    return arrived(lines, seed)


def timestamp_first(seed: int, per: int = 1) -> list[bytes]:
    """Every prompt begins with the time of day, so that none is ever found again."""
    rate = float(rng_of(seed, "rate").uniform(0, 0.1))
    return _written(seed, "stamped", per, lambda rng, ms: rng.random(len(ms)) < rate, 2000)


def well_cached(seed: int, per: int = 1) -> list[bytes]:
    """One write, many reads."""
    rate = float(rng_of(seed, "well").uniform(0.5, 0.95))
    return _written(seed, "well", per, lambda rng, ms: rng.random(len(ms)) < rate, 2000)


def new_prompt_warms_up(seed: int, per: int = 1) -> list[bytes]:
    """The first touches of a new prompt, and then it is read."""

    def hits(rng: Rng, ms: Times) -> Any:
        return np.arange(len(ms)) % (60 * per) >= 12 * per

    return _written(seed, "warming", per, hits, 2000)


# --- fallback-drift, model-rotation ---------------------------------------------------------


def _answered(seed: int, name: str, per: int, by: Callable[[Rng, Times], Any]) -> list[bytes]:
    rng = rng_of(seed, name)
    ms = times_of(rng, per)
    keys, _ = _keys(rng, seed, name, 4, len(ms))
    answered = [str(one) for one in by(rng, ms)]
    lines = _model_calls(seed, name, ms, keys, response_model=answered, tenant_id=None)
    return arrived(lines, seed)


def stays_on_fallback(seed: int, per: int = 1) -> list[bytes]:
    """The first choice fails, and most calls stay with the second for good."""

    def by(rng: Rng, ms: Times) -> Any:
        fallen = (ms >= CHANGE) & (rng.random(len(ms)) < rng.uniform(0.6, 1.0))
        return np.where(fallen, "mistral-large-2411", "gpt-4o-2024-08-06")

    return _answered(seed, "fallen", per, by)


def alias_of_another(seed: int, per: int = 1) -> list[bytes]:
    """The name is an alias of the house that always stood for something else."""
    return _answered(seed, "alias", per, lambda rng, ms: np.full(len(ms), "gpt-4o-2024-08-06"))


def falls_back_at_times(seed: int, per: int = 1) -> list[bytes]:
    """One call in twenty is answered by the second choice, as always."""

    def by(rng: Rng, ms: Times) -> Any:
        return np.where(rng.random(len(ms)) < 0.05, "mistral-large-2411", "gpt-4o-2024-08-06")

    return _answered(seed, "at times", per, by)


def new_version(seed: int, per: int = 1) -> list[bytes]:
    """The vendor moves the name to a newer version."""

    def by(rng: Rng, ms: Times) -> Any:
        return np.where(ms < CHANGE, "gpt-4o-2024-08-06", "gpt-4o-2024-11-20")

    return _answered(seed, "rotated", per, by)


def versions_side_by_side(seed: int, per: int = 1) -> list[bytes]:
    """Two versions answer, half of the calls each."""

    def by(rng: Rng, ms: Times) -> Any:
        return np.where(rng.random(len(ms)) < 0.5, "gpt-4o-2024-08-06", "gpt-4o-2024-11-20")

    return _answered(seed, "side by side", per, by)


def tries_the_new_version(seed: int, per: int = 1) -> list[bytes]:
    """The vendor answers one call in ten with a newer version."""

    def by(rng: Rng, ms: Times) -> Any:
        new = (ms >= CHANGE) & (rng.random(len(ms)) < 0.1)
        return np.where(new, "gpt-4o-2024-11-20", "gpt-4o-2024-08-06")

    return _answered(seed, "tries", per, by)


# --- slow-first-token, vendor-drift ---------------------------------------------------------


def _several_keys(
    seed: int, name: str, per: int, field: str, times: Callable[[Rng, Any, Times], Any], scale: int
) -> list[bytes]:
    """A model that several keys use, each in its own way; `times` multiplies the usual."""
    rng = rng_of(seed, name)
    ms = times_of(rng, per, 500, 250)
    count = int(rng.integers(4, 9))
    keys, which = _keys(rng, seed, name, count, len(ms))
    value = rng.uniform(0.5, 2, count)[which] * rng.lognormal(0, 0.45, len(ms)) * scale
    value = value * times(rng, which, ms)
    values: Any = np.rint(value).astype(int) + 1 if field == "output_tokens" else value
    return arrived(_model_calls(seed, name, ms, keys, tenant_id=None, **{field: values}), seed)


TTFT, OUTPUT = "time_to_first_chunk_s", "output_tokens"


def provider_slows(seed: int, per: int = 1) -> list[bytes]:
    """First tokens take three to six times as long for everybody."""

    def times(rng: Rng, which: Any, ms: Times) -> Any:
        return np.where(ms < CHANGE, 1.0, rng.uniform(3, 6))

    return _several_keys(seed, "slows", per, TTFT, times, 1)


def one_key_slows(seed: int, per: int = 1) -> list[bytes]:
    """One key sends far longer prompts than before and waits for them."""

    def times(rng: Rng, which: Any, ms: Times) -> Any:
        return np.where((ms < CHANGE) | (which != 0), 1.0, 8.0)

    return _several_keys(seed, "one slows", per, TTFT, times, 1)


def a_little_slower(seed: int, per: int = 1) -> list[bytes]:
    """Everybody waits a third longer: a busy day."""

    def times(rng: Rng, which: Any, ms: Times) -> Any:
        return np.where(ms < CHANGE, 1.0, 1.33)

    return _several_keys(seed, "busy", per, TTFT, times, 1)


def answers_shrink(seed: int, per: int = 1) -> list[bytes]:
    """The model behind the name is another: answers are a third as long, or three times."""

    def times(rng: Rng, which: Any, ms: Times) -> Any:
        return np.where(ms < CHANGE, 1.0, rng.choice([0.33, 0.4, 2.5, 3]))

    return _several_keys(seed, "shrink", per, OUTPUT, times, 300)


def one_prompt_changes(seed: int, per: int = 1) -> list[bytes]:
    """One owner asks for short answers from now on."""

    def times(rng: Rng, which: Any, ms: Times) -> Any:
        return np.where((ms < CHANGE) | (which != 0), 1.0, 0.2)

    return _several_keys(seed, "one prompt", per, OUTPUT, times, 300)


def mix_of_keys_changes(seed: int, per: int = 1) -> list[bytes]:
    """The key with the longest answers begins to make most of the calls."""
    rng = rng_of(seed, "mix")
    ms = times_of(rng, per, 500, 250)
    which = np.where(ms < CHANGE, rng.integers(0, 5, len(ms)), 0)
    which = np.where(rng.random(len(ms)) < 0.3, rng.integers(0, 5, len(ms)), which)
    keys = [fingerprint(seed, "trial", "mix", number) for number in which.tolist()]
    tokens = np.array([2000, 150, 200, 250, 300])[which] * rng.lognormal(0, 0.45, len(ms))
    lines = _model_calls(
        seed, "mix", ms, keys, tenant_id=None, output_tokens=np.rint(tokens).astype(int)
    )
    return arrived(lines, seed)


TRIALS = {
    "cache-collapse": Trial(
        (prompt_reordered,), (never_cached, cached_at_times, cold_start), MODEL_SAMPLE
    ),
    "fallback-drift": Trial(
        (stays_on_fallback,), (alias_of_another, falls_back_at_times, new_version), MODEL_SAMPLE
    ),
    "slow-first-token": Trial((provider_slows,), (one_key_slows, a_little_slower), MODEL_SAMPLE),
    "first-touch-burn": Trial((timestamp_first,), (well_cached, new_prompt_warms_up), MODEL_SAMPLE),
    "model-rotation": Trial(
        (new_version,),
        (versions_side_by_side, tries_the_new_version, stays_on_fallback),
        MODEL_SAMPLE,
    ),
    "vendor-drift": Trial(
        (answers_shrink,), (one_prompt_changes, mix_of_keys_changes), MODEL_SAMPLE
    ),
}
