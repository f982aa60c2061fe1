"""A tiny call that comes like clockwork, from where the key never was."""

from bisect import insort
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from detectors.base import Detector, Verdict, atlas, attack, owasp
from detectors.events import Events
from detectors.features import TINY_TOKENS
from detectors.memory import Memory
from detectors.places import EVER, Places, Rule
from schemas.decode import Record
from schemas.finding import About, Severity

ROUNDS = 6  # rounds at one period
JITTER = 1.1  # longest gap between rounds, as a multiple of the shortest
LEAST_PERIOD_MS = 50_000  # key checkers wait 3 to 360 minutes
ONE_ROUND_MS = 10_000  # two models tried at once are one round
SETTLED_MS = 300_000  # newer calls are not judged: others may still arrive
PAST_MS = 86_400_000  # a key is older than the beacon by this much
HORIZON_MS = 3 * 86_400_000
MAX_ENTRIES = 200_000  # keys and beacons remembered per generation
MAX_CALLS = 64  # of one beacon
NEVER = -EVER  # noted for a tiny call; for others minus their time, so that the earliest stands
# 16 addresses of one key. A new one is watched as soon as it may turn out to be new: an older
# call from elsewhere may be on its way.
PLACES = Rule(most=16, gap=PAST_MS - SETTLED_MS)


class KeyBeacon(Detector):
    """Flags a new address that does nothing but try an old key at a fixed period.

    A resale proxy checks each of its keys every 3, 60 or 360 minutes with a question of a few
    tokens. An owner's health check does the same, but from an address the key has been used from
    since it began, or beside real work.

    Source: the key checkers of the common resale proxies, read in source.
    Blind spot: a checker that jitters by a tenth and more; one that runs where the key works.

    >>> from schemas.testing import record
    >>> detector, hour = KeyBeacon(), 3_600_000
    >>> list(detector.inspect(record(key="k", address="home", input_tokens=900), 0))
    []
    >>> told = [list(detector.inspect(record(id=f"e{n}", key="k", address="far", input_tokens=9),
    ...     (30 + n) * hour)) for n in range(8)]
    >>> [bool(verdicts) for verdicts in told]
    [False, False, False, False, False, False, True, True]
    """

    about = About(
        id="key-beacon",
        title="A key is checked at a fixed period from a new place",
        family="llmjacking",
        severity=Severity.MEDIUM,
        techniques=(
            atlas("AML.T0040", "AI Model Inference API Access"),
            attack("T1078.004", "Valid Accounts: Cloud Accounts"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "Ask the owner whether they have begun to monitor this key from there.",
            "If not, the key is in somebody's stock: revoke it before it is sold.",
            "Look for the same address at other keys.",
        ),
        blind_spot="a checker that jitters, or that runs where the key's own work does",
        needs=("api_key.id", "client.address", "gen_ai.usage.input_tokens"),
    )
    takes = "model_call"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._memory = Places(HORIZON_MS, MAX_ENTRIES, PLACES)

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        return event.api_key_id

    def pick(self, events: Events) -> Iterable[int]:
        times, tiny = events.times, events["tokens"] <= TINY_TOKENS
        worked = np.where(tiny, NEVER, -times)
        return self._memory.strange(events, events["key"], events["address"], times, worked, tiny)

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        key, address = event.api_key_id, event.client_address
        if key is None or address is None:
            return ()
        tiny = (event.input_tokens or 0) + (event.output_tokens or 0) <= TINY_TOKENS
        here, places = self._memory.note(key, address, time_ms, NEVER if tiny else -time_ms)
        oldest, began, worked = min(place.low for place in places), here.low, -here.high
        if not tiny or began < oldest + PLACES.gap:
            return ()
        name = f"{key}\0{address}"
        calls = self._memory.get(name) or []
        insort(calls, [time_ms, event.event_id])
        settled = calls[-1][0] - SETTLED_MS
        calls = calls[-MAX_CALLS:]
        self._memory.put(name, calls)
        if began < oldest + PAST_MS:
            return ()
        beat = _beat([call for call in calls if call[0] <= settled])
        if not beat or worked <= beat[-1][0]:
            return ()
        period = (beat[-1][0] - beat[0][0]) / (ROUNDS - 1) / 60_000
        return (
            Verdict(
                f"a tiny call every {period:.0f} minutes from an address new to this key",
                {"period_minutes": round(period, 1), "rounds": ROUNDS},
                parts=(address,),
                decisive=(beat[-1][1], beat[-1][0]),
                others=tuple((id, time) for time, id in reversed(beat[:-1])),
            ),
        )


def _beat(calls: list[list[Any]]) -> list[list[Any]]:
    """The first run of rounds at one period; empty if there is none."""
    rounds = [
        later
        for at, later in enumerate(calls)
        if at == 0 or later[0] - calls[at - 1][0] >= ONE_ROUND_MS
    ]
    for start in range(len(rounds) - ROUNDS + 1):
        run = rounds[start : start + ROUNDS]
        gaps = [after[0] - before[0] for before, after in pairwise(run)]
        if min(gaps) >= LEAST_PERIOD_MS and max(gaps) <= JITTER * min(gaps):
            return run
    return []
