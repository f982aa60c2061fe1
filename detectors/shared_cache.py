"""One cached answer, given to two tenants."""

from collections.abc import Iterable

from detectors.answers import Answers, Given
from detectors.base import Detector, Verdict, atlas, attack, owasp
from detectors.memory import Memory
from schemas.decode import Record
from schemas.finding import About, Severity

FASTER = 5.0  # times; an answer from a cache takes a fraction of the time it took to make


class SharedCache(Detector):
    """Flags an answer that two tenants got for one prompt, where the second came from a cache.

    Two tenants may ask the same and be answered the same; then both paid and both waited. A cache
    shows in the response's id, which a provider makes once, in a price of nothing, or in an answer
    that came five times faster. What one tenant learns from a shared cache is what the other asked.

    Source: LiteLLM's cache key named model and messages but no team (#29955); a semantic router's
    cache gave one user another's answer at similarity .91 (vLLM semantic-router #2134).
    Blind spot: answers without fingerprints; caches of a provider, which only timing shows; of an
    answer given more often than 16 times a day, only the first 16 are compared with the others.

    >>> from schemas.testing import record
    >>> answer = dict(prompt="hmac:p", content_output_hash="hmac:a", output_tokens=300)
    >>> detector = SharedCache()
    >>> first = record(id="a", tenant="acme", cost_usd=0.02, **answer)
    >>> then = record(id="b", tenant="globex", cost_usd=0.0, **answer)
    >>> [v.decisive for e, t in ((first, 0), (then, 60_000)) for v in detector.inspect(e, t)]
    [('b', 60000)]
    """

    about = About(
        id="shared-cache",
        title="A cache gave one tenant's answer to another",
        family="cross-tenant",
        severity=Severity.HIGH,
        techniques=(
            atlas("AML.T0057", "LLM Data Leakage"),
            attack("T1530", "Data from Cloud Storage"),
            owasp("LLM02", "Sensitive Information Disclosure"),
        ),
        runbook=(
            "Look at what the cache's key is made of: the tenant has to be part of it.",
            "Turn the cache off for shared routes until it is; empty it.",
            "List which answers were read by whom, and tell tenants whose data crossed.",
        ),
        blind_spot="answers without fingerprints; a provider's own cache, which only timing shows;"
        " of an answer given more than 16 times a day, pairs without one of the first 16",
        needs=("tenant.id", "content.input.hash", "content.output.hash"),
    )
    takes = "marked_answer"
    lane = "resource"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._answers = Answers()

    @property
    def memory(self) -> Memory:
        return self._answers.memory

    def entity(self, event: Record) -> str | None:
        return event.content_output_hash

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        if not self.allowed.isdisjoint((event.tenant_id, event.user_id, event.api_key_id)):
            return
        for early, late, _ in self._answers.met(event, time_ms):
            why = _cached(early, late) if early.prompt == late.prompt is not None else ""
            if why:
                yield Verdict(
                    f"one answer was given to two tenants for the same prompt: {why}",
                    {"given_to": early.tenant, "and_to": late.tenant, "why": why},
                    parts=(early.tenant, late.tenant),
                    decisive=(late.id, late.time_ms),
                    others=((early.id, early.time_ms),),
                )


def _cached(early: Given, late: Given) -> str:
    """Why the later answer was not made for its asker; empty if it may have been."""
    if early.response is not None and early.response == late.response:
        return "it has the same id"
    if late.cost_usd == 0 and (early.cost_usd or 0) > 0:
        return "the second cost nothing"
    if late.latency_ms and early.latency_ms and late.latency_ms * FASTER <= early.latency_ms:
        return "the second came much faster"
    return ""
