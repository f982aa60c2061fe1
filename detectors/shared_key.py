"""One key at work for two tenants."""

from collections.abc import Iterable

from detectors.base import Detector, Verdict, atlas, attack, owasp
from detectors.events import Events
from detectors.firsts import Firsts
from detectors.memory import Memory
from schemas.decode import Record
from schemas.finding import About, Severity

DAY_MS = 86_400_000
MAX_KEYS = 500_000  # remembered per generation


class SharedKey(Detector):
    """Flags a key that is used under two tenants on the same day (UTC).

    A key belongs to one tenant. A second one means that it was copied, or that the gateway takes
    the tenant from something a caller can choose. A key that was handed over and begins its work
    for the new tenant on another day is quiet; staff who serve several tenants belong on the
    `support` list.

    Source: the reconnaissance of leaked keys in 2024 and 2025 shows one key resold to many users;
    where tenants are known, one join shows it.
    Blind spot: a second user within the same tenant.

    >>> from schemas.testing import record
    >>> detector, key = SharedKey(), "hmac:00000000000000aa"
    >>> list(detector.inspect(record(id="a", key=key, tenant="acme"), 1000))
    []
    >>> other = record(id="b", key=key, tenant="globex")
    >>> [verdict.decisive for verdict in detector.inspect(other, 2000)]
    [('b', 2000)]
    """

    about = About(
        id="shared-key",
        title="One key is used by two tenants",
        family="llmjacking",
        severity=Severity.HIGH,
        techniques=(
            atlas("AML.T0012", "Valid Accounts"),
            attack("T1078.004", "Valid Accounts: Cloud Accounts"),
            owasp("LLM02", "Sensitive Information Disclosure"),
        ),
        runbook=(
            "Find out whose key it is, and how the other tenant came by it.",
            "See whether the gateway takes the tenant from a header that callers can set.",
            "Give each tenant a key of its own and revoke this one.",
        ),
        blind_spot="a second user within the same tenant",
        needs=("api_key.id", "tenant.id"),
    )
    takes = "owned"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._memory = Firsts(DAY_MS, MAX_KEYS, each_ms=DAY_MS)

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        return event.api_key_id

    def pick(self, events: Events) -> Iterable[int]:
        helpers = events.among(self.allowed, "tenant_id", "user_id", "api_key_id")
        return self._memory.unlike(events, events["key"], "tenant_id", helpers)

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        key, tenant = event.api_key_id, event.tenant_id
        if key is None or tenant is None:
            return ()
        if not self.allowed.isdisjoint((tenant, event.user_id, key)):
            return ()
        first, mine = self._memory.get(key, time_ms), [tenant, time_ms, event.event_id]
        if first is not None and first[0] == tenant and time_ms >= first[1]:
            self._memory.keep(key, first)
            return ()  # the usual case
        if first is None or first[0] == tenant:
            self._memory.put(key, mine)
            return ()
        early, late = sorted((first, mine), key=lambda one: (one[1], one[0]))  # ties: by tenant
        self._memory.put(key, early)
        return (
            Verdict(
                "one key was used under two tenants on the same day",
                {"used_by": late[0], "before_by": early[0]},
                decisive=(late[2], late[1]),
                others=((early[2], early[1]),),
            ),
        )
