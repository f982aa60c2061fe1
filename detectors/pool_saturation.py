"""Callers that wait for a connection until they give up."""

from collections.abc import Iterable
from typing import Any

from detectors.base import Detector, Verdict, atlas, attack, owasp
from detectors.memory import Memory
from schemas.decode import Record
from schemas.finding import About, Severity

MINUTE_MS = 60_000
MINUTES = 3  # in a row
STALLED = 10  # calls that gave up, in each of them
KEYS = 2  # different ones among them: a single client may just be impatient
MAX_KEYS = 8  # remembered per minute
MAX_SERVICES = 20_000  # minutes of services remembered per generation


class PoolSaturation(Detector):
    """Flags a service whose callers time out, minute after minute, before they are served.

    When a pool of connections or workers is full, new calls wait until they give up; no provider
    refuses them, so neither 429 nor 500 is seen. It takes several keys: one client with too short a
    timeout is its own problem.

    Source: queueing before a full pool is how retry storms keep an overload going after its cause
    is gone (Google SRE, addressing cascading failures).
    Blind spot: callers that wait for ever, or sources that do not tell timeouts from other errors.

    >>> from schemas.testing import record
    >>> detector, told = PoolSaturation(), []
    >>> for second in range(0, 180, 4):
    ...     late = record(key=f"hmac:{second % 3}", model="m", error_type="timeout")
    ...     told += [(second, v.summary) for v in detector.inspect(late, 1000 * second)]
    >>> told[0]
    (156, 'callers of several keys gave up waiting in 3 minutes in a row, 10 or more in each')
    """

    about = About(
        id="pool-saturation",
        title="Callers give up waiting before they are served",
        family="retry-storm",
        severity=Severity.MEDIUM,
        techniques=(
            atlas("AML.T0029", "Denial of AI Service"),
            attack("T1499.002", "Endpoint Denial of Service: Service Exhaustion Flood"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "Look at the gateway: connections in use, workers busy, calls that wait.",
            "Find who holds the pool: long answers, slow tools, or one tenant's burst.",
            "Give each tenant its own share of the pool, and refuse early instead of queueing.",
        ),
        blind_spot="callers that wait for ever; sources that do not name timeouts",
        needs=("api_key.id", "error.type", "gen_ai.request.model"),
    )
    takes = "stalled"
    lane = "service"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._memory = Memory(2 * MINUTES * MINUTE_MS, MAX_SERVICES)

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        return event.server_address or event.deployment_id or event.request_model

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        service, key = self.entity(event), event.api_key_id
        if service is None or key is None or event.error_origin == "provider":
            return
        now = time_ms // MINUTE_MS
        calls, waited, keys, first = self._minute(service, now)
        keys = keys if key in keys or len(keys) >= MAX_KEYS else [*keys, key]
        mine = [time_ms, event.event_id]
        first = min(first or mine, mine)
        waited += round(event.latency_ms or 0)
        self._memory.put(f"{service}\0{now}", [calls + 1, waited, keys, first])
        full = {m for m in range(now - MINUTES + 1, now + MINUTES) if self._full(service, m)}
        for start in range(now - MINUTES + 1, now + 1):
            row = range(start, start + MINUTES)
            if full.issuperset(row):
                yield self._verdict([self._minute(service, minute) for minute in row])

    @staticmethod
    def _verdict(minutes: list[list[Any]]) -> Verdict:
        """Minutes in a row; the last one decides, whichever was complete last."""
        seconds = sum(waited for _, waited, _, _ in minutes) / 1000
        time_ms, id = minutes[-1][3]
        return Verdict(
            f"callers of several keys gave up waiting in {MINUTES} minutes in a row,"
            f" {STALLED} or more in each",
            {
                "gave_up": sum(calls for calls, _, _, _ in minutes),
                "keys": len({one for _, _, keys, _ in minutes for one in keys}),
                "waiting_at_once": round(seconds / 60 / MINUTES, 1),
            },
            decisive=(id, time_ms),
        )

    def _minute(self, service: str, minute: int) -> list[Any]:
        return self._memory.get(f"{service}\0{minute}") or [0, 0, [], None]

    def _full(self, service: str, minute: int) -> bool:
        calls, _, keys, _ = self._minute(service, minute)
        return calls >= STALLED and len(keys) >= KEYS
