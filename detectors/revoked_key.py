"""A key that goes on being used after it was revoked."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

from detectors.base import Detector, Verdict, atlas, attack, iso, owasp
from schemas.decode import EPOCH, MILLISECOND, Record
from schemas.finding import About, Severity

GRACE_MS = 300_000  # a revocation takes this long to reach every gateway
REFUSED_BY = ("auth", "permission")  # types of error
SEVERITIES = {
    "answered": Severity.CRITICAL,
    "failed": Severity.MEDIUM,
    "refused": Severity.LOW,
}
SAID = {"answered": "answered", "failed": "failed for another reason", "refused": "refused"}
NOBODY: Mapping[str, datetime] = MappingProxyType({})


class RevokedKey(Detector):
    """Flags a key that is used after the time at which the configuration says it was revoked.

    An answer means that the revocation did not reach the gateway: critical. A refusal (401, 403, or
    a source that says so) means that somebody still tries: worth knowing, and nothing to wake
    anyone for. A call that failed for another reason got past the check of its key, or nobody
    knows: in between.

    Source: resale proxies keep dead keys and check them again every hour or less.
    Blind spot: a key that was revoked and is not on the list.

    >>> from datetime import UTC, datetime
    >>> from schemas.testing import record
    >>> detector = RevokedKey({"hmac:00000000000000aa": datetime(2026, 10, 1, tzinfo=UTC)})
    >>> used = record(key="hmac:00000000000000aa", status="ok")
    >>> [v.severity.value for v in detector.inspect(used, 1_790_900_000_000)]
    ['critical']
    """

    about = About(
        id="revoked-key",
        title="A revoked key is in use",
        family="llmjacking",
        severity=Severity.CRITICAL,
        techniques=(
            atlas("AML.T0012", "Valid Accounts"),
            attack("T1078.004", "Valid Accounts: Cloud Accounts"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "If it was answered, revoke the key again at the gateway and at the provider.",
            "Ask the owner whether an old deployment still holds it.",
            "If nobody does, the address belongs to whoever stole it: look for it elsewhere.",
        ),
        blind_spot="a key that was revoked and is not on the list",
        needs=("api_key.id", "status"),
        helps=("http.response.status_code", "error.type"),
    )
    takes = "keyed"
    told = "revoked"

    def __init__(self, revoked: Mapping[str, datetime] = NOBODY) -> None:
        super().__init__()
        self._since = {key: (since - EPOCH) // MILLISECOND for key, since in revoked.items()}
        self._keys = frozenset(revoked)

    @property
    def only(self) -> frozenset[str]:
        return self._keys

    def entity(self, event: Record) -> str | None:
        return event.api_key_id

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        since = self._since.get(event.api_key_id or "")
        if since is None or time_ms < since + GRACE_MS:
            return ()
        outcome = _outcome(event)
        return (
            Verdict(
                f"a revoked key was used and {SAID[outcome]}",
                {"revoked": iso(since), "hours_later": round((time_ms - since) / 3_600_000, 1)},
                severity=SEVERITIES[outcome],
                parts=(outcome,),
            ),
        )


def _outcome(event: Record) -> str:
    """`answered`, `refused` or `failed`; the code speaks before the error, and that before both."""
    code, error = event.http_status, event.error_type
    if event.event_name == "llm.auth_failure" or code in (401, 403) or error in REFUSED_BY:
        return "refused"
    if code or error:
        return "failed" if error or (code or 0) >= 400 else "answered"
    words = {"blocked": "refused", "error": "failed"}
    return words.get(event.status or "", "answered")
