"""Scenes of sources that fall silent, and of those that rest as they always do."""

from collections.abc import Callable
from typing import Any

import numpy as np

from schemas.samples.clients import TENANTS
from schemas.samples.lines import HOUR_MS, at, fingerprint
from schemas.samples.plain import lines_of
from schemas.samples.trials import Trial, arrived
from schemas.samples.trials_health import MODEL_SAMPLE, rng_of

DAYS = 9  # one week teaches, the days after it are judged
DUE = at(7, 10)  # when the silence begins: a Thursday, like the first day

Keep = Callable[[Any], Any]


def _flows(seed: int, name: str, per: int, keep: Keep, nights: bool = True) -> list[bytes]:
    """A tenant that works by day, and another that is always there.

    Args:
        keep: which of the first tenant's calls, by their times, come.
        nights: whether it works at night and at weekends too.
    """
    rng = rng_of(seed, name)
    an_hour = int(rng.integers(5, 12)) * per
    begins = np.arange(at(0), at(DAYS), HOUR_MS)
    hours, days = np.arange(len(begins)) % 24, np.arange(len(begins)) // 24
    works = (hours >= 7) & (hours < 19) & ((days + 3) % 7 < 5)
    counts = rng.poisson(np.where(works, an_hour, 0.5 * an_hour if nights else 0))
    ms = np.repeat(begins, counts) + rng.integers(0, HOUR_MS, counts.sum())
    ms = np.sort(ms[keep(ms)])
    always = np.arange(at(0), at(DAYS), 3 * HOUR_MS // per)
    lines = []
    for tenant, times in ((TENANTS[seed % 6], ms), (TENANTS[6 + seed % 6], always)):
        lines += lines_of(
            (seed, name, tenant),
            times,
            tenant_id=tenant,
            api_key_id=fingerprint(seed, "trial", name, tenant),
            provider_name="openai",
            request_model="gpt-4o",
            http_status=200,
            status="ok",
            client_address="10.4.4.4",
        )
    return arrived(lines, seed)


def callback_dies(seed: int, per: int = 1) -> list[bytes]:
    """A gateway's callback stops on a working day; nobody sees it for half a day or more."""
    end = DUE + int(rng_of(seed, "outage").integers(10, 30)) * HOUR_MS
    return _flows(seed, "dies", per, lambda ms: (ms < DUE) | (ms > end))


def nights_and_weekends(seed: int, per: int = 1) -> list[bytes]:
    """An office is silent at night and at weekends."""
    return _flows(seed, "office", per, lambda ms: ms > 0, nights=False)


def short_outage(seed: int, per: int = 1) -> list[bytes]:
    """The callback stops for an hour and catches nothing up."""
    return _flows(seed, "short", per, lambda ms: (ms < DUE) | (ms > DUE + HOUR_MS))


def half_the_traffic(seed: int, per: int = 1) -> list[bytes]:
    """A quiet week: every other call stays away."""
    return _flows(seed, "quiet week", per, lambda ms: (ms < DUE) | (np.arange(len(ms)) % 2 == 0))


TRIALS = {
    "usage-gap": Trial(
        (callback_dies,), (nights_and_weekends, short_outage, half_the_traffic), MODEL_SAMPLE
    ),
}
