"""A client that hammers a service which keeps telling it to wait."""

from detectors.base import Channel, Detector, Verdict, Window, atlas, attack, owasp
from schemas.finding import About, Severity

LEAST_429 = 300  # calls answered 429 within five minutes: one a second, all the time
SAME_PROMPT = 30  # 429s of one prompt in five minutes; a check a minute, tried five times, has 25


class RateLimitStorm(Detector):
    """Flags a burst of 429s in which the same request is sent again and again.

    A provider's incident answers everybody 429, and honest clients back off: each request is tried
    a few times, further and further apart. A storm repeats one request without a pause.

    Source: client libraries try 3 times (OpenAI, Anthropic and AWS SDKs); retry budgets are 10
    to 20 % of requests (Google SRE, Envoy). Where a source gives no fingerprint of the prompt, only
    the volume and the share of refusals are left.
    Blind spot: a storm spread over many keys; a storm of ever different prompts below the volume.

    >>> from detectors.testing import window
    >>> storm = window(rate_limited=400, calls=420, limited_repeats=119)
    >>> RateLimitStorm().judge(storm).summary
    '400 of 420 calls answered 429 within 5 minutes; one request was sent 120 times'
    """

    about = About(
        id="rate-limit-storm",
        title="A client hammers a service that keeps refusing",
        family="retry-storm",
        severity=Severity.MEDIUM,
        techniques=(
            atlas("AML.T0029", "Denial of AI Service"),
            attack("T1499.003", "Endpoint Denial of Service: Application Exhaustion Flood"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "Tell the client's owner: no backoff, or retries stacked on retries.",
            "Limit the key at the gateway so that others get their share.",
            "See whether the refused calls are billed.",
        ),
        blind_spot="a storm spread over many keys, or of ever different prompts at low volume",
        needs=("api_key.id", "http.response.status_code"),
    )

    channels = (
        Channel("credential/5m", "limited_unnamed", above=LEAST_429),
        Channel("credential/5m", "limited_repeats", above=SAME_PROMPT - 1),
    )

    def judge(self, window: Window) -> Verdict | None:
        calls, limited = window.totals["calls"], window.totals["rate_limited"]
        again = window.totals["limited_repeats"]
        same = again + 1 if again else 0
        repeated = f"; one request was sent {same} times" if same else ""
        return Verdict(
            f"{limited} of {calls} calls answered 429 within 5 minutes{repeated}",
            evidence={"refused": limited, "calls": calls, "same_request": same},
        )
