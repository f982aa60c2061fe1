"""A key whose prompts are no longer found in the provider's cache."""

from collections.abc import Iterable

from detectors import levels
from detectors.base import Detector, Verdict, atlas, owasp
from detectors.features import CACHEABLE_TOKENS
from detectors.memory import Memory
from detectors.tallies import Tallies
from schemas.decode import Record
from schemas.finding import About, Severity

BATCH = 16  # sampled calls that are compared at a time
DROP = 0.3  # by which the share falls
IN_A_ROW = 2  # batches; a cache that is cold after a restart warms up
HORIZON_MS = 7 * 86_400_000
MAX_KEYS = 50_000  # remembered per generation


class CacheCollapse(Detector):
    """Flags a key whose share of cached input falls by 30 points from its own usual.

    Somebody reordered a prompt, put a timestamp into its beginning or changed the route; or another
    program works with the key. The same work costs up to ten times as much.

    Source: cached input costs a tenth at the large providers; a drop of half over a hundred calls
    is a known sign of a second user of a key.
    Blind spot: prompts below 1024 tokens, which are never cached; keys with few calls.

    >>> from schemas.testing import record
    >>> detector, told = CacheCollapse(), []
    >>> for n in range(200):
    ...     read = 1800 if n < 100 else 0
    ...     call = record(id=f"e{n}", key="k", input_tokens=2000, cache_read_tokens=read)
    ...     told += [v.summary for v in detector.inspect(call, n * 60_000)]
    >>> told[0]
    'only 0 % of the input came from the cache, where 90 % is usual'
    """

    about = About(
        id="cache-collapse",
        title="Prompts are no longer found in the cache",
        family="health",
        severity=Severity.INFO,
        techniques=(
            atlas("AML.T0034", "Cost Harvesting"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "Ask the owner what they deployed: a prompt that begins differently is not cached.",
            "See whether addresses and clients are the usual ones, or the key has another user.",
            "Keep what changes at the end of the prompt.",
        ),
        blind_spot="prompts below 1024 tokens, which are never cached; keys with few calls",
        needs=(
            "api_key.id",
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.cache_read.input_tokens",
        ),
    )
    takes = "cacheable"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._tallies = Tallies(BATCH, HORIZON_MS, MAX_KEYS)

    @property
    def memory(self) -> Memory:
        return self._tallies.memory

    def entity(self, event: Record) -> str | None:
        return event.api_key_id

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        key, read, tokens = event.api_key_id, event.cache_read_tokens, event.input_tokens
        if key is None or read is None or tokens is None or tokens < CACHEABLE_TOKENS:
            return
        share = round(1000 * min(read, tokens) / tokens)
        state, batches = self._tallies.add(key, time_ms, event.event_id, {"share": share})
        for batch in batches:
            now, before = batch["counts"]["share"] / batch["n"] / 1000, levels.usual(state["known"])
            odd = before is not None and now <= before - DROP
            if odd and state["known"].get("odd", 0) >= IN_A_ROW - 1:
                time, id = batch["last"]
                yield Verdict(
                    f"only {100 * now:.0f} % of the input came from the cache,"
                    f" where {100 * (before or 0.0):.0f} % is usual",
                    {"cached_share": round(now, 3), "usual_share": round(before or 0.0, 3)},
                    decisive=(id, time),
                )
            levels.learn(state["known"], now, odd)
