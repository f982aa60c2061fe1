"""The one thing an author of a detector has to know.

A detector has metadata (`about`), and does one or both of:

- **judge** windows: it names `channels`, running totals with a limit. The moment a total of one
  key passes its limit, `judge` is asked, and once more with the final totals when the window
  closes.
- **inspect** events: it names the events it `takes` and is shown each one, in order of arrival.
  What it remembers lives in a bounded `Memory`; it compares event times, so that which of two
  events arrived first does not matter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import exp, log1p
from typing import Any, ClassVar

from pydantic import JsonValue

from detectors.events import Events
from detectors.memory import Memory
from schemas.decode import EPOCH, Record
from schemas.finding import About, Entity, Lane, Severity, Technique

NANO = 1_000_000_000

ATLAS = "5.6.0"  # MITRE ATLAS release the ids below are from
ATTACK = "18"  # MITRE ATT&CK release
OWASP = "2025"  # OWASP Top 10 for LLM Applications


def atlas(id: str, name: str) -> Technique:
    """A MITRE ATLAS technique."""
    return Technique(framework="MITRE ATLAS", version=ATLAS, id=id, name=name)


def attack(id: str, name: str) -> Technique:
    """A MITRE ATT&CK technique."""
    return Technique(framework="MITRE ATT&CK", version=ATTACK, id=id, name=name)


def owasp(id: str, name: str) -> Technique:
    """A risk of the OWASP Top 10 for LLM Applications."""
    return Technique(framework="OWASP LLM Top 10", version=OWASP, id=id, name=name)


@dataclass(frozen=True)
class Channel:
    """A running total of one window, and the limit above which a detector is asked.

    Attributes:
        window: name of a `WindowSpec`.
        feature: name of one of its features.
        above: the limit, or the least limit when it is learned.
        share: part of the alert budget this channel may spend; None for a fixed limit. The limit
            is then the total that this key's own habit passes `share * alert_budget` times a
            month.
        mature: closed windows a key must have before this channel looks at it.
        young: look only at keys that have fewer closed windows than this; 0 looks at all.
        aged: windows that must have passed since the key's first, used or not.
        like: the learned feature whose habit gives the limit, if it is not the watched one.
    """

    window: str
    feature: str
    above: int
    share: float | None = None
    mature: int = 0
    young: int = 0
    aged: int = 0
    like: str = ""


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual for one key and feature, as it was known when the window opened.

    Attributes:
        typical: a typical window's total.
        limit: the total that is too rare to be usual.
        windows: how many windows it was learned from.
    """

    typical: float
    limit: float
    windows: int
    log_tail: float
    scale: float
    log_rate: float

    def per_month(self, total: float) -> float:
        """How often a month this key's own habit reaches `total`.

        Exponential tail on a logarithmic scale over the key's highest windows (peaks over
        threshold, Pickands 1975).
        """
        excess = (log1p(total) - self.log_tail) / self.scale
        return exp(min(self.log_rate - excess, 20.0))


@dataclass(frozen=True, slots=True)
class Window:
    """One key's window at the moment it is judged.

    Attributes:
        totals: feature -> total up to and including `event`; at the end when `final`.
        tripped: the feature whose limit was passed.
        usual: learned feature -> what is usual.
        event: the deciding event.
        final: the window has closed.
    """

    spec: str
    entity: Entity
    start_ms: int
    width_ms: int
    first_ms: int
    totals: dict[str, int]
    tripped: str
    usual: dict[str, Usual]
    windows: int
    event: Any
    final: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a detector thinks; the pipeline adds who, when and which events.

    Attributes:
        summary: one line: what happened, in plain words. Attacker-controlled text stays out.
        evidence: what was seen, what is usual, and the values behind it.
        severity: overrides the detector's own.
        probability: chance of this under the key's habit within a month; None for a fact.
        parts: what names this finding beside detector and entity (`inspect` only).
        others: further events behind it, as (id, time in ms) (`inspect` only).
        decisive: the deciding event when it is not the one inspected, as (id, time in ms).
        cost_nanousd: estimated cost, when it is not the window's.
        entity: whom it is about, when it is not the inspected event's own (`inspect` only).
    """

    summary: str
    evidence: dict[str, JsonValue] = field(default_factory=dict)
    severity: Severity | None = None
    probability: float | None = None
    parts: tuple[str | int, ...] = ()
    others: tuple[tuple[str, int], ...] = ()
    decisive: tuple[str, int] | None = None
    cost_nanousd: int | None = None
    entity: str | None = None


class Detector:
    """An opinion about windows or events. Subclasses fill in the parts they need.

    Attributes:
        takes: mask of the events it inspects.
        once: two columns; of events in which both are equal it is shown the first of each day
            (UTC, of the clock and of the event), any that is earlier than those shown, and the
            others perhaps, so it must not mind being shown one again.
        lane: of what its inspected events are about.
        told: the core setting it is made with.
    """

    about: ClassVar[About]
    channels: ClassVar[Sequence[Channel]] = ()
    takes: ClassVar[str] = ""
    once: ClassVar[tuple[str, ...]] = ()
    lane: ClassVar[Lane] = "credential"
    told: ClassVar[str] = "support"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        """`allowed`: users, keys or tenants that may act in several tenants."""
        self.allowed = allowed

    def judge(self, window: Window) -> Verdict | None:
        """An opinion about a window one of whose channels passed its limit; None to stay quiet."""
        return None

    def entity(self, event: Record) -> str | None:
        """Whose memory an event belongs to; None when it is none of our business."""
        return None

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        """Opinions about one event, and what it says about events before it.

        Args:
            time_ms: its event time.
        """
        return ()

    def pick(self, events: Events) -> Iterable[int]:
        """Which of a block's events `inspect` has to see; the others it would pass over.

        An event that may be left out is one that changes nothing, or only the memory, and that
        was noted there. Lazy: the next event is asked for after the last one was inspected.
        """
        return range(len(events))

    @property
    def only(self) -> frozenset[str] | None:
        """Keys whose events it inspects; None is everybody's. Never changes."""
        return None

    @property
    def memory(self) -> Memory | None:
        """What `inspect` remembers; saved in snapshots."""
        return None


def iso(ms: int) -> str:
    """An instant for people and for evidence."""
    return (EPOCH + timedelta(milliseconds=ms)).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(ms: int) -> datetime:
    """An instant as an aware datetime."""
    return datetime.fromtimestamp(ms // 1000, UTC) + timedelta(milliseconds=ms % 1000)


def usd(nanousd: float) -> float:
    """Nano-dollars as dollars."""
    return round(nanousd / NANO, 6)
