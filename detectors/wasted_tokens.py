"""Money for answers that nobody got."""

from detectors.base import Channel, Detector, Verdict, Window, atlas, owasp, usd
from schemas.finding import About, Severity

LEAST_NANOUSD = 2_000_000_000  # in an hour; less is not worth a look
MUCH = 0.1  # of what the key spent: retries should stay below a tenth


class WastedTokens(Detector):
    """Flags a key that pays for calls that fail, are cut off or are given up.

    Source: retry budgets of 10 to 20 % of requests (Google SRE, Envoy). A provider bills what it
    generated before a client hung up, so a timeout below the usual answer time pays for nothing,
    and each retry pays again.
    Blind spot: failed calls whose cost the source does not report; answers that are thrown away.

    >>> from detectors.testing import window
    >>> WastedTokens().judge(window(wasted_nanousd=5 * 10**9, nanousd=20 * 10**9)).summary
    'an estimated $5.00 of $20.00 within an hour went to calls that failed'
    """

    about = About(
        id="wasted-tokens",
        title="A key pays for answers that nobody got",
        family="retry-storm",
        severity=Severity.LOW,
        techniques=(
            atlas("AML.T0034.001", "Cost Harvesting: Resource-Intensive Queries"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "See how these calls end: a timeout shorter than the answer is the usual cause.",
            "Stream the answers, or raise the timeout, before anything is retried.",
            "Keep what was generated so far instead of asking again from the beginning.",
        ),
        blind_spot="failed calls whose cost the source does not report",
        needs=("api_key.id", "cost.usd", "status"),
    )
    channels = (Channel("credential/1h", "wasted_nanousd", above=LEAST_NANOUSD),)

    def judge(self, window: Window) -> Verdict | None:
        wasted, spent = window.totals["wasted_nanousd"], window.totals["nanousd"]
        return Verdict(
            f"an estimated ${usd(wasted):,.2f} of ${usd(spent):,.2f} within an hour went to calls"
            " that failed",
            {"wasted_usd": usd(wasted), "spent_usd": usd(spent)},
            severity=Severity.MEDIUM if wasted > MUCH * spent else None,
            cost_nanousd=wasted,
        )
