"""An agent that reads, and then sends to where hardly anybody sends after reading that."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from detectors.base import Detector, Verdict, atlas, attack, owasp
from detectors.events import Events
from detectors.memory import Memory
from detectors.settled import HOUR_MS, count, counted
from detectors.ways import Ways
from schemas.decode import Record
from schemas.finding import About, Severity
from schemas.fingerprint import fingerprint_of

RARE = 0.15  # share of the sessions that did one thing and then sent there, over all tenants
RARE_AT_HOME = 0.5  # and of the tenant's own, at most, where only tools are compared
COMMON = 7  # sessions that sent there: then it is usual; of `TAKERS` that is RARE
SENDS = 4  # of any tool, before anything is rare
TOOL_SENDS = 12  # of one tool, from which it is told whether all it sends is rare
OPEN_SHARE = 0.7  # of them rare: then a rare destination says nothing
NEW_SHARE = 0.5  # of a tool that names new places more often than this, a new one says nothing
RECENT = 48  # calls of a tool, after which older ones count half; as many as `TAKERS`
AGAIN = 2  # other sessions that made the very same call: fewer say nothing, as 0.5 / 3 > RARE
AGAIN_SHARE = 0.5  # of a tool's calls made by others before: then its name alone says nothing
SESSION_MS = HOUR_MS  # what a session did is remembered for so long
HORIZON_MS = 14 * 24 * HOUR_MS
MAX_WAYS = 400_000  # ways, and sessions, remembered per generation
MAX_CALLS = 200_000  # calls by their arguments, and ways from them, remembered per generation
MAX_TEXTS = 20_000  # names of tools and tenants by their fingerprint
SPREAD = np.uint64(0x9E3779B97F4A7C15)  # odd, so that tenants that share a session id are apart
ODD = int(SPREAD)
FAILED = ("error", "blocked")  # statuses
MAX_TOOLS = 24  # different tools, and different calls, of one session
MAX_SENDS = 8  # of one session and kind
MAX_DESTINATIONS = 8  # of one call
MAX_SHARED = 32  # calls that sessions with one act made before it
SENT, LOOKED, ACTED = range(3)  # with side effect and destination, with either alone
SAID = {
    SENT: "a call with side effects sent to where sessions with these calls hardly ever send",
    LOOKED: "a call named a destination that sessions with these calls hardly ever name",
    ACTED: "a call with side effects that came up before in sessions with nothing in common",
}

Session = dict[str, Any]


class ExfilFootprint(Detector):
    """Flags a call that goes to where sessions with the same calls hardly ever went.

    For each call a session made before, and each destination a call names (an address, an account,
    a site), it estimates from other sessions how often the one is followed by the other: c of m is
    (c + 1/2) / (m + 1), where m counts this session too if calls are compared. Calls are the same
    when tool and arguments are; where a tool's arguments hardly ever come again, its name stands
    for them. An injected instruction makes an agent send to somebody new, or to somebody known
    after reading what has nothing to do with it; either is rare. What acts without naming a
    destination is flagged when it is as rare and two or more other sessions did exactly the same,
    most of which have no earlier call in common: an errand comes the same way each time, an
    injected one whatever the errand is. Tools that mostly go to rare or new places are left alone.

    Source: Krichevsky and Trofimov 1981 (the estimate). EchoLeak (CVE-2025-32711) and the Supabase
    MCP incident of 2025: an untrusted read, a sensitive read, a write that the attacker can see.
    Limits were chosen on three streams of AgentDojo's injections, whose errands repeat; they hold
    on others with other errands (docs/detection.md).
    Blind spot: what leaves without arguments that show it (a link in an answer); the first times
    that something acts without a destination; ways that are common already; sessions none of whose
    calls or tools anybody made before.

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
        blind_spot="what leaves without arguments that show it; a first act that names nobody;"
        " common ways",
        needs=("gen_ai.conversation.id", "tool.side_effect", "tool.destination.ids"),
        helps=("tool.args.hash",),
    )
    takes = "tool_call"
    lane = "session"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._memory = Ways(SESSION_MS, MAX_WAYS, HORIZON_MS, MAX_CALLS)
        self._texts: dict[int, str] = {}

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        return event.conversation_id or event.session_id

    def pick(self, events: Events) -> Iterable[int]:
        """Notes who made which call; only sessions that send, look or act are inspected."""
        tools, tenants, args = (
            events.hashes("tool_name"),
            events["tenant"],
            events.hashes("tool_args_hash"),
        )
        known = np.where(events["session"], events["session"] ^ (tenants * SPREAD), 0)
        known = np.where(events.words("status", *FAILED), 0, known)
        calls = np.where(args > 0, tools * SPREAD ^ args, 0)
        goes = (events.numbers("tool_destination_ids") > 0) | (events["acting_call"] & (args > 0))
        columns = (known, tools, tenants, calls, events.times, goes)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for place, (session, tool, tenant, call, time_ms, went) in enumerate(rows):
            if session and tool:
                used = self._text(tool, "tool_name", events, place)
                whose = self._text(tenant, "tenant_id", events, place)
                state = self._use(session, used, whose, call, time_ms)
                if went or state["sends"]:
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
        call, places = _call(event), list((event.tool_destination_ids or ())[:MAX_DESTINATIONS])
        state = self._use(session, tool, event.tenant_id, call, time_ms)
        sends, kind = state["sends"], _kind(event, bool(places), call)
        if kind is not None and sum(1 for one in sends if one[4] == kind) < MAX_SENDS:
            sends.append([time_ms, event.event_id, tool, places, kind, call, None])
        for send in sends:  # what comes late may have been before a call that sent
            if send[0] >= time_ms:
                yield from self._judge(event.tenant_id, session, state, send)

    def _use(self, session: int, tool: str, tenant: str | None, call: int, time_ms: int) -> Session:
        """Notes that a session made a call; gives what it did so far."""
        state: Session = self._memory.get(session) or {"tools": {}, "calls": {}, "sends": []}
        self._memory.put(session, state)
        tools, calls = state["tools"], state["calls"]
        first = tools.get(tool)
        if len(tools) < MAX_TOOLS if first is None else time_ms < first:
            tools[tool] = time_ms
            self._memory.visit(tool, session, time_ms)
            self._memory.visit(f"{tenant}\0{tool}", session, time_ms)
        first, _ = calls.get(call) or (None, tool)
        if call and (len(calls) < MAX_TOOLS if first is None else time_ms < first):
            if first is None:
                again = self._memory.visited(call, session, time_ms) > 0
                self._add(f"again\0{tool}", time_ms, 1, int(again))
            calls[call] = [time_ms, tool]
            self._memory.visit(call, session, time_ms)
        return state

    def _judge(
        self, tenant: str | None, session: int, state: Session, send: list[Any]
    ) -> Iterator[Verdict]:
        time_ms, id, tool, places, kind, call, _ = send
        calls = {c: t for c, (at, t) in state["calls"].items() if at < time_ms and c != call}
        tools = [t for t, at in state["tools"].items() if at < time_ms and t != tool]
        named = f"{kind}\0{tool}"
        odd: list[tuple[float, int, str]] = []
        new, silent = False, set[int]()
        if kind == ACTED and self._unrelated(call, session, time_ms):
            odd += ((share, 0, t) for share, t in self._calls(calls, call, session, time_ms))
        vague = self._part(named, 1, time_ms) > NEW_SHARE
        for number, place in enumerate(places):
            first = not self._memory.visited(f"\0{place}", session, time_ms)
            rare = self._tools(tools, tenant, place, session, time_ms)
            rare += self._calls(calls, fingerprint_of(place), session, time_ms)
            odd += ((share, number, t) for share, t in rare)
            silent |= {number} if first and vague else set()
            new |= first
        self._note(tenant, session, tools, calls, send)
        self._count(send, named, new, bool(odd))
        odd = [one for one in odd if one[1] not in silent]
        if not odd or self._all_rare(kind, named, time_ms):
            return
        share, number, used = min(odd)
        place = places[number] if places else f"\0{tool}\0{call}"
        told = {"destination": place} if places else {}
        yield Verdict(
            SAID[kind],
            {"tool": tool, **told, "after": used, "usual_share": round(share, 3)},
            severity=Severity.LOW if kind == LOOKED else None,
            probability=share,
            parts=(place, tenant or ""),
            decisive=(id, time_ms),
        )

    def _calls(
        self, calls: dict[int, str], goal: int, session: int, time_ms: int
    ) -> list[tuple[float, str]]:
        """Calls that others made as well, and hardly ever went to `goal` after."""
        found = []
        for call, tool in calls.items():
            made = self._memory.visited(call, session, time_ms)
            went = self._memory.visited(_way(call, goal), session, time_ms) if made >= AGAIN else 0
            if made >= AGAIN and (share := (went + 0.5) / (made + 2)) < RARE:
                found.append((share, tool))
        return found

    def _tools(
        self, tools: list[str], tenant: str | None, place: str, session: int, time_ms: int
    ) -> list[tuple[float, str]]:
        """Tools, of which hardly any call comes again, after which hardly anybody goes there."""
        found = []
        for used in tools:
            share = self._share(used, place, session, time_ms)
            if share < RARE and self._part(f"again\0{used}", 1, time_ms) <= AGAIN_SHARE:
                at_home = self._share(f"{tenant}\0{used}", place, session, time_ms)
                found += [(share, used)] if at_home <= RARE_AT_HOME else []
        return found

    def _share(self, used: str, place: str, session: int, time_ms: int) -> float:
        """How often sessions that used a tool sent to a place, as far as is known by now."""
        sent = self._memory.visited(f"{used}\0\0{place}", session, time_ms)
        if sent >= COMMON:
            return 1.0
        return (sent + 0.5) / (self._memory.visited(used, session, time_ms) + 1)

    def _unrelated(self, act: int, session: int, time_ms: int) -> bool:
        """Whether two or more others did this, of which most made no earlier call in common."""
        did = self._memory.visited(act, session, time_ms)
        before = self._memory.calls.get(_way(act, act)) or []
        return did > 1 and all(
            2 * self._memory.visited(_way(call, act), session, time_ms) <= did for call in before
        )

    def _note(
        self,
        tenant: str | None,
        session: int,
        tools: list[str],
        calls: dict[int, str],
        send: list[Any],
    ) -> None:
        """Remembers that a session came this way."""
        time_ms, _, _, places, kind, act, _ = send
        for place in places:
            self._memory.visit(f"\0{place}", session, time_ms)
            for used in tools:
                self._memory.visit(f"{used}\0\0{place}", session, time_ms)
                self._memory.visit(f"{tenant}\0{used}\0\0{place}", session, time_ms)
            for call in calls:
                self._memory.visit(_way(call, fingerprint_of(place)), session, time_ms)
        if kind == ACTED:
            before = self._memory.calls.get(_way(act, act)) or []
            new = [call for call in calls if call not in before]
            self._memory.calls.put(_way(act, act), (before + new)[:MAX_SHARED])
            for call in calls:
                self._memory.visit(_way(call, act), session, time_ms)

    def _add(self, name: str, time_ms: int, *amounts: int) -> None:
        known = self._memory.long.get(name) or []
        self._memory.long.put(name, count(known, time_ms, *amounts, most=RECENT))

    def _count(self, send: list[Any], named: str, new: bool, odd: bool) -> None:
        """Notes once that a tool went somewhere, was it new, and once that it was rare."""
        noted, kind = send[6], send[4]
        first, odder = noted is None, odd and not noted
        send[6] = bool(noted) or odd
        if first or odder:
            amounts = (int(first), int(new and first), int(odder))
            self._add(named, send[0], *amounts)
            self._add("acts" if kind == ACTED else "sends", send[0], *amounts)

    def _known(self, name: str, time_ms: int) -> list[int]:
        """The amounts of a count, as far as is known by now."""
        return counted(self._memory.long.get(name) or [], time_ms) or [0, 0, 0]

    def _part(self, name: str, amount: int, time_ms: int) -> float:
        """What part of the first amount another is, as far as is known by now; unknown is 0."""
        known = self._known(name, time_ms)
        return known[amount] / known[0] if known[0] else 0.0

    def _all_rare(self, kind: int, named: str, time_ms: int) -> bool:
        """Whether what a tool does goes to rare places anyway, as far as is known by now."""
        known = self._known(named, time_ms)
        if known[0] < TOOL_SENDS:
            known = self._known("acts" if kind == ACTED else "sends", time_ms)
        return known[0] < SENDS or known[2] > OPEN_SHARE * known[0]


def _session(event: Record, name: str | None) -> int:
    """A number for a session of a tenant, the one that `pick` gives it; 0 without a session."""
    tenant = fingerprint_of(event.tenant_id) * ODD % 2**64
    return fingerprint_of(name) ^ tenant if name else 0


def _call(event: Record) -> int:
    """A number for a tool with these arguments, the one that `pick` gives it; 0 if unknown."""
    args = fingerprint_of(event.tool_args_hash)
    return args and args ^ fingerprint_of(event.tool_name) * ODD % 2**64


def _way(call: int, goal: int) -> int:
    """A number for what came first and what came then; of the same twice, for what came before."""
    return (call * ODD + goal) * ODD % 2**64


def _kind(event: Record, names_places: bool, call: int) -> int | None:
    if names_places:
        return SENT if event.tool_side_effect else LOOKED
    return ACTED if event.tool_side_effect and call else None
