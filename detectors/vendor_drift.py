"""A model whose answers became much longer or shorter for everybody."""

from collections.abc import Iterable
from math import exp, log

from detectors import together
from detectors.base import Detector, Verdict, atlas, owasp
from detectors.memory import Memory
from detectors.served import service
from detectors.tallies import Batch, State, Tallies
from schemas.decode import Record
from schemas.finding import About, Severity

BATCH = 64  # sampled calls that are compared at a time
OTHER_LENGTH = log(1.6)  # longer, or shorter by as much
LEAST_TOKENS = 16  # of an answer; yes, no and health checks have no length to speak of
IN_A_ROW = 2  # batches; chance does not repeat itself
HORIZON_MS = 7 * 86_400_000
MAX_SERVICES = 10_000  # remembered per generation


class VendorDrift(Detector):
    """Flags a model whose answers change their length for several keys at once.

    Each key is compared with its own past, so one owner's new prompt is that owner's affair. When
    half of the keys, by their calls, get answers 1.6 times as long, or as short, the model behind
    the name is not what it was: an update, a quantised copy, a changed default.

    Source: the length of answers is the one trait of a model that token counts show.
    Blind spot: a change that leaves lengths alone; models that fewer than three keys use.

    >>> from schemas.testing import record
    >>> detector, told = VendorDrift(), []
    >>> for n in range(700):
    ...     call = record(id=f"e{n}", provider_name="openai", model="gpt-4o", key=f"k{n % 4}",
    ...         output_tokens=400 if n < 500 else 100)
    ...     told += [v.summary for v in detector.inspect(call, n * 60_000)]
    >>> told[0]
    'answers are 0.29 times as long as usual, for 4 keys at once'
    """

    about = About(
        id="vendor-drift",
        title="A model's answers changed their length for everybody",
        family="health",
        severity=Severity.INFO,
        techniques=(
            atlas("AML.T0010", "AI Supply Chain Compromise"),
            owasp("LLM03", "Supply Chain"),
        ),
        runbook=(
            "Look for a notice of the vendor; compare `model-rotation` of the same day.",
            "Tell the owners of the keys to run their evaluations again.",
        ),
        blind_spot="a change that leaves lengths alone; models that fewer than three keys use",
        needs=("api_key.id", "gen_ai.request.model", "gen_ai.usage.output_tokens"),
    )
    takes = "spoken"
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
        name, key, tokens = service(event), event.api_key_id, event.output_tokens
        if name is None or key is None or not tokens or tokens < LEAST_TOKENS:
            return ()
        counts = together.counts(key, tokens)
        state, batches = self._tallies.add(name, time_ms, event.event_id, counts)
        return _compared(name, state, batches) if batches else ()


def _compared(name: str, state: State, batches: list[Batch]) -> Iterable[Verdict]:
    for batch in batches:
        shift = together.shift(state, batch)
        odd = shift is not None and abs(shift[0]) >= OTHER_LENGTH
        if shift is not None and odd and state["known"].get("odd", 0) >= IN_A_ROW - 1:
            time, id = batch["last"]
            times, keys = exp(shift[0]), shift[1]
            yield Verdict(
                f"answers are {times:.2f} times as long as usual, for {keys} keys at once",
                {"service": name, "times_usual": round(times, 2), "keys": keys},
                decisive=(id, time),
            )
        together.learn(state, batch, odd)
