"""What the Slack sink does next: one deed at a time, the most urgent first. Pure.

Whatever came in between two deeds is seen before the second, so criticals overtake. The order: what
may have been posted already, new criticals, other news (one by one, or many in a digest), edits,
replies. Nothing is dropped: what may not be told yet stays in the outbox.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from alerts.incident import LOUD, Incident
from alerts.slack_digest import Digest, Kind
from alerts.slack_hours import QuietHours
from alerts.slack_thread import Reply, next_reply
from alerts.slack_told import Told
from schemas.finding import Finding, Severity

HELD = 300  # incidents that wait for the end of quiet hours in the outbox; more would hide edits
WINDOW_S = 60.0
SINGLES = 5  # incidents in `WINDOW_S` that get messages of their own; criticals as many again
EDIT_S = 10.0  # "more findings" edits a message at most so often
DIGEST_S = 3.0  # new incidents are added to a digest at most so often
DIGEST_OLD_S = 15.0  # and changes of those it has
MIN_WAIT_S, MAX_WAIT_S = 0.05, 2.0  # a critical that comes meanwhile waits so long, too


@dataclass(frozen=True, slots=True)
class Row:
    """One incident of the outbox, and what people know of it."""

    key: str
    incident: Incident
    finding: Finding
    told: Told | None

    @property
    def critical(self) -> bool:
        """Whether it may wake people."""
        return self.incident.severity is Severity.CRITICAL

    @property
    def news(self) -> bool:
        """Whether it should notify people."""
        return self.incident.change in LOUD and self.incident.active

    @property
    def fresh(self) -> bool:
        """Whether people have heard nothing of it."""
        return self.told is None or (self.told.place is None and not self.told.digest)


@dataclass(frozen=True, slots=True)
class LookUp:
    """Find out whether something was posted."""

    row: Row


@dataclass(frozen=True, slots=True)
class Post:
    """A message of its own."""

    row: Row


@dataclass(frozen=True, slots=True)
class Edit:
    """The message says what is true now."""

    row: Row


@dataclass(frozen=True, slots=True)
class Say:
    """A reply in the thread."""

    row: Row
    reply: Reply


@dataclass(frozen=True, slots=True)
class Gather:
    """One message for many.

    Attributes:
        digest: the one that grows or is edited; None for a new one.
        kind: of a new one.
        show: now; else it is only counted, and shown when quiet hours end.
    """

    rows: tuple[Row, ...]
    digest: Digest | None
    kind: Kind = "flood"
    show: bool = True


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing for so many seconds, unless something more urgent comes."""

    seconds: float


Deed = LookUp | Post | Edit | Say | Gather | Wait


@dataclass(slots=True)
class Flow:
    """How many messages of their own incidents got lately.

    Args:
        singles: of them in `WINDOW_S`, criticals and others each.
    """

    singles: int = SINGLES
    _lately: dict[bool, deque[float]] = field(
        default_factory=lambda: {True: deque(maxlen=1000), False: deque(maxlen=1000)}
    )

    def room(self, now: float, *, critical: bool) -> int:
        """How many more may have one."""
        lately = self._lately[critical]
        while lately and now - lately[0] >= WINDOW_S:
            lately.popleft()
        return max(0, self.singles - len(lately))

    def posted(self, now: float, *, critical: bool) -> None:
        """One more got one."""
        self._lately[critical].append(now)


@dataclass(frozen=True, slots=True)
class State:
    """What a choice depends on, beside the rows.

    Attributes:
        now: epoch seconds.
        digests: by id, those that rows are in.
        growing: by kind, those that further incidents belong into.
        charts: whether one can be drawn and uploaded.
        thread: whether messages have threads.
    """

    now: float
    flow: Flow
    digests: Mapping[str, Digest] = field(default_factory=dict)
    growing: Mapping[Kind, Digest] = field(default_factory=dict)
    hours: QuietHours | None = None
    charts: bool = False
    thread: bool = True

    @property
    def quiet(self) -> bool:
        """Whether only criticals are told."""
        return self.hours is not None and self.hours.holds(self.clock)

    @property
    def unseen(self) -> Digest | None:
        """What was counted in quiet hours and not shown yet."""
        digest = self.growing.get("quiet")
        return digest if digest is not None and digest.place is None and digest.count else None

    @property
    def clock(self) -> datetime:
        """`now` as people read it."""
        return datetime.fromtimestamp(self.now, UTC)


