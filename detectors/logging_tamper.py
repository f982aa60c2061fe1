"""Somebody switching off what would show them."""

from collections.abc import Iterable

from detectors.base import Detector, Verdict, atlas, attack, owasp
from schemas.decode import Record
from schemas.finding import About, Severity

# Actions as the providers' own control-plane logs name them, lower case, and our own words for
# sources that have none.
SWITCHED_OFF = {
    "deletemodelinvocationloggingconfiguration",  # Bedrock
    "stoplogging",  # CloudTrail
    "deletetrail",
    "deleteeventdatastore",
    "deleteloggroup",  # CloudWatch Logs
    "deletelogstream",
    "microsoft.insights/diagnosticsettings/delete",  # Azure Monitor
    "google.logging.v2.configservicev2.deletesink",  # Cloud Logging
    "logging.disable",
}
WEAKENED = {
    "putmodelinvocationloggingconfiguration",
    "updatetrail",
    "puteventselectors",
    "putretentionpolicy",
    "deleteguardrail",
    "updateguardrail",
    "microsoft.insights/diagnosticsettings/write",
    "google.logging.v2.configservicev2.updatesink",
    "logging.update",
    "guardrail.disable",
}


class LoggingTamper(Detector):
    """Flags a control-plane action that switches off or weakens logging or a guardrail.

    Reading the logging configuration is quiet: security scanners do it all day. Automation that
    manages logging belongs on the `support` list.

    Source: resale proxies drop keys whose invocation logging is on, and intruders delete it
    (Permiso 2024-10, Sysdig 2025-11).
    Blind spot: logging that is switched off where no control-plane log is kept; actors whom nothing
    names (key, user, account, address, tenant) are told as one, `unknown`.

    >>> from schemas.testing import record
    >>> event = record(kind="llm.control_plane", user_id="eve", status="ok",
    ...     operation_name="DeleteModelInvocationLoggingConfiguration")
    >>> [verdict.severity.value for verdict in LoggingTamper().inspect(event, 0)]
    ['high']
    """

    about = About(
        id="logging-tamper",
        title="Logging or a guardrail was switched off",
        family="llmjacking",
        severity=Severity.HIGH,
        techniques=(
            atlas("AML.T0012", "Valid Accounts"),
            attack("T1562.008", "Impair Defenses: Disable or Modify Cloud Logs"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "Ask the named actor; if nobody meant it, disable their credential.",
            "Switch logging on again, and note the span in which it was off.",
            "Compare the provider's usage of that span with what the gateway saw.",
        ),
        blind_spot="logging that is switched off where no control-plane log is kept; actors whom"
        " nothing names are told as one",
        needs=("gen_ai.operation.name", "status"),
        kinds=("llm.control_plane",),
    )
    takes = "control_plane"

    def entity(self, event: Record) -> str | None:
        named = event.api_key_id or event.user_id or event.cloud_account_id
        return named or event.client_address or event.tenant_id

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        action = (event.operation_name or "").lower()
        off = action in SWITCHED_OFF
        if not off and action not in WEAKENED:
            return ()
        if not self.allowed.isdisjoint((event.user_id, event.api_key_id)):
            return ()
        done = event.status not in ("error", "blocked")
        what = "switched off" if off else "changed"
        return (
            Verdict(
                f"logging or a guardrail was {what}" if done else "an attempt on logging failed",
                {"action": action, "account": event.cloud_account_id, "done": done},
                severity=_severity(off, done),
                parts=(action, int(done)),
            ),
        )


def _severity(off: bool, done: bool) -> Severity:
    if off:
        return Severity.HIGH if done else Severity.MEDIUM
    return Severity.MEDIUM if done else Severity.LOW
