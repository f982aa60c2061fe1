"""A key that pays for cache entries nobody reads."""

from collections.abc import Iterable

from detectors.base import Detector, Verdict, atlas, owasp
from detectors.memory import Memory
from detectors.tallies import Tallies
from schemas.decode import Record
from schemas.finding import About, Severity

BATCH = 16  # sampled calls that are judged at a time
BREAK_EVEN = 0.25 / 0.9  # tokens read per token written at which caching pays for itself
LEAST_TOKENS = 500  # written per call; below this no waste is worth a word
IN_A_ROW = 2  # batches; the first touches of a new prompt are honest
HORIZON_MS = 7 * 86_400_000
MAX_KEYS = 50_000  # remembered per generation


class FirstTouchBurn(Detector):
    """Flags a key whose every call is a first touch: it writes to the cache and hardly reads.

    Writing a prompt to the cache costs a quarter more than sending it, reading it back saves nine
    tenths. A key that reads fewer than 0.28 tokens for each it writes pays more with the cache than
    without. A prompt that begins with a timestamp does that, or calls further apart than entries
    live.

    Source: Anthropic's published prices: 1.25 times the input price to write, 0.1 times to read.
    Blind spot: providers that do not say how much was written.

    >>> from schemas.testing import record
    >>> detector, told = FirstTouchBurn(), []
    >>> for n in range(60):
    ...     call = record(id=f"e{n}", key="k", cache_creation_tokens=4000, cache_read_tokens=0)
    ...     told += [v.evidence["tokens_written"] for v in detector.inspect(call, n * 60_000)]
    >>> told[0]
    64000
    """

    about = About(
        id="first-touch-burn",
        title="A key pays for cache entries nobody reads",
        family="health",
        severity=Severity.INFO,
        techniques=(
            atlas("AML.T0034", "Cost Harvesting"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "Find what differs at the beginning of each prompt: a date, an id, a shuffled list.",
            "Put what never changes first, or stop marking prompts for the cache.",
        ),
        blind_spot="providers that do not say how much was written",
        needs=(
            "api_key.id",
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.cache_read.input_tokens",
        ),
    )
    takes = "cache_user"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._tallies = Tallies(BATCH, HORIZON_MS, MAX_KEYS)

    @property
    def memory(self) -> Memory:
        return self._tallies.memory

    def entity(self, event: Record) -> str | None:
        return event.api_key_id

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        key = event.api_key_id
        written, read = event.cache_creation_tokens or 0, event.cache_read_tokens or 0
        if key is None or not written + read:
            return
        counts = {"written": written, "read": read}
        state, batches = self._tallies.add(key, time_ms, event.event_id, counts)
        for batch in batches:
            written, read = batch["counts"]["written"], batch["counts"]["read"]
            wasteful = written >= LEAST_TOKENS * batch["n"] and read < BREAK_EVEN * written
            row = state["known"]["row"] = state["known"].get("row", 0) + 1 if wasteful else 0
            if row >= IN_A_ROW:
                time, id = batch["last"]
                yield Verdict(
                    "a key writes prompts to the cache and hardly reads any back",
                    {"tokens_written": written, "tokens_read": read, "calls": batch["n"]},
                    decisive=(id, time),
                )