def done(row: Row, state: State) -> bool:
    """Whether there is nothing (more) to tell of a row."""
    told, incident = row.told, row.incident
    if told is None or row.fresh:
        # covered before anybody heard of it: nobody needs to
        return incident.inhibited_by is not None and (told is None or told.begun is None)
    if told.begun is not None or told.revision < incident.revision:
        return False
    return told.place is None or _reply(row, state) is None


def choose(rows: Sequence[Row], state: State) -> Deed | None:
    """The most urgent deed; None when every row is done."""
    open_rows = [row for row in rows if not done(row, state)]
    if state.unseen is not None and not state.quiet:
        return Gather(_held(open_rows, state), state.unseen, "quiet")
    if not open_rows:
        return None
    for row in open_rows:
        if row.told is not None and row.told.begun is not None and not row.told.part:
            return LookUp(row)
    waits = [r for r in open_rows if state.quiet and not r.critical and (r.fresh or r.news)]
    fresh = [row for row in waits if row.fresh]
    if len(fresh) > HELD:  # one stays, to bring the digest back
        return Gather(tuple(fresh[1:]), state.growing.get("quiet"), "quiet", show=False)
    waiting = [MAX_WAIT_S] if waits else []
    keys = {row.key for row in waits}
    allowed = [row for row in open_rows if row.key not in keys]
    deed = _tell_news([row for row in allowed if row.fresh], state, waiting)
    return deed or _keep_up([row for row in allowed if not row.fresh], state, waiting)


def _tell_news(fresh: list[Row], state: State, waiting: list[float]) -> Deed | None:
    critical = [row for row in fresh if row.critical]
    room = state.flow.room(state.now, critical=True)
    if critical and room:
        return Post(critical[0])
    others = [row for row in fresh if not row.critical]
    held = _held(others, state)
    if len(held) > 1:
        return Gather(held, state.growing.get("quiet"), "quiet")
    if critical or len(others) > state.flow.room(state.now, critical=False):
        current = state.growing.get("flood")
        left = current.edited + DIGEST_S - state.now if current is not None else 0.0
        if left <= 0:
            return Gather(tuple(fresh), current)
        waiting.append(left)
    elif others:
        return Post(others[0])
    return None


def _held(rows: Iterable[Row], state: State) -> tuple[Row, ...]:
    """Those that waited for the end of quiet hours."""
    hours = state.hours
    if hours is None:
        return ()
    waited = [row for row in rows if row.fresh and hours.held(row.incident.changed, state.clock)]
    return tuple(row for row in waited if not row.critical)


def _keep_up(known: list[Row], state: State, waiting: list[float]) -> Deed | None:
    for row in known:
        told = row.told
        if told is None or told.place is None or told.revision >= row.incident.revision:
            continue
        left = told.edited + EDIT_S - state.now
        if row.incident.change == "updated" and row.incident.active and left > 0:
            waiting.append(left)
        else:
            return Edit(row)
    if deed := _digested(known, state, waiting):
        return deed
    for row in known:
        if row.told is not None and row.told.begun is not None:
            return LookUp(row)
        if (reply := _reply(row, state)) is not None:
            return Say(row, reply)
    return Wait(min(MAX_WAIT_S, max(MIN_WAIT_S, min(waiting, default=MAX_WAIT_S))))


def _digested(known: Iterable[Row], state: State, waiting: list[float]) -> Deed | None:
    """Changes of incidents that a digest stands for."""
    changed: dict[str, list[Row]] = {}
    for row in known:
        told = row.told
        if told is None or told.place is not None or told.revision >= row.incident.revision:
            continue
        worse = row.news and row.incident.severity.rank > told.severity.rank
        if worse and row.critical and state.flow.room(state.now, critical=True):
            return Post(row)
        changed.setdefault(told.digest, []).append(row)
    for id, several in changed.items():
        digest = state.digests.get(id)
        left = digest.edited + DIGEST_OLD_S - state.now if digest is not None else 0.0
        if digest is not None and digest.place is None and state.quiet:
            return Gather(tuple(several), digest, "quiet", show=False)
        if left <= 0:
            return Gather(tuple(several), digest)
        waiting.append(left)
    return None


def _reply(row: Row, state: State) -> Reply | None:
    if row.told is None or row.told.place is None or not state.thread:
        return None
    return next_reply(row.incident, row.finding, row.told, state.now, chart=state.charts)
