"""Somebody trying keys, or trying what a key may do."""

from detectors.base import Channel, Detector, Verdict, Window, atlas, attack, owasp
from schemas.finding import About, Severity

REFUSED_MODELS = 2  # different models refused to one key within five minutes that are still honest
REFUSED_KEYS = 4  # different keys refused at one address within ten minutes that are still honest


class KeyProbe(Detector):
    """Flags a key refused on several models, and an address refused with several keys.

    A key checker asks two or more models what a stolen key may do and expects to be refused; a
    credential stuffer walks a list of keys from one address. An expired key in one deployment is
    refused often, but it is one key and one or two models.

    Source: the resale proxies' key checkers and the advisories of Permiso (2024-10) and Sysdig
    (2024-05); Elastic's comparable rule needs more than 3 validation errors in a minute.
    Blind spot: one probe per address and per key, spread over a botnet.

    >>> from detectors.testing import window
    >>> KeyProbe().judge(window(denied_models=3, denied=5)).summary
    '3 different models refused to this key within 5 minutes'
    """

    about = About(
        id="key-probe",
        title="Keys or permissions are being probed",
        family="llmjacking",
        severity=Severity.HIGH,
        techniques=(
            atlas("AML.T0040", "AI Model Inference API Access"),
            attack("T1078.004", "Valid Accounts: Cloud Accounts"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "See whether any call from this key or address succeeded after the refusals.",
            "Revoke the key if its owner does not know the address.",
            "Block the address at the gateway; look for the same address in other tenants.",
        ),
        blind_spot="one probe per address and per key, spread over many addresses",
        needs=("api_key.id", "http.response.status_code", "client.address"),
    )

    channels = (
        Channel("credential/5m", "denied_models", above=REFUSED_MODELS),
        Channel("origin/10m", "refused_keys", above=REFUSED_KEYS),
    )

    def judge(self, window: Window) -> Verdict | None:
        if window.entity.lane == "origin":
            keys, tenants = window.totals["refused_keys"], window.totals["refused_tenants"]
            return Verdict(
                summary=f"{keys} different keys refused from one address within 10 minutes",
                evidence={"refused_keys": keys, "tenants": tenants},
                severity=Severity.CRITICAL if keys > 10 * REFUSED_KEYS else None,
            )
        models = window.totals["denied_models"]
        return Verdict(
            summary=f"{models} different models refused to this key within 5 minutes",
            evidence={"refused_models": models, "refused_calls": window.totals["denied"]},
        )
