"""A model that is answered by another one."""

from collections.abc import Iterable

from detectors.base import Detector, Verdict, atlas, owasp
from detectors.levels import ACCEPT, FADING, LEARNED
from detectors.memory import Memory
from detectors.served import family, service
from detectors.tallies import Batch, State, Tallies
from schemas.decode import Record
from schemas.finding import About, Severity

BATCH = 20  # sampled calls that are compared at a time
RARE = 0.1  # a model that usually answers fewer than this share is a stranger here
STRANGE = 0.3  # share of answers by strangers
MAX_FAMILIES = 16  # remembered per service
HORIZON_MS = 7 * 86_400_000
MAX_SERVICES = 10_000  # remembered per generation


class FallbackDrift(Detector):
    """Flags a model name behind which a different model begins to answer.

    A gateway falls back when its first choice fails, and nobody notices that it stays there: other
    prices, other answers. What usually answers a name is learned, so an alias is as good as a name,
    and versions of one model are the same model.

    Source: gateways retry on another deployment by default and only their own log says so.
    Blind spot: sources that repeat the requested name as the answering one (LiteLLM's callback).

    >>> from schemas.testing import record
    >>> detector, told = FallbackDrift(), []
    >>> for n in range(160):
    ...     by = "gpt-4o-2024-08-06" if n < 110 else "mistral-large-2411"
    ...     call = record(id=f"e{n}", provider_name="openai", model="gpt-4o", response_model=by)
    ...     told += [v.summary for v in detector.inspect(call, n * 60_000)]
    >>> told[0]
    '50 % of the calls of one model were answered by another'
    """

    about = About(
        id="fallback-drift",
        title="Another model answers than usual",
        family="health",
        severity=Severity.INFO,
        techniques=(
            atlas("AML.T0010", "AI Supply Chain Compromise"),
            owasp("LLM03", "Supply Chain"),
        ),
        runbook=(
            "See at the gateway which deployment failed, and why its calls are not going back.",
            "Tell the owners of the keys: answers and prices are those of another model.",
        ),
        blind_spot="sources that repeat the requested name as the answering one",
        needs=("gen_ai.request.model", "gen_ai.response.model"),
    )
    takes = "served"
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
        name, answered = service(event), event.response_model
        if name is None or answered is None:
            return
        by = family(answered)
        state, batches = self._tallies.add(name, time_ms, event.event_id, {by: 1})
        for batch in batches:
            known = state["known"].get("shares", {})
            strangers = {
                one: calls for one, calls in batch["counts"].items() if known.get(one, 0.0) < RARE
            }
            share = sum(strangers.values()) / batch["n"]
            odd = state["known"].get("n", 0) >= LEARNED and share >= STRANGE
            if odd:
                time, id = batch["last"]
                yield Verdict(
                    f"{100 * share:.0f} % of the calls of one model were answered by another",
                    {"asked": name, "answered_by": dict(strangers), "usual": dict(known)},
                    decisive=(id, time),
                )
            _learn(state, batch, odd)


def _learn(state: State, batch: Batch, odd: bool) -> None:
    """Learns which models answer, unless that is odd; what stays odd becomes usual."""
    known = state["known"]
    known["odd"] = known.get("odd", 0) + 1 if odd else 0
    if odd and known["odd"] < ACCEPT:
        return
    if odd:
        known.clear()
    known["n"] = known.get("n", 0) + 1
    weight = max(1 / known["n"], FADING)
    shares: dict[str, float] = known.setdefault("shares", {})
    now = {one: calls / batch["n"] for one, calls in batch["counts"].items()}
    for one in {**shares, **now}:
        before = shares.get(one, 0.0)
        shares[one] = round(before + weight * (now.get(one, 0.0) - before), 6)
    for one in sorted(shares, key=lambda one: shares[one])[:-MAX_FAMILIES]:
        del shares[one]
