"""Scenes of control planes and of providers' bills, and of honest operators."""

import numpy as np

from schemas.samples.clients import TENANTS
from schemas.samples.lines import HOUR_MS, MINUTE_MS, SECOND_MS, at
from schemas.samples.plain import lines_of
from schemas.samples.trials import AUTOMATION, Trial, arrived
from schemas.samples.trials_keys import key_of, rng_of, work

# --- logging-tamper -------------------------------------------------------------------------


def _actions(seed: int, actions: list[str], user: str, ok: bool = True) -> list[bytes]:
    ms = at(1) + np.arange(len(actions)) * 40 * SECOND_MS
    lines = lines_of(
        (seed, "actions", *actions),
        ms,
        event_name="llm.control_plane",
        operation_name=actions,
        provider_name="aws.bedrock",
        user_id=user,
        status="ok" if ok else "error",
        cloud_account_id="123456789012",
    )
    return arrived(lines + work(seed, "k", TENANTS[0], "10.1.1.1", at(0), at(2)), seed)


def logging_deleted(seed: int) -> list[bytes]:
    """Somebody looks at the logging configuration and deletes it."""
    off = ["DeleteModelInvocationLoggingConfiguration", "StopLogging", "DeleteGuardrail"]
    chosen = off[int(rng_of(seed, "off").integers(len(off)))]
    return _actions(seed, ["GetModelInvocationLoggingConfiguration", chosen], "eve")


def logging_attempted(seed: int) -> list[bytes]:
    """Somebody tries to switch logging off and may not."""
    return _actions(seed, ["DeleteModelInvocationLoggingConfiguration"], "eve", ok=False)


def posture_scan(seed: int) -> list[bytes]:
    """A security scanner reads every setting, day and night."""
    reads = ["GetModelInvocationLoggingConfiguration", "DescribeTrails", "ListGuardrails"]
    return _actions(seed, reads * 20, "scanner")


def automation_redeploys(seed: int) -> list[bytes]:
    """Automation on the list replaces the logging configuration with the same one."""
    off, on = "DeleteModelInvocationLoggingConfiguration", "PutModelInvocationLoggingConfiguration"
    return _actions(seed, [off, on], AUTOMATION)


# --- unmetered-usage ------------------------------------------------------------------------


def _billed(seed: int, stolen: int, missing: float = 0.0) -> list[bytes]:
    """Ten hours of calls, and the provider's hourly report of them, minutes late.

    Args:
        stolen: tokens an hour that do not come through the gateway, from the fifth hour on.
        missing: share of the last two hours' calls that the provider bills an hour later.
    """
    rng = rng_of(seed, "billed")
    begin = at(1)
    lines = work(seed, "k", TENANTS[0], "10.1.1.1", begin - HOUR_MS, begin + 11 * HOUR_MS, 1500)
    billed = np.zeros(12)
    for line in lines:
        hour = (line.ms - int(rng.exponential(3000)) - begin) // HOUR_MS
        text = line.data
        used = int(text.split(b'input_tokens":')[1].split(b",")[0].split(b"}")[0])
        used += int(text.split(b'output_tokens":')[1].split(b",")[0].split(b"}")[0])
        billed[max(0, hour + int(rng.random() < missing))] += used if hour >= 0 else 0
    billed[5:] += stolen * rng.uniform(0.7, 1.3, 7)
    reports = lines_of(
        (seed, "report"),
        begin + np.arange(1, 11) * HOUR_MS,
        event_name="llm.usage_bucket",
        event_granularity="bucket",
        api_key_id=key_of(seed, "k"),
        input_tokens=billed[:10].astype(int),
        latency_ms=float(HOUR_MS),
    )
    delays = {line.id: int(rng.integers(0, 40)) * MINUTE_MS for line in reports}
    return arrived(lines + reports, seed, delays)


def used_around_the_gateway(seed: int) -> list[bytes]:
    """Whoever holds the provider's key calls the provider directly."""
    return _billed(seed, int(rng_of(seed, "around").integers(40_000, 900_000)))


def billed_as_seen(seed: int) -> list[bytes]:
    """The report says what the gateway saw, but for calls that straddle the edges."""
    return _billed(seed, 0)


def billed_in_the_next_hour(seed: int) -> list[bytes]:
    """A tenth of each hour is billed an hour later."""
    return _billed(seed, 0, missing=0.1)


def billed_for_days(seed: int) -> list[bytes]:
    """A key that is busy every minute for days, and is billed what was seen."""
    hours, each = 56, 60  # calls an hour
    ms = at(1) + np.arange(hours * each) * (HOUR_MS // each)
    tokens = rng_of(seed, "days").integers(100, 4000, hours * each)
    named = {"tenant_id": TENANTS[0], "api_key_id": key_of(seed, "days")}
    calls = lines_of(
        (seed, "days"), ms, request_model="gpt-4o", status="ok", input_tokens=tokens, **named
    )
    reports = lines_of(
        (seed, "days", "report"),
        at(1) + np.arange(1, hours + 1) * HOUR_MS,
        event_name="llm.usage_bucket",
        event_granularity="bucket",
        input_tokens=tokens.reshape(hours, each).sum(1),
        latency_ms=float(HOUR_MS),
        **named,
    )
    return arrived(calls + reports, seed, {line.id: 9 * MINUTE_MS for line in reports})


TRIALS = {
    "logging-tamper": Trial(
        (logging_deleted, logging_attempted), (posture_scan, automation_redeploys)
    ),
    "unmetered-usage": Trial(
        (used_around_the_gateway,), (billed_as_seen, billed_in_the_next_hour, billed_for_days)
    ),
}
