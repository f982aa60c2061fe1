"""Scenes of keys whose hours of use grow, and of keys that only look so."""

import numpy as np

from schemas.samples.lines import Line, at
from schemas.samples.trials import Trial, arrived
from schemas.samples.trials_days import (
    AFAR,
    DAYS,
    HOME,
    _calls,
    _hours,
    _owner,
    launch,
    new_laptop,
)

LONG = 5  # days that a thief stays


def _thief(seed: int, name: str, address: str, begin: int, hours: int) -> list[Line]:
    """Some calls in most hours of a part of every day."""
    rng = np.random.default_rng((seed, 81))
    ms = [
        time
        for day in range(LONG)
        for time in _hours(rng, at(DAYS + day, begin), hours, int(rng.integers(1, 4)), missed=0.1)
    ]
    return _calls(seed, name, ms, address)


# --- longer-hours ---------------------------------------------------------------------------


def night_shift(seed: int) -> list[bytes]:
    """Somebody else works from the evening to the morning, from the owner's own address."""
    hours = 12 + seed % 3
    return arrived(_owner(seed, DAYS + LONG) + _thief(seed, "night", HOME, 18, hours), seed)


def day_and_night(seed: int) -> list[bytes]:
    """Somebody else works around the clock from elsewhere."""
    return arrived(_owner(seed, DAYS + LONG) + _thief(seed, "always", AFAR, 0, 24), seed)


def two_evenings(seed: int) -> list[bytes]:
    """The owner stays for four hours more, on two days."""
    rng = np.random.default_rng((seed, 82))
    ms = [time for day in (0, 1) for time in _hours(rng, at(DAYS + day, 18), 4, 3)]
    return arrived(_owner(seed, DAYS + LONG) + _calls(seed, "evening", ms, HOME), seed)


def now_and_then(seed: int) -> list[bytes]:
    """A key that is used in four hours of ten, whichever these are."""
    rng = np.random.default_rng((seed, 83))
    ms = _hours(rng, at(0), 24 * (DAYS + LONG), 2, missed=0.6)
    return arrived(_calls(seed, "random", ms, HOME), seed)


TRIALS = {
    "longer-hours": Trial(
        (night_shift, day_and_night), (two_evenings, now_and_then, launch, new_laptop)
    ),
}
