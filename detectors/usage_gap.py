"""Silence where there is normally traffic."""

from collections.abc import Iterable
from typing import Any

from detectors.base import Detector, Verdict, attack, iso, owasp
from detectors.memory import Memory
from detectors.settled import HOUR_MS, SETTLED_MS
from schemas.decode import Record
from schemas.finding import About, Severity

MINUTE_MS = 60_000
WEEK = 168  # hours
EXPECTED = 30.0  # sampled calls that would have come in the meantime
LONGER = 3  # times the longest silence so far, in calls that would have come
TICK_MS = 600_000  # of event time between two looks at who is silent; less is no silence
MAX_FLOWS = 2_000  # watched; further ones are left out
HORIZON_MS = 14 * 24 * HOUR_MS

Flow = dict[str, Any]


class UsageGap(Detector):
    """Flags a tenant of a source from which nothing comes for far longer than usual.

    A gateway whose callback died, an exporter with a wrong token or somebody who switched the
    telemetry off all look alike: no events, no findings, a green board. What would have come is
    known from the same hours of past weeks, so nights and weekends are no silence. It takes another
    flow's events to know that time goes on.

    Source: callbacks of gateways are sent at most once and fail without a word.
    Blind spot: a silence of everybody at once, which `serve` shows as a stale heartbeat; flows in
    their first week; flows of a few hundred calls a day.

    >>> from schemas.testing import record
    >>> detector, told = UsageGap(), []
    >>> for minute in range(0, 9 * 1440, 5):
    ...     for tenant in ("acme", "globex"):
    ...         if tenant == "globex" or minute < 8 * 1440:
    ...             call = record(id=f"{tenant}{minute}", tenant=tenant)
    ...             told += detector.inspect(call, minute * 60_000)
    >>> [(verdict.entity, verdict.summary) for verdict in told]
    [('canonical/acme', 'nothing came for 2.5 hours, in which some 30 sampled calls are usual')]
    """

    about = About(
        id="usage-gap",
        title="No events where there is normally traffic",
        family="health",
        severity=Severity.INFO,
        techniques=(
            attack("T1562.008", "Impair Defenses: Disable or Modify Cloud Logs"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "See whether the gateway works, and whether its callback or exporter logs errors.",
            "If the tenant stopped on purpose, mark it as expected.",
            "Afterwards send what was missed with `tripmeter replay`.",
        ),
        blind_spot="a silence of everybody at once; flows in their first week or with few calls",
        needs=("tenant.id",),
        helps=("ingest.source",),
    )
    takes = "sampled_any"
    lane = "service"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._memory = Memory(HORIZON_MS, 2 * MAX_FLOWS)

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        return f"{event.ingest_source}/{event.tenant_id}"

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        told: list[Verdict] = []
        if event.tenant_id is not None:
            told += self._note(f"{event.ingest_source}/{event.tenant_id}", event, time_ms)
        watch = self._memory.get("") or {"due": {}, "next": time_ms}
        if time_ms >= watch["next"]:
            watch["next"] = time_ms + TICK_MS
            self._memory.put("", watch)
            for name in [name for name, due in watch["due"].items() if due <= time_ms]:
                told += self._look(name, watch["due"], time_ms)
        return told

    def _note(self, name: str, event: Record, time_ms: int) -> Iterable[Verdict]:
        """Counts a call in its minute, and judges what lay before it once that has settled."""
        flow: Flow | None = self._memory.get(name)
        if flow is None:
            watch = self._memory.get("") or {"due": {}, "next": time_ms}
            if len(watch["due"]) >= MAX_FLOWS and name not in watch["due"]:
                return ()
            watch["due"][name] = time_ms + WEEK * HOUR_MS
            self._memory.put("", watch)
            flow = {"open": {}, "last": None, "told": None, "worst": 0.0}
            flow |= {"usual": [0.0] * WEEK, "hours": 0}
        minute, mine = str(time_ms // MINUTE_MS), [time_ms, event.event_id]
        self._memory.keep(name, flow)
        calls = flow["open"].get(minute)
        if calls is None:
            flow["open"][minute] = [1, mine]
            return _settle(name, flow, time_ms)
        calls[0] += 1
        if mine > calls[1]:
            calls[1] = mine
        return ()

    def _look(self, name: str, due: dict[str, int], now_ms: int) -> Iterable[Verdict]:
        """Whether a flow has been silent for too long at this time; forgets it in the end.

        It is looked at again when it can have been: calls are never expected faster than in the
        busiest hour of a week.
        """
        flow: Flow | None = self._memory.get(name)
        if flow is None or (flow["last"] and flow["last"][0] < now_ms - HORIZON_MS):
            del due[name]
            return
        yield from _settle(name, flow, now_ms)
        self._memory.keep(name, flow)
        if flow["last"] is not None and not flow["open"]:
            yield from _judged(
                name, flow, _expected(flow, now_ms - SETTLED_MS), now_ms - SETTLED_MS
            )
        missing = EXPECTED if flow["open"] else EXPECTED - _expected(flow, now_ms - SETTLED_MS)
        due[name] = now_ms + max(0, int(HOUR_MS * missing / max(1.0, *flow["usual"])))


def _settle(name: str, flow: Flow, now_ms: int) -> Iterable[Verdict]:
    """Moves minutes that are over into the flow's past, in their order."""
    over = (now_ms - SETTLED_MS) // MINUTE_MS
    for minute in sorted(int(one) for one in flow["open"] if int(one) < over):
        calls, last = flow["open"].pop(str(minute))
        if flow["last"] is not None and minute * MINUTE_MS - flow["last"][0] > TICK_MS:
            missing = _expected(flow, minute * MINUTE_MS)
            yield from _judged(name, flow, missing, minute * MINUTE_MS)
            if flow["told"] != flow["last"][0]:  # a silence we told of does not become usual
                flow["worst"] = max(flow["worst"], missing)
        _learn(flow, minute * MINUTE_MS // HOUR_MS, calls)
        flow["last"] = last


def _judged(name: str, flow: Flow, missing: float, until_ms: int) -> Iterable[Verdict]:
    """The verdict about a silence that has lasted until now; more of it says nothing new."""
    since, id = flow["last"]
    if missing < max(EXPECTED, LONGER * flow["worst"]):
        return
    if flow["told"] == since:
        return
    flow["told"] = since
    hours = (until_ms - since) / HOUR_MS
    yield Verdict(
        f"nothing came for {hours:.1f} hours, in which some {missing:.0f} sampled calls are usual",
        {"flow": name, "silent_since": iso(since), "expected_sampled_calls": round(missing)},
        parts=(since,),
        decisive=(id, since),
        entity=name,
    )


def _expected(flow: Flow, until_ms: int) -> float:
    """How many calls are usual between the flow's last one and a time, a week at most."""
    since = max(flow["last"][0], until_ms - WEEK * HOUR_MS)
    usual, first, last = flow["usual"], since // HOUR_MS, until_ms // HOUR_MS
    if first >= last:
        return float(usual[first % WEEK] * max(0, until_ms - since) / HOUR_MS)
    total = usual[first % WEEK] * ((first + 1) * HOUR_MS - since) / HOUR_MS
    for hour in range(first + 1, last):
        total += usual[hour % WEEK] * HOUR_MS / HOUR_MS
    return float(total + usual[last % WEEK] * (until_ms - last * HOUR_MS) / HOUR_MS)


def _learn(flow: Flow, hour: int, calls: int) -> None:
    """Counts calls in their hour; an hour that is over becomes usual for its hour of the week."""
    known = flow.setdefault("hour", hour)
    if hour != known:
        usual = flow["usual"]
        for past in range(max(known, hour - WEEK), hour):
            count, before = (flow["count"] if past == known else 0), usual[past % WEEK]
            usual[past % WEEK] = (before + count) / 2 if flow["hours"] >= WEEK else float(count)
            flow["hours"] += 1
        flow["hour"], flow["count"] = hour, 0
    flow["count"] = flow.get("count", 0) + calls
