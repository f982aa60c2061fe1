"""A tiny call that comes like clockwork, from where the key never was."""

from bisect import insort
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from detectors.base import Detector, Verdict, atlas, attack, owasp
from detectors.features import TINY_TOKENS
from detectors.memory import Memory
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
MAX_ADDRESSES = 16  # of one key


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
    once = ("key", "beat")  # all tiny calls, and now and then another of each address

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._memory = Memory(HORIZON_MS, MAX_ENTRIES)

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        return event.api_key_id

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        key, address = event.api_key_id, event.client_address
        if key is None or address is None:
            return ()
        tiny = (event.input_tokens or 0) + (event.output_tokens or 0) <= TINY_TOKENS
        places = self._note_place(key, address, time_ms, tiny)
        if not tiny:
            return ()
        name = f"{key}\0{address}"
        calls = self._memory.get(name) or []
        insort(calls, [time_ms, event.event_id])
        settled = calls[-1][0] - SETTLED_MS
        calls = calls[-MAX_CALLS:]
        self._memory.put(name, calls)
        began, worked = next(place[1:] for place in places if place[0] == address)
        if began < min(place[1] for place in places) + PAST_MS:
            return ()
        beat = _beat([call for call in calls if call[0] <= settled])
        if not beat or (worked is not None and worked <= beat[-1][0]):
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

    def _note_place(self, key: str, address: str, time_ms: int, tiny: bool) -> list[list[Any]]:
        """Where a key was used: address, since when, and since when for more than a tiny call."""
        places = self._memory.get(key) or []
        place = next((place for place in places if place[0] == address), None)
        since = None if place is None else place[1] if tiny else place[2]
        if since is not None and since <= time_ms:
            self._memory.keep(key, places)
            return list(places)  # the usual case
        if place is None:
            place = [address, time_ms, None]
            places = [*places[: MAX_ADDRESSES - 1], place]
        place[1] = min(place[1], time_ms)
        if not tiny:
            place[2] = time_ms if place[2] is None else min(place[2], time_ms)
        self._memory.put(key, places)
        return list(places)


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
