"""A key that was planted to be stolen, in use."""

from collections.abc import Iterable

from detectors.base import Detector, Verdict, atlas, attack, owasp
from schemas.decode import Record
from schemas.finding import About, Severity


class CanaryKey(Detector):
    """Flags every day on which a planted key is used, answered or not.

    Nobody has a reason to use a canary, so one call is enough, and it spends nothing of the alert
    budget. Keys are compared with the list `canaries` of the configuration, as fingerprints.

    Source: keys that leak are tried 17 minutes later on average, 9 at the fastest (Entro 2025).
    Blind spot: a thief who checks keys at the provider and not at this gateway.

    >>> from schemas.testing import record
    >>> detector = CanaryKey(frozenset({"hmac:00000000000000aa"}))
    >>> [v.summary for v in detector.inspect(record(key="hmac:00000000000000aa"), 0)]
    ['a canary key was used']
    """

    about = About(
        id="canary-key",
        title="A planted key is in use",
        family="llmjacking",
        severity=Severity.CRITICAL,
        techniques=(
            atlas("AML.T0055", "Unsecured Credentials"),
            attack("T1552", "Unsecured Credentials"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "Find out where this canary was planted: that place has been read by a stranger.",
            "Replace every real secret that lies in the same place.",
            "Look for the same address and client in the calls of other keys.",
        ),
        blind_spot="a thief who checks keys at the provider and not at this gateway",
        needs=("api_key.id",),
    )
    takes = "keyed"
    told = "canaries"

    def __init__(self, canaries: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self._canaries = canaries

    @property
    def only(self) -> frozenset[str]:
        return self._canaries

    def entity(self, event: Record) -> str | None:
        return event.api_key_id

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        if event.api_key_id not in self._canaries:
            return ()
        return (Verdict("a canary key was used", {"model": event.request_model}),)
