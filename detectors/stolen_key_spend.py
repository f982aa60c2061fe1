"""A stolen key spending like someone else."""

from detectors.base import Channel, Detector, Verdict, Window, atlas, attack, owasp, usd
from schemas.finding import About, Severity

ALONE = 0.02  # part of the alert budget for volume alone, per channel
WITH_STRANGER = 0.4  # and for volume from an address new to the key
LEAST_TOKENS = 200_000  # in a window; below this no volume is worth waking anyone
LEAST_NANOUSD = 1_000_000_000
LEAST_STRANGER_TOKENS = 100_000
ACTIVE_5M = 12  # closed windows before a key's own volume is judged
ACTIVE_1H = 6
YOUNG_NANOUSD = 20_000_000_000  # in five minutes, for a key that has no habit yet
YOUNG_TOKENS = 20_000_000


class StolenKeySpend(Detector):
    """Compares a key's volume with the tail of its own history.

    Real keys burst twentyfold, so nothing is compared with a mean: the limit is the volume that
    this key's own highest windows say comes up too rarely to fit the alert budget.

    Source: peaks over threshold (Pickands 1975) on `log1p` totals; 3 sigma on hourly spend costs 12
    false alerts per key-month on the same traffic (docs/detection.md).
    Blind spot: a thief who spends at the owner's own pace from the owner's own address.

    >>> from detectors.testing import window
    >>> StolenKeySpend().judge(window(tokens=9_000_000, nanousd=42 * 10**9)).severity.value
    'high'
    """

    about = About(
        id="stolen-key-spend",
        title="A key spends far above its own habit",
        family="llmjacking",
        severity=Severity.HIGH,
        techniques=(
            atlas("AML.T0034", "Cost Harvesting"),
            attack("T1496.004", "Resource Hijacking: Cloud Service Hijacking"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "Look at the addresses and clients of the newest calls: are they the owner's?",
            "Revoke or rotate the key; lower its budget at the gateway meanwhile.",
            "If the owner confirms a launch or a batch job, mark it as expected.",
        ),
        blind_spot="a thief who spends at the owner's own pace from the owner's own address",
        needs=("api_key.id", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
    )

    channels = (
        Channel("credential/5m", "tokens", LEAST_TOKENS, share=ALONE, mature=ACTIVE_5M),
        Channel("credential/5m", "nanousd", LEAST_NANOUSD, share=ALONE, mature=ACTIVE_5M),
        Channel(
            "credential/5m",
            "stranger_tokens",
            LEAST_STRANGER_TOKENS,
            share=WITH_STRANGER,
            mature=ACTIVE_5M,
            like="tokens",
        ),
        Channel("credential/5m", "tokens", YOUNG_TOKENS, young=ACTIVE_5M),
        Channel("credential/5m", "nanousd", YOUNG_NANOUSD, young=ACTIVE_5M),
        Channel("credential/1h", "tokens", LEAST_TOKENS, share=ALONE, mature=ACTIVE_1H),
        Channel("credential/1h", "nanousd", LEAST_NANOUSD, share=ALONE, mature=ACTIVE_1H),
    )

    def judge(self, window: Window) -> Verdict | None:
        tokens, cost = window.totals["tokens"], window.totals["nanousd"]
        feature = window.tripped if window.tripped in window.usual else "tokens"
        habit = window.usual.get(feature)
        minutes = window.width_ms // 60_000
        stranger = window.totals.get("stranger_tokens", 0)
        severe = stranger * 2 > tokens or cost > 50 * 10**9
        summary = f"{tokens:,} tokens, an estimated ${usd(cost):,.2f}, within {minutes} minutes"
        if habit is None or not habit.windows:
            return Verdict(summary, severity=Severity.CRITICAL if severe else Severity.HIGH)
        seen = window.totals[feature]
        rate = habit.per_month(seen)
        return Verdict(
            summary=f"{summary}; {seen / max(habit.typical, 1.0):,.0f} times this key's usual",
            evidence={
                "feature": feature,
                "seen": seen,
                "usual_total": round(habit.typical),
                "limit": round(habit.limit),
                "per_key_month": rate,
                "from_new_addresses": stranger,
            },
            probability=min(1.0, rate),
            severity=Severity.CRITICAL if severe else Severity.HIGH,
        )
