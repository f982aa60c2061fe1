"""A name behind which another version of the same model answers."""

from collections.abc import Iterable

from detectors.base import Detector, Verdict, atlas, owasp
from detectors.levels import LEARNED
from detectors.memory import Memory
from detectors.served import family, service
from detectors.tallies import Tallies
from schemas.decode import Record
from schemas.finding import About, Severity

BATCH = 20  # sampled calls that are compared at a time
NEARLY_ALL = 0.8  # share of a batch that one version answers
HORIZON_MS = 30 * 86_400_000
MAX_SERVICES = 10_000  # remembered per generation


class ModelRotation(Detector):
    """Notes that a model's name now stands for another version.

    Vendors move names such as `gpt-4o` to newer versions on a day of their own choice; prompts that
    were tuned to the old one may behave differently from that hour on.

    Source: vendors' own deprecation pages; the response names the version that answered.
    Blind spot: a version that changes under one name, and sources that repeat the requested name.

    >>> from schemas.testing import record
    >>> detector, told = ModelRotation(), []
    >>> for n in range(160):
    ...     by = "gpt-4o-2024-08-06" if n < 100 else "gpt-4o-2024-11-20"
    ...     call = record(id=f"e{n}", provider_name="openai", model="gpt-4o", response_model=by)
    ...     told += [v.evidence["now"] for v in detector.inspect(call, n * 60_000)]
    >>> told
    ['gpt-4o-2024-11-20']
    """

    about = About(
        id="model-rotation",
        title="A model's name stands for another version",
        family="health",
        severity=Severity.INFO,
        techniques=(
            atlas("AML.T0010", "AI Supply Chain Compromise"),
            owasp("LLM03", "Supply Chain"),
        ),
        runbook=(
            "Tell the owners of the keys; run their evaluations against the new version.",
            "Name the version in requests where a change must not come by surprise.",
        ),
        blind_spot="a version that changes under one name; sources that repeat the requested name",
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
        state, batches = self._tallies.add(name, time_ms, event.event_id, {answered: 1})
        for batch in batches:
            known = state["known"]
            now, calls = max(batch["counts"].items(), key=lambda one: (one[1], one[0]))
            if calls < NEARLY_ALL * batch["n"]:
                continue  # two versions side by side are no rotation yet
            before, batches_before = known.get("version", now), known.get("n", 0)
            if now == before:
                known.update(version=now, n=batches_before + 1)
                continue
            known.update(version=now, n=1)
            if batches_before >= LEARNED and family(now) == family(before):
                time, id = batch["last"]
                yield Verdict(
                    "a model's name now stands for another version of it",
                    {"asked": name, "before": before, "now": now},
                    parts=(now,),
                    decisive=(id, time),
                )
