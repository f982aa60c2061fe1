"""A client that does not take no for an answer."""

from collections.abc import Iterable

from detectors.base import Detector, Verdict, atlas, attack, owasp
from detectors.memory import Memory
from schemas.decode import Record
from schemas.finding import About, Severity

FINAL = frozenset(
    {"auth", "permission", "not_found", "invalid_request", "budget_exceeded", "context_length"}
    | {"content_filter"}
)
FINAL_CODES = frozenset({400, 401, 402, 403, 404, 413, 422})
TRIES = 5  # of one request that is refused for good, within `SPAN_MS`
SPAN_MS = 600_000
HASTY_TRIES = 8  # of one request that is told to come back later, within `HASTE_MS`
HASTE_MS = 10_000  # waiting 0.5, 1, 2 and 4 s makes five tries in ten seconds
MAX_TIMES = 16  # of one request
MAX_REQUESTS = 100_000  # remembered per generation


class StubbornRetry(Detector):
    """Flags one request sent again after a final refusal, or again and again without waiting.

    A request that is not permitted, not valid, too long or over its budget will be refused the next
    time too. One that meets a rate limit or an overload may be sent again, but later each time.
    Requests are recognised by key, model and the fingerprint of the prompt.

    Source: OpenAI's and Anthropic's SDKs try three times in all and never after 400 to 404; Google
    SRE allows three attempts a request. Look-alikes: an expired key, refused for ever new prompts.
    Blind spot: prompts that change with each try (a timestamp), sources without their fingerprints.

    >>> from schemas.testing import record
    >>> refused = dict(key="hmac:1", model="m", prompt="hmac:p", error_type="invalid_request")
    >>> detector, told = StubbornRetry(), []
    >>> for time in range(6):
    ...     told += [(time, v.summary) for v in detector.inspect(record(**refused), 9000 * time)]
    >>> told[0]
    (4, 'one request was sent 5 times within 10 minutes although it was refused for good')
    """

    about = About(
        id="stubborn-retry",
        title="A client repeats what was refused for good, or does not wait",
        family="retry-storm",
        severity=Severity.LOW,
        techniques=(
            atlas("AML.T0029", "Denial of AI Service"),
            attack("T1499.003", "Endpoint Denial of Service: Application Exhaustion Flood"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "Tell the client's owner which error is repeated; retrying will not help.",
            "Look for a retry around a retry: a library, a job runner and a queue multiply.",
            "Refused calls still count against the rate limit that all callers of the key share.",
        ),
        blind_spot="prompts that change with each try; sources without fingerprints of prompts",
        needs=("api_key.id", "content.input.hash", "http.response.status_code"),
    )
    takes = "refused_request"
    lane = "credential"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._memory = Memory(2 * SPAN_MS, MAX_REQUESTS)

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        return event.api_key_id

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        key, prompt = event.api_key_id, event.content_input_hash
        if key is None or prompt is None:
            return
        final = event.error_type in FINAL or event.http_status in FINAL_CODES
        tries, span_ms = (TRIES, SPAN_MS) if final else (HASTY_TRIES, HASTE_MS)
        name = f"{key}\0{event.request_model}\0{prompt}\0{final}"
        seen = sorted([*(self._memory.get(name) or ()), [time_ms, event.event_id]])[-MAX_TIMES:]
        self._memory.put(name, seen)
        if len(seen) < tries:
            return
        runs = (seen[at : at + tries] for at in range(len(seen) - tries + 1))
        run = next((run for run in runs if run[-1][0] - run[0][0] < span_ms), None)
        if run is not None:
            why = "although it was refused for good" if final else "without waiting"
            within = "10 minutes" if final else "10 seconds"
            yield Verdict(
                f"one request was sent {tries} times within {within} {why}",
                {"tries": tries, "error": event.error_type, "http_status": event.http_status},
                parts=(prompt, final),
                decisive=(run[-1][1], run[-1][0]),
                others=tuple((id, at) for at, id in reversed(run[:-1])),
            )
