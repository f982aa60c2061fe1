"""Scenes of keys over weeks: an owner's working days, a second user beside them, busy days."""

from collections.abc import Sequence

import numpy as np

from schemas.samples.clients import TENANTS
from schemas.samples.lines import HOUR_MS, MINUTE_MS, Line, at, fingerprint, fingerprints
from schemas.samples.plain import lines_of
from schemas.samples.trials import Trial, arrived

DAYS = 18  # of history
HOME, LAPTOP, AFAR = "10.1.1.1", "10.1.1.2", "198.18.7.7"


def _calls(seed: int, name: str, ms: Sequence[int], address: str) -> list[Line]:
    label = (seed, "days", name)
    times = np.array(sorted(ms), np.int64)
    rng = np.random.default_rng((seed, sum(name.encode())))
    found: list[Line] = lines_of(
        label,
        times,
        api_key_id=fingerprint(seed, "trial", "days"),
        tenant_id=TENANTS[0],
        request_model="gpt-4o",
        provider_name="openai",
        client_address=address,
        client_address_quality="peer",
        user_agent="OpenAI/Python 1.99.1",
        http_status=200,
        status="ok",
        content_input_hash=fingerprints(len(times), *label, "prompt"),
        input_tokens=np.rint(rng.lognormal(7, 0.5, len(times))).astype(int),
        output_tokens=np.rint(rng.lognormal(5, 0.5, len(times))).astype(int),
    )
    return found


def _hours(
    rng: np.random.Generator, begin: int, hours: int, an_hour: int, missed: float = 0.0
) -> list[int]:
    """Times of calls: some in each hour, but in a share of the hours none."""
    busy = [begin + hour * HOUR_MS for hour in range(hours) if rng.random() >= missed]
    return [start + int(rng.integers(0, HOUR_MS)) for start in busy for _ in range(an_hour)]


def _owner(seed: int, days: int = DAYS + 2) -> list[Line]:
    """Ten hours a day, most of them used."""
    rng = np.random.default_rng((seed, 71))
    ms = [t for day in range(days) for t in _hours(rng, at(day, 8), 10, 3, missed=0.1)]
    return _calls(seed, "owner", ms, HOME)


# --- second-user ----------------------------------------------------------------------------


def patient_thief(seed: int) -> list[bytes]:
    """A few calls an hour from elsewhere, day and night, no faster than the owner."""
    rng = np.random.default_rng((seed, 72))
    ms = _hours(rng, at(DAYS, int(rng.integers(0, 6))), 40, int(rng.integers(2, 4)))
    return arrived(_owner(seed) + _calls(seed, "thief", ms, AFAR), seed)


def thief_in_the_house(seed: int) -> list[bytes]:
    """The same from the owner's own address."""
    rng = np.random.default_rng((seed, 73))
    ms = _hours(rng, at(DAYS, int(rng.integers(0, 6))), 42, 4)
    return arrived(_owner(seed) + _calls(seed, "thief", ms, HOME), seed)


def long_day(seed: int) -> list[bytes]:
    """The owner stays three hours longer than ever."""
    rng = np.random.default_rng((seed, 74))
    more = _hours(rng, at(DAYS, 18), 3, 9)
    return arrived(_owner(seed) + _calls(seed, "longer", more, HOME), seed)


def launch(seed: int) -> list[bytes]:
    """Thirty times the calls of any day, in the usual hours."""
    rng = np.random.default_rng((seed, 75))
    more = _hours(rng, at(DAYS, 8), 10, 90)
    return arrived(_owner(seed) + _calls(seed, "launch", more, HOME), seed)


def new_laptop(seed: int) -> list[bytes]:
    """At noon the work moves to another address; some calls still come from the old one."""
    rng = np.random.default_rng((seed, 76))
    moved = at(DAYS, 12)
    owner = [line for line in _owner(seed) if line.ms < moved]
    late = [moved + int(rng.integers(0, 90 * MINUTE_MS)) for _ in range(5)]
    ms = [t for day in (0, 1) for t in _hours(rng, at(DAYS + day, 12), 6, 3)]
    lines = owner + _calls(seed, "late", late, HOME) + _calls(seed, "laptop", ms, LAPTOP)
    return arrived(lines, seed)


TRIALS = {
    "second-user": Trial((patient_thief, thief_in_the_house), (long_day, launch, new_laptop)),
}
