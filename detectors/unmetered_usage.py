"""Usage the provider bills and the gateway never saw."""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate, pairwise
from typing import Any

from detectors.base import Detector, Verdict, atlas, attack, iso, owasp
from detectors.memory import Memory
from detectors.settled import SETTLED_MS
from schemas.decode import Record
from schemas.finding import About, Severity

MINUTE_MS = 60_000
DAY_MS = 86_400_000
LEAST_TOKENS = 10_000  # unseen in one bucket; less is rounding
LEAST_SHARE = 0.05  # of what was billed; calls that straddle the edge of a bucket are fewer
MAX_MINUTES = 3_000  # with usage, remembered per key: two days
MAX_BUCKETS = 128  # remembered per key
MAX_KEYS = 20_000  # remembered per generation
HORIZON_MS = 3 * DAY_MS

Bucket = list[Any]  # start, end, tokens, event id


class UnmeteredUsage(Detector):
    """Compares what the provider billed a key for with what the gateway saw of it.

    Whoever holds the provider's own key need not come through the gateway. The provider's usage
    report shows it: two buckets in a row in which 10,000 tokens and a twentieth more were billed
    than seen. A bucket is an `llm.usage_bucket` event: `timestamp` is its end, `latency_ms` its
    width, `api_key.id` the key as the gateway's events name it.

    Off unless `reconcile_usage = true`, because every call has to be added up.

    Source: no rule in the collections we know compares the two; the gap is next to zero when
    nobody goes around the gateway.
    Blind spot: a provider without usage reports by key; gateway events that name only virtual keys;
    reports that come more than 50 busy hours after their time.

    >>> from schemas.testing import record
    >>> detector, told = UnmeteredUsage(True), []
    >>> for minute in range(200):
    ...     call = record(id=f"c{minute}", key="k", input_tokens=500)
    ...     told += list(detector.inspect(call, minute * 60_000))
    ...     if minute % 60 == 0 and minute:
    ...         bill = record(id=f"b{minute}", key="k", input_tokens=90_000, latency_ms=3_600_000.0,
    ...             kind="llm.usage_bucket")
    ...         told += list(detector.inspect(bill, minute * 60_000))
    >>> told[0].summary
    '120,000 of 180,000 billed tokens never came through the gateway'
    """

    about = About(
        id="unmetered-usage",
        title="The provider bills usage the gateway never saw",
        family="llmjacking",
        severity=Severity.HIGH,
        techniques=(
            atlas("AML.T0034", "Cost Harvesting"),
            attack("T1496.004", "Resource Hijacking: Cloud Service Hijacking"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "Make sure that no program of your own calls the provider directly with this key.",
            "Make sure that the gateway's events arrived: look for a `usage-gap` of that time.",
            "If neither explains it, the key is out: replace it at the provider.",
        ),
        blind_spot="a provider without usage reports by key; events that name only virtual keys;"
        " reports that come more than 50 busy hours late",
        needs=(
            "api_key.id",
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.output_tokens",
            "latency_ms",
        ),
        kinds=("llm.usage_bucket",),
    )
    takes = "metered"
    told = "reconcile_usage"

    def __init__(self, on: bool = False) -> None:
        super().__init__()
        self._on = on
        self._memory = Memory(HORIZON_MS, MAX_KEYS)

    @property
    def only(self) -> frozenset[str] | None:
        return None if self._on else frozenset()

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        return event.api_key_id

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        key = event.api_key_id
        if not self._on or key is None:
            return ()
        began, newest = self._memory.get("") or (time_ms, time_ms)
        began, newest = min(began, time_ms), max(newest, time_ms)
        self._memory.put("", [began, newest])
        tokens = (event.input_tokens or 0) + (event.output_tokens or 0)
        state = self._memory.get(key)
        if state is None:
            state = {"seen": {}, "bills": [], "newest": time_ms, "next": 0, "since": 0}
        state["newest"] = max(state["newest"], time_ms)
        if event.event_name == "llm.usage_bucket":
            _note_bill(state, event, time_ms, tokens)
        else:
            minute = str(time_ms // MINUTE_MS)
            seen = state["seen"]
            seen[minute] = seen.get(minute, 0) + tokens
            if len(seen) > MAX_MINUTES:
                oldest = min(seen, key=int)
                del seen[oldest]
                state["since"] = max(state["since"], (int(oldest) + 1) * MINUTE_MS)
        self._memory.put(key, state)
        if not state["bills"] or state["newest"] < state["next"]:
            return ()
        known = max(began + SETTLED_MS, newest - HORIZON_MS, state["since"])
        return _compared(state, known)


def _note_bill(state: dict[str, Any], event: Record, end: int, tokens: int) -> None:
    """Keeps a bucket; of two reports about one the larger counts, for usage is reported late."""
    start = end - round(event.latency_ms or 0)
    bills: list[Bucket] = [bill for bill in state["bills"] if bill[0] != start]
    before = [bill for bill in state["bills"] if bill[0] == start]
    mine = [start, end, tokens, event.event_id]
    state["bills"] = sorted([*bills, max([*before, mine], key=lambda bill: bill[2])])[-MAX_BUCKETS:]
    state["next"] = 0


def _compared(state: dict[str, Any], known: int) -> list[Verdict]:
    """What to say of buckets in a row with a gap, once all their calls have come.

    Args:
        known: instant from which all calls of the key are remembered.
    """
    until = state["newest"] - SETTLED_MS
    ripe = [bill for bill in state["bills"] if known <= bill[0] and bill[1] <= until]
    state["next"] = min(
        (bill[1] + SETTLED_MS for bill in state["bills"] if bill[1] > until), default=2**60
    )
    minutes = sorted((int(minute), tokens) for minute, tokens in state["seen"].items())
    places = [minute for minute, _ in minutes]
    sums = [0, *accumulate(tokens for _, tokens in minutes)]
    seen = [sums[_place(places, bill[1])] - sums[_place(places, bill[0])] for bill in ripe]
    return [
        _verdict(one, two, seen_one + seen_two)
        for (one, seen_one), (two, seen_two) in pairwise(zip(ripe, seen, strict=True))
        if one[1] == two[0] and _short(one, seen_one) and _short(two, seen_two)
    ]


def _place(minutes: list[int], time_ms: int) -> int:
    return bisect_left(minutes, time_ms // MINUTE_MS)


def _verdict(one: Bucket, two: Bucket, seen: int) -> Verdict:
    billed = one[2] + two[2]
    return Verdict(
        f"{billed - seen:,} of {billed:,} billed tokens never came through the gateway",
        {"billed": billed, "seen": seen, "since": iso(one[0]), "until": iso(two[1])},
        decisive=(two[3], two[1]),
        others=((one[3], one[1]),),
    )


def _short(bill: Bucket, seen: int) -> bool:
    return bool(bill[2] - seen > max(LEAST_TOKENS, LEAST_SHARE * bill[2]))
