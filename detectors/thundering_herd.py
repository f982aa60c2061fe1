"""Many clients that come back at the same moment, are refused together, and come back again."""

from collections.abc import Iterable
from statistics import fmean, pvariance
from typing import Any

from detectors.base import Detector, Verdict, atlas, attack, owasp
from detectors.memory import Memory
from detectors.settled import SETTLED_MS
from schemas.decode import Record
from schemas.finding import About, Severity

SPAN_S = 120  # looked at together
STEP_S = 30  # between two looks
FANO = 5.0  # variance over mean of the refusals per second; 1 for callers that come by chance
WAVES = 3  # in which a herd came
WAVE_S = 3  # a wave is no longer, and so long at least it is quiet before and after
PEAK_CALLS = 10  # refused in a second of a wave
PEAK_KEYS = 5  # different keys among them
WAVE_SHARE = 0.6  # of all refusals lie in waves
MAX_SECONDS = 900  # remembered for one service
MAX_SERVICES = 20_000  # remembered per generation


class ThunderingHerd(Detector):
    """Flags a service whose refused calls come in waves, from many keys in the same seconds.

    Clients without jitter that were refused together return together. Seconds are looked at once
    nothing older can arrive, so a herd is told five minutes after its third wave, at the next
    refusal of the same service.

    Source: the Fano factor of counts (1 for a Poisson process); jittered backoff is what spreads a
    herd (AWS Builders' Library, "Timeouts, retries and backoff with jitter").
    Blind spot: a herd whose service then falls silent; clients of fewer than five keys.

    >>> from schemas.testing import record
    >>> detector, told = ThunderingHerd(), []
    >>> for second in (0, 20, 40, 60, 420):
    ...     for key in range(20):
    ...         late = record(id=f"{second}-{key}", key=f"hmac:{key}", model="m", http_status=429)
    ...         told += [v.summary for v in detector.inspect(late, 1000 * second + key)]
    >>> told[0]
    'refused calls of many keys came in 3 waves within two minutes'
    """

    about = About(
        id="thundering-herd",
        title="Many clients return at the same moment and are refused together",
        family="retry-storm",
        severity=Severity.MEDIUM,
        techniques=(
            atlas("AML.T0029", "Denial of AI Service"),
            attack("T1499.003", "Endpoint Denial of Service: Application Exhaustion Flood"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "Give the clients a random part in their waiting time: full jitter.",
            "Spread the first wave at the gateway, or refuse with different Retry-After values.",
            "Look for a clock all clients share: a cron minute, a cache that expires, a deploy.",
        ),
        blind_spot="a herd whose service then falls silent; clients of fewer than five keys",
        needs=("api_key.id", "http.response.status_code", "gen_ai.request.model"),
    )
    takes = "pushed_back"
    lane = "service"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._memory = Memory(4 * SETTLED_MS, MAX_SERVICES)

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        model = event.request_model
        return model and f"{event.provider_name or ''}/{model}"

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        service, key = self.entity(event), event.api_key_id
        if service is None or key is None:
            return
        state: dict[str, Any] = self._memory.get(service) or {"seconds": {}, "looked": 0}
        seconds: dict[str, Any] = state["seconds"]
        mine, first = seconds.get(str(time_ms // 1000)), [time_ms, event.event_id]
        if mine is None:
            mine = seconds[str(time_ms // 1000)] = [time_ms // 1000, 0, [], first]
        mine[1] += 1
        mine[3] = min(mine[3], first)
        if len(mine[2]) < PEAK_KEYS and key not in mine[2]:
            mine[2].append(key)
        self._memory.put(service, state)
        done = (time_ms - SETTLED_MS) // 1000 // STEP_S
        if done > state["looked"]:
            known = sorted(seconds.values())
            looks = range(max(state["looked"] + 1, done - MAX_SECONDS // STEP_S), done + 1)
            for look in looks if any(one[1] >= PEAK_CALLS for one in known) else ():
                yield from _look([one for one in known if 0 < look * STEP_S - one[0] <= SPAN_S])
            kept = [one for one in known if one[0] > known[-1][0] - MAX_SECONDS]
            state.update(looked=done, seconds={str(one[0]): one for one in kept})


def _look(seconds: list[Any]) -> Iterable[Verdict]:
    """An opinion about two minutes, given as second, refusals, some keys and the first event."""
    peaks = [one for one in seconds if one[1] >= PEAK_CALLS and len(one[2]) >= PEAK_KEYS]
    runs: list[list[Any]] = []
    for peak in peaks:
        if runs and peak[0] - runs[-1][-1][0] <= WAVE_S:
            runs[-1].append(peak)
        else:
            runs.append([peak])
    waves = [run for run in runs if run[-1][0] - run[0][0] < WAVE_S]
    counts = [one[1] for one in seconds] + [0] * (SPAN_S - len(seconds))
    inside = sum(one[1] for wave in waves for one in wave)
    if len(waves) < WAVES or inside < WAVE_SHARE * sum(counts):
        return
    fano = pvariance(counts) / fmean(counts)
    if fano > FANO:
        first = [wave[0][3] for wave in waves]
        yield Verdict(
            f"refused calls of many keys came in {len(waves)} waves within two minutes",
            {"waves": len(waves), "refused": sum(counts), "fano": round(fano, 1)},
            decisive=(first[-1][1], first[-1][0]),
            others=tuple((id, at) for at, id in first[-2::-1]),
        )
