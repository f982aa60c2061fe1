"""Somebody who listens to how fast the first word comes."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from detectors.base import Detector, Verdict, atlas, attack, owasp
from detectors.memory import Memory
from detectors.settled import HOUR_MS, SETTLED_MS
from schemas.decode import Record
from schemas.finding import About, Severity

PROBES = 20  # calls in a row
SPAN_MS = 600_000  # in which they lie
STEP_TOKENS = 64  # by which a guess may be longer than the one before
APART = 2.0  # times slower are the slow answers than the fast ones, with nothing between
EACH = 2  # answers on either side
MAX_CALLS = 1024  # of one key; three a second, until nothing older can arrive
MAX_KEYS = 50_000  # remembered per generation


class CacheTimingProbe(Detector):
    """Flags a key whose prompts grow guess by guess, for a word of answer that is fast or slow.

    A provider that shares the cache of prompts' beginnings answers faster when somebody else's
    prompt began the same. Who wants to know tries guess after guess, each prompt as long as the one
    before or a little longer, asks for a word only, and watches the time to the first word, which
    falls into two groups. Classifiers ask for a word too, but their prompts have every size; a
    dialogue grows, but is answered evenly.

    Source: PROMPTPEEK (NDSS 2025); Gu et al. (ICML 2025) found seven providers with such a cache.
    Blind spot: guesses spread over hours or many keys, or among other one-word calls of the key;
    sources without the time to the first word.

    >>> from schemas.testing import record
    >>> detector, told = CacheTimingProbe(), []
    >>> for guess in range(41):
    ...     tried = record(id=f"e{guess}", key="hmac:1", prompt=f"hmac:{guess}", output_tokens=1,
    ...         input_tokens=900 + guess // 4, time_to_first_chunk_s=0.2 if guess % 4 else 0.05)
    ...     told += [(guess, v.decisive[0]) for v in detector.inspect(tried, 15_000 * guess)]
    >>> told[0]
    (39, 'e19')
    """

    about = About(
        id="cache-timing-probe",
        title="Prompts are guessed by the time a cached beginning saves",
        family="cross-tenant",
        severity=Severity.MEDIUM,
        techniques=(
            atlas("AML.T0024", "Exfiltration via AI Inference API"),
            attack("T1592", "Gather Victim Host Information"),
            owasp("LLM02", "Sensitive Information Disclosure"),
        ),
        runbook=(
            "Ask the key's owner what asks for one word again and again.",
            "Find out whether the provider shares its cache between organisations.",
            "Keep secrets out of the beginning of prompts; begin each tenant's with its own salt.",
        ),
        blind_spot="guesses over hours or many keys, or among other one-word calls; sources without"
        " the time to the first word",
        needs=(
            "api_key.id",
            "content.input.hash",
            "gen_ai.usage.input_tokens",
            "gen_ai.response.time_to_first_chunk",
        ),
    )
    takes = "timed_word"
    lane = "credential"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._memory = Memory(HOUR_MS, MAX_KEYS)

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        return event.api_key_id

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        key, tokens, first_s = event.api_key_id, event.input_tokens, event.time_to_first_chunk_s
        if key is None or tokens is None or not first_s:
            return
        state: dict[str, Any] = self._memory.get(key) or {"calls": [], "looked": 0}
        mine = [time_ms, event.event_id, event.content_input_hash or "", tokens, first_s]
        insort(state["calls"], mine)
        runs = _ripe(state, time_ms - SETTLED_MS)
        self._memory.put(key, state)
        for run in runs:
            yield Verdict(
                f"{PROBES} prompts in a row, each a little longer, were asked for a word that"
                " came fast or slow",
                {
                    "from_tokens": run[0][3],
                    "to_tokens": run[-1][3],
                    "model": event.request_model,
                },
                decisive=(run[-1][1], run[-1][0]),
                others=tuple((one[1], one[0]) for one in run[-2::-1]),
            )


def _ripe(state: dict[str, Any], until: int) -> list[list[list[Any]]]:
    """Guesses that nothing older can precede any more; forgets calls that are not needed then.

    Of more calls than are kept the older half is judged at once.
    """
    calls, looked = state["calls"], state["looked"]
    if len(calls) > MAX_CALLS:
        until = max(until, calls[MAX_CALLS // 2][0])
    if until <= looked:
        del calls[:-MAX_CALLS]
        return []
    done = bisect_right(calls, until, key=_time)
    begin = max(PROBES - 1, bisect_right(calls, looked, key=_time))
    runs = [calls[end - PROBES + 1 : end + 1] for end in range(begin, done)]
    state["looked"] = until
    del calls[: max(bisect_left(calls, until - SPAN_MS, key=_time), done - PROBES)]
    return [run for run in runs if _probes(run)]


def _time(call: list[Any]) -> int:
    return int(call[0])


def _probes(run: list[list[Any]]) -> bool:
    """Whether calls in the order of time are guesses, one after the other."""
    if run[-1][0] - run[0][0] >= SPAN_MS or len({one[2] for one in run}) < len(run):
        return False
    if not all(0 <= late[3] - early[3] <= STEP_TOKENS for early, late in pairwise(run)):
        return False
    if run[-1][3] == run[0][3]:
        return False
    waits = sorted(one[4] for one in run)
    gaps = [late / early for early, late in pairwise(waits)]
    return bool(max(gaps[EACH - 1 : len(gaps) - EACH + 1]) >= APART)
