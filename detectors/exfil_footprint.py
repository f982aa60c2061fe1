"""An agent that reads, and then sends to where hardly anybody sends after reading that."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from detectors.base import Detector, Verdict, atlas, attack, owasp
from detectors.events import Events
from detectors.long_memory import LongMemory
from detectors.memory import Memory
from detectors.settled import HOUR_MS, SETTLED_MS, count, counted
from schemas.decode import Record
from schemas.finding import About, Severity
from schemas.fingerprint import fingerprint_of

RARE = 0.15  # share of the sessions that used a tool and then sent there, over all tenants
RARE_AT_HOME = 0.5  # and of the tenant's own, at most
COMMON = 7  # sessions that sent there: then it is usual, however many did not
TAKERS = 48  # sessions counted for one tool; COMMON of more than these are no longer rare
SENDS = 4  # of any tool, before anything is rare
TOOL_SENDS = 12  # of one tool, from which it is told whether all it sends is rare
OPEN_SHARE = 0.7  # of them rare: then a rare destination says nothing
SESSION_MS = HOUR_MS  # what a session did is remembered for so long
HORIZON_MS = 14 * 24 * HOUR_MS
MAX_WAYS = 400_000  # ways, and sessions, remembered per generation
MAX_TEXTS = 20_000  # names of tools and tenants by their fingerprint
SPREAD = np.uint64(0x9E3779B97F4A7C15)  # odd, so that tenants that share a session id are apart
FAILED = ("error", "blocked")  # statuses
MAX_TOOLS = 24  # different tools of one session
MAX_SENDS = 8  # of one session
MAX_DESTINATIONS = 8  # of one call

Session = dict[str, Any]


class ExfilFootprint(Detector):
    """Flags a call that sends to where sessions with the same tools hardly ever sent.

    For each tool a session used before it sent, and each destination of the call (an address, an
    account, a site), it estimates from other sessions how often the one is followed by the other:
    (c + 1/2) / (m + 1) of m sessions. An injected instruction makes an agent send to somebody new,
    or to somebody known after reading what has nothing to do with it; either is rare. Tools that
    mostly send to rare places are left alone.

    Source: Krichevsky and Trofimov 1981 (the estimate). EchoLeak (CVE-2025-32711) and the Supabase
    MCP incident of 2025: an untrusted read, a sensitive read, a write that the attacker can see.
    On AgentDojo's injections a destination new to the tenant alone finds .22 at 3 false sessions in
    1 000, this .6 at 4 (docs/detection.md).
    Blind spot: what leaves without a destination in a tool's arguments (a link in an answer, a
    booking); ways that are common already.

    >>> from schemas.testing import record
    >>> detector, told = ExfilFootprint(), []
    >>> def run(number, to):
    ...     for place, tool in enumerate(("calendar", "mail")):
    ...         sends = dict(side_effect=True, tool_destination_ids=(to,)) if tool == "mail" else {}
    ...         call = record(id=f"{number}-{place}", kind="agent.tool_call", tenant="acme",
    ...             session=f"s{number}", tool=tool, **sends)
    ...         told.extend(v.decisive for v in detector.inspect(call, number * 3_600_000 + place))
    >>> for day in range(8):
    ...     run(day, "hmac:boss")
    >>> run(9, "hmac:stranger"); told
    [('9-1', 32400001)]
    """

    about = About(
        id="exfil-footprint",
        title="An agent sends to where it hardly ever sends after reading that",
        family="cross-tenant",
        severity=Severity.MEDIUM,
        techniques=(
            atlas("AML.T0086", "Exfiltration via AI Agent Tool Invocation"),
            atlas("AML.T0051.001", "LLM Prompt Injection: Indirect"),
            attack("T1567", "Exfiltration Over Web Service"),
            owasp("LLM01", "Prompt Injection"),
        ),
        runbook=(
            "Who is the destination? Ask the user whether they meant to send there.",
            "Read what the session read before: mail, pages and files may carry instructions.",
            "If nobody meant it, block the destination and look for it in all other sessions.",
        ),
        blind_spot="what leaves without a destination in a tool's arguments; common ways",
        needs=("gen_ai.conversation.id", "tool.side_effect", "tool.destination.ids"),
    )
    takes = "tool_call"
    lane = "session"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._memory = LongMemory(SESSION_MS, MAX_WAYS, HORIZON_MS)
        self._texts: dict[int, str] = {}

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        return event.conversation_id or event.session_id

    def pick(self, events: Events) -> Iterable[int]:
        """Notes who used which tool; only sessions that send are inspected."""
        tools, tenants = events.hashes("tool_name"), events["tenant"]
        known = np.where(events["session"], events["session"] ^ (tenants * SPREAD), 0)
        known = np.where(events.words("status", *FAILED), 0, known)
        sends = events["acting_call"] & (events.numbers("tool_destination_ids") > 0)
        columns = (known, tools, tenants, events.times, sends)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for place, (session, tool, tenant, time_ms, sent) in enumerate(rows):
            if session and tool:
                used = self._text(tool, "tool_name", events, place)
                state = self._use(
                    session, used, self._text(tenant, "tenant_id", events, place), time_ms
                )
                if sent or state["sends"]:
                    yield place

    def _text(self, hash: int, attribute: str, events: Events, place: int) -> Any:
        text = self._texts.get(hash)
        if text is None and hash:
            if len(self._texts) >= MAX_TEXTS:
                self._texts.clear()
            text = self._texts[hash] = events.text(attribute, place)
        return text

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        session, tool = _session(event, self.entity(event)), event.tool_name
        if not session or tool is None or event.status in FAILED:
            return
        state = self._use(session, tool, event.tenant_id, time_ms)
        sends = state["sends"]
        if event.tool_side_effect and event.tool_destination_ids and len(sends) < MAX_SENDS:
            ids = list(event.tool_destination_ids[:MAX_DESTINATIONS])
            sends.append([time_ms, event.event_id, tool, ids, None])
        for send in sends:  # what comes late may have been before a call that sent
            if send[0] >= time_ms:
                yield from self._judge(event.tenant_id, session, state["tools"], send)

    def _use(self, session: int, tool: str, tenant: str | None, time_ms: int) -> Session:
        """Notes that a session used a tool; gives what it did so far."""
        state: Session = self._memory.get(session) or {"tools": {}, "sends": []}
        self._memory.put(session, state)
        tools = state["tools"]  # tool -> its first use
        first = tools.get(tool)
        if len(tools) < MAX_TOOLS if first is None else time_ms < first:
            tools[tool] = time_ms
            self._visit(tool, session, time_ms)
            self._visit(f"{tenant}\0{tool}", session, time_ms)
        return state

    def _judge(
        self, tenant: str | None, session: int, tools: dict[str, int], send: list[Any]
    ) -> Iterator[Verdict]:
        time_ms, id, tool, destinations, _ = send
        before = sorted(t for t, first in tools.items() if first < time_ms and t != tool)
        odd: list[tuple[float, int, str]] = []
        for number, place in enumerate(destinations):
            for used in before:
                share = self._share(used, place, session, time_ms)
                at_home = self._share(f"{tenant}\0{used}", place, session, time_ms)
                if share < RARE and at_home <= RARE_AT_HOME:
                    odd.append((share, number, used))
                self._visit(f"{used}\0\0{place}", session, time_ms)
                self._visit(f"{tenant}\0{used}\0\0{place}", session, time_ms)
        self._count(send, bool(odd))
        if not odd or self._all_rare(tool, time_ms):
            return
        share, number, used = min(odd)
        place = destinations[number]
        yield Verdict(
            "a call with side effects sent to where sessions with these tools hardly ever send",
            {"tool": tool, "destination": place, "after": used, "usual_share": round(share, 3)},
            probability=share,
            parts=(place, tenant or ""),
            decisive=(id, time_ms),
        )

    def _share(self, used: str, place: str, session: int, time_ms: int) -> float:
        """How often sessions that used a tool sent to a place, as far as is known by now."""
        sent = self._visited(f"{used}\0\0{place}", session, time_ms)
        if sent >= COMMON:
            return 1.0
        return (sent + 0.5) / (self._visited(used, session, time_ms) + 1)

    def _visited(self, name: str, session: int, time_ms: int) -> int:
        """How many other sessions came here before, of the first ones."""
        _, takers = self._memory.long.get(name) or (0, {})
        until = time_ms - SETTLED_MS
        return sum(1 for who, at in takers.items() if who != session and at < until)

    def _visit(self, name: str, session: int, time_ms: int) -> None:
        """Counts a session among the first ones that came here: the newest, and each one's time."""
        known = self._memory.long.get(name)
        if known is None:
            self._memory.long.put(name, [time_ms, {session: time_ms}])
            return
        self._memory.long.keep(name, known)
        newest, takers = known
        if len(takers) >= TAKERS and time_ms >= newest:
            return
        takers[session] = min(time_ms, takers.get(session, time_ms))
        if len(takers) > TAKERS:
            del takers[max(takers, key=lambda who: (takers[who], who))]
        known[0] = time_ms if time_ms > newest else max(takers.values())

    def _count(self, send: list[Any], odd: bool) -> None:
        """Notes once that something was sent, and once that it was rare."""
        time_ms, _, tool, _, noted = send
        new, odder = noted is None, odd and not noted
        send[4] = bool(noted) or odd
        for name in ("sends", f"sends\0{tool}") if new or odder else ():
            known = self._memory.long.get(name) or []
            self._memory.long.put(name, count(known, time_ms, new, odder))

    def _all_rare(self, tool: str, time_ms: int) -> bool:
        """Whether what a tool sends goes to rare places anyway, as far as is known by now."""
        sent, rare = counted(self._memory.long.get(f"sends\0{tool}") or [], time_ms) or (0, 0)
        if sent < TOOL_SENDS:
            sent, rare = counted(self._memory.long.get("sends") or [], time_ms) or (0, 0)
        return sent < SENDS or rare > OPEN_SHARE * sent


def _session(event: Record, name: str | None) -> int:
    """A number for a session of a tenant, the one that `pick` gives it; 0 without a session."""
    tenant = fingerprint_of(event.tenant_id) * int(SPREAD) % 2**64
    return fingerprint_of(name) ^ tenant if name else 0
