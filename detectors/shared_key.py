"""One key at work for two tenants."""

from collections.abc import Iterable

from detectors.base import Detector, Verdict, atlas, attack, owasp
from detectors.memory import Memory
from schemas.decode import Record
from schemas.finding import About, Severity

DAY_MS = 86_400_000
MAX_KEYS = 500_000  # remembered per generation
MAX_TENANTS = 8  # of one key on one day


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
    once = ("key", "tenant")

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._memory = Memory(2 * DAY_MS, MAX_KEYS)

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        return event.api_key_id

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        key, tenant = event.api_key_id, event.tenant_id
        if key is None or tenant is None:
            return ()
        if not self.allowed.isdisjoint((tenant, event.user_id, key)):
            return ()
        today = time_ms // DAY_MS
        known = self._memory.get(key)
        if known and len(known) == 1 and known[0][2] == tenant:
            first = known[0][0]
            if first <= time_ms and first // DAY_MS == today:
                self._memory.keep(key, known)
                return ()  # the usual case
        uses = [use for use in known or () if use[0] // DAY_MS >= today - 1]
        mine = [time_ms, event.event_id, tenant]
        others = [use for use in uses if use[0] // DAY_MS == today and use[2] != tenant]
        same = [use for use in uses if use[0] // DAY_MS == today and use[2] == tenant]
        if not same and len(uses) < 2 * MAX_TENANTS:
            self._memory.put(key, [*uses, mine])
        if not others:
            return ()
        first, later = sorted([min(others), min([*same, mine])])
        return (
            Verdict(
                "one key was used under two tenants on the same day",
                {"used_by": later[2], "before_by": first[2]},
                decisive=(later[1], later[0]),
                others=((first[1], first[0]),),
            ),
        )
