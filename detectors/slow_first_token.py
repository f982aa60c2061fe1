"""A model that lets everybody wait longer for the first token."""

from collections.abc import Iterable
from math import exp, log

from detectors import together
from detectors.base import Detector, Verdict, atlas, owasp
from detectors.memory import Memory
from detectors.served import service
from detectors.tallies import Tallies
from schemas.decode import Record
from schemas.finding import About, Severity

BATCH = 48  # sampled calls that are compared at a time
SLOWER = log(2)  # twice as long
IN_A_ROW = 2  # batches; chance does not repeat itself
HORIZON_MS = 7 * 86_400_000
MAX_SERVICES = 10_000  # remembered per generation


class SlowFirstToken(Detector):
    """Flags a model whose first tokens take twice as long for several keys at once.

    Each key is compared with its own past, because the wait grows with the prompt: one key with
    longer prompts is its own affair. Half of the keys, by their calls, must wait twice as long.

    Source: the wait until the first token is what people notice of a provider's trouble, well
    before errors.
    Blind spot: models that fewer than three keys use; answers that are not streamed.

    >>> from schemas.testing import record
    >>> detector, told = SlowFirstToken(), []
    >>> for n in range(600):
    ...     call = record(id=f"e{n}", provider_name="openai", model="gpt-4o", key=f"k{n % 4}",
    ...         time_to_first_chunk_s=0.5 if n < 400 else 1.6)
    ...     told += [v.summary for v in detector.inspect(call, n * 60_000)]
    >>> told[0]
    'first tokens take 3.2 times as long as usual, for 4 keys at once'
    """

    about = About(
        id="slow-first-token",
        title="First tokens take longer than usual",
        family="health",
        severity=Severity.INFO,
        techniques=(
            atlas("AML.T0029", "Denial of AI Service"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "Look at the provider's status page and at other regions of the same model.",
            "See whether one key's storm fills the queue that all of them share.",
        ),
        blind_spot="models that fewer than three keys use; answers that are not streamed",
        needs=("api_key.id", "gen_ai.request.model", "gen_ai.response.time_to_first_chunk"),
    )
    takes = "first_chunk"
    lane = "service"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._tallies = Tallies(BATCH, HORIZON_MS, MAX_SERVICES)

    @property
    def memory(self) -> Memory:
        return self._tallies.memory

    def entity(self, event: Record) -> str | None:
        return service(event)

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        name, key, wait = service(event), event.api_key_id, event.time_to_first_chunk_s
        if name is None or key is None or not wait:
            return
        counts = together.counts(key, max(wait, 0.001))
        state, batches = self._tallies.add(name, time_ms, event.event_id, counts)
        for batch in batches:
            shift = together.shift(state, batch)
            odd = shift is not None and shift[0] >= SLOWER
            if shift is not None and odd and state["known"].get("odd", 0) >= IN_A_ROW - 1:
                time, id = batch["last"]
                times, keys = exp(shift[0]), shift[1]
                yield Verdict(
                    f"first tokens take {times:.1f} times as long as usual,"
                    f" for {keys} keys at once",
                    {"service": name, "times_usual": round(times, 2), "keys": keys},
                    decisive=(id, time),
                )
            together.learn(state, batch, odd)
