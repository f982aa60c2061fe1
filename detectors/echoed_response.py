"""One tenant's answer, given to another who had asked something else."""

from collections.abc import Iterable

from detectors.answers import Answers
from detectors.base import Detector, Verdict, atlas, attack, owasp
from detectors.memory import Memory
from schemas.decode import Record
from schemas.finding import About, Severity

SPAN_MS = 600_000  # between two equal answers that are one answer, unless their ids say so


class EchoedResponse(Detector):
    """Flags an answer of some length that two tenants got for different prompts.

    A provider makes the id of an answer once: the same id under two tenants is a fact. Without ids,
    two equal answers of 64 tokens or more within ten minutes are one, unless the answer is a canned
    one that one tenant alone had got for different prompts before.

    Source: in March 2023 a cancelled request left its answer in a pooled connection, and the next
    user got it (redis-py, ChatGPT: 1.2 % of subscribers in nine hours); CVE-2026-25536 routed
    answers of one MCP transport to the wrong client.
    Blind spot: answers without fingerprints or shorter than 64 tokens; a leak inside one tenant; of
    an answer given more often than 16 times a day, only the first 16 are compared with the others.

    >>> from schemas.testing import record
    >>> answer = dict(content_output_hash="hmac:a", output_tokens=300)
    >>> detector = EchoedResponse()
    >>> first = record(id="a", tenant="acme", prompt="hmac:p", **answer)
    >>> then = record(id="b", tenant="globex", prompt="hmac:q", **answer)
    >>> [v.decisive for e, t in ((first, 0), (then, 9000)) for v in detector.inspect(e, t)]
    [('b', 9000)]
    """

    about = About(
        id="echoed-response",
        title="A tenant got the answer to another tenant's question",
        family="cross-tenant",
        severity=Severity.HIGH,
        techniques=(
            atlas("AML.T0057", "LLM Data Leakage"),
            attack("T1557", "Adversary-in-the-Middle"),
            owasp("LLM02", "Sensitive Information Disclosure"),
        ),
        runbook=(
            "Take the gateway instance that gave both answers out of service.",
            "Look for cancelled requests just before: a connection was given back with an answer.",
            "List all answers of that instance since then; tell both tenants.",
        ),
        blind_spot="answers without fingerprints or shorter than 64 tokens; leaks in one tenant;"
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
        for early, late, canned in self._answers.met(event, time_ms):
            same = early.response is not None and early.response == late.response
            near = late.time_ms - early.time_ms <= SPAN_MS
            if None in (early.prompt, late.prompt) or early.prompt == late.prompt:
                continue
            if same or (near and not canned):
                yield Verdict(
                    "one answer was given to two tenants who had asked different things",
                    {"given_to": early.tenant, "and_to": late.tenant, "same_id": same},
                    severity=Severity.CRITICAL if same else None,
                    parts=(early.tenant, late.tenant),
                    decisive=(late.id, late.time_ms),
                    others=((early.id, early.time_ms),),
                )
