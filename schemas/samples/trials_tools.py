"""Scenes of tools that change under their users, and of users who change themselves."""

from collections.abc import Callable
from typing import Any

import numpy as np

from schemas.samples.clients import TENANTS
from schemas.samples.lines import HOUR_MS, Times, fingerprint
from schemas.samples.plain import lines_of
from schemas.samples.trials import Trial, arrived
from schemas.samples.trials_health import BEGIN, CHANGE, Rng, drawn, rng_of, times_of

TOOL_SAMPLE = 4  # calls of which one is looked at


def _tool_calls(
    seed: int, name: str, per: int, fields: Callable[[Rng, Times, Any], dict[str, Any]]
) -> list[bytes]:
    """Calls of one tool by many sessions of a few calls each."""
    rng = rng_of(seed, name)
    ms = times_of(rng, per, 160, 80)
    run = ((ms - BEGIN) // HOUR_MS) * 8 + rng.integers(0, 8, len(ms))
    more = fields(rng, ms, run)
    sessions = more.pop("sessions", run)
    lines = lines_of(
        (seed, name),
        ms,
        **{
            "event_name": "agent.tool_call",
            "tenant_id": TENANTS[seed % len(TENANTS)],
            "api_key_id": fingerprint(seed, "trial", name),
            "tool_name": f"{name}-{seed}".replace(" ", "_"),
            "conversation_id": [fingerprint(seed, name, one) for one in sessions.tolist()],
            "tool_args_hash": [fingerprint(seed, name, "args", n) for n in range(len(ms))],
            "status": "ok",
            **more,
        },
    )
    return arrived(lines, seed)


def results_outgrow(seed: int, per: int = 1) -> list[bytes]:
    """A tool begins to return more than fits."""

    def fields(rng: Rng, ms: Times, run: Any) -> dict[str, Any]:
        share = np.where(ms < CHANGE, rng.uniform(0, 0.2), rng.uniform(0.75, 1))
        return {"tool_result_truncated": rng.random(len(ms)) < share}

    return _tool_calls(seed, "outgrown", per, fields)


def always_cut(seed: int, per: int = 1) -> list[bytes]:
    """A log search that never fits."""

    def fields(rng: Rng, ms: Times, run: Any) -> dict[str, Any]:
        return {"tool_result_truncated": rng.random(len(ms)) < 0.85}

    return _tool_calls(seed, "logs", per, fields)


def one_large_file(seed: int, per: int = 1) -> list[bytes]:
    """One session reads one large file, page after page."""

    def fields(rng: Rng, ms: Times, run: Any) -> dict[str, Any]:
        reading = (ms >= CHANGE) & (rng.random(len(ms)) < 0.9)
        return {"tool_result_truncated": reading, "sessions": np.where(reading, -1, run)}

    return _tool_calls(seed, "file", per, fields)


def tool_begins_to_fail(seed: int, per: int = 1) -> list[bytes]:
    """A tool fails for most sessions after a deployment, or returns far larger results."""
    failing = bool(rng_of(seed, "way").random() < 0.5)

    def fields(rng: Rng, ms: Times, run: Any) -> dict[str, Any]:
        if not failing:
            size = drawn(rng, ms, 800, 800 * float(rng.choice([0.08, 10])), 0.6)
            return {"tool_result_size": np.rint(size).astype(int)}
        share = np.where(ms < CHANGE, 0.05, rng.uniform(0.7, 1))
        failed = rng.random(len(ms)) < share
        return {"status": [("error" if one else "ok") for one in failed.tolist()]}

    return _tool_calls(seed, "failing", per, fields)


def tool_as_flaky_as_ever(seed: int, per: int = 1) -> list[bytes]:
    """A tool that fails one time in four, with results of all sizes."""

    def fields(rng: Rng, ms: Times, run: Any) -> dict[str, Any]:
        failed = rng.random(len(ms)) < 0.25
        return {
            "status": [("error" if one else "ok") for one in failed.tolist()],
            "tool_result_size": np.rint(rng.lognormal(6, 1, len(ms))).astype(int),
        }

    return _tool_calls(seed, "flaky", per, fields)


def one_stuck_agent(seed: int, per: int = 1) -> list[bytes]:
    """One agent repeats a call that fails; the others get on."""

    def fields(rng: Rng, ms: Times, run: Any) -> dict[str, Any]:
        stuck = (ms >= CHANGE) & (rng.random(len(ms)) < 0.7)
        return {
            "status": [("error" if one else "ok") for one in stuck.tolist()],
            "sessions": np.where(stuck, -1, run),
        }

    return _tool_calls(seed, "stuck", per, fields)


TRIALS = {
    "tool-truncation": Trial((results_outgrow,), (always_cut, one_large_file)),
    "tool-drift": Trial(
        (tool_begins_to_fail,), (tool_as_flaky_as_ever, one_stuck_agent), TOOL_SAMPLE
    ),
}
