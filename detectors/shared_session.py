"""One conversation under two tenants."""

from collections.abc import Iterable

from detectors.base import Detector, Verdict, atlas, attack, owasp
from detectors.events import Events
from detectors.firsts import Firsts
from detectors.memory import Memory
from schemas.decode import Record
from schemas.finding import About, Severity

HORIZON_MS = 86_400_000
MAX_SESSIONS = 1_000_000  # remembered per generation
LONG_ID = 12  # characters; shorter ids may be chosen by two tenants by accident


class SharedSession(Detector):
    """Flags a session or conversation id that appears under more than one tenant.

    Source: in March 2023 a dirty pooled connection gave ChatGPT users each other's answers, and
    CVE-2026-25536 routed MCP answers to another client's session: both show one id, two tenants.
    Blind spot: leaks that keep each tenant's own session id; ids reused after two days.

    >>> from schemas.testing import record
    >>> detector, session = SharedSession(), "conv-6f1d0c2e9a41"
    >>> list(detector.inspect(record(id="a", tenant="acme", session=session), 1000))
    []
    >>> other = record(id="b", tenant="globex", session=session)
    >>> [verdict.decisive for verdict in detector.inspect(other, 2000)]
    [('b', 2000)]
    """

    about = About(
        id="shared-session",
        title="One session is used by two tenants",
        family="cross-tenant",
        severity=Severity.HIGH,
        techniques=(
            atlas("AML.T0057", "LLM Data Leakage"),
            attack("T1550", "Use Alternate Authentication Material"),
            owasp("LLM02", "Sensitive Information Disclosure"),
        ),
        runbook=(
            "Compare the addresses and clients of both tenants' calls in this session.",
            "End the session; see whether its cache or memory is keyed by tenant.",
            "Tell both tenants if contents crossed.",
        ),
        blind_spot="leaks that keep each tenant's own session id",
        needs=("tenant.id", "gen_ai.conversation.id"),
    )
    takes = "in_session"
    lane = "session"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._memory = Firsts(HORIZON_MS, MAX_SESSIONS)

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        return event.conversation_id or event.session_id

    def pick(self, events: Events) -> Iterable[int]:
        helpers = events.among(self.allowed, "tenant_id", "user_id", "api_key_id")
        return self._memory.unlike(events, events["session"], "tenant_id", helpers)

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        session, tenant = event.conversation_id or event.session_id, event.tenant_id
        if session is None or tenant is None:
            return ()
        first = self._memory.get(session)
        if first is not None and first[0] == tenant and time_ms >= first[1]:
            self._memory.keep(session, first)
            return ()  # the usual case
        if not self.allowed.isdisjoint((tenant, event.user_id, event.api_key_id)):
            return ()
        mine = [tenant, time_ms, event.event_id]
        if first is None or first[0] == tenant:
            self._memory.put(session, mine)
            return ()
        early, late = sorted((first, mine), key=lambda one: (one[1], one[0]))  # ties: by tenant
        self._memory.put(session, early)
        return (
            Verdict(
                "a session that began under one tenant is used by another",
                {"began_under": early[0], "used_by": late[0]},
                severity=None if len(session) >= LONG_ID else Severity.MEDIUM,
                decisive=(late[2], late[1]),
                others=((early[2], early[1]),),
            ),
        )
