"""Whether the pipeline works: a quiet feed must not look like a broken one, nor the reverse."""

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from alerts.feed.identity import Identity
from alerts.feed.queries import Feeds
from alerts.feed.render import distance
from alerts.feed.settings import FeedSettings
from alerts.feed.usage import Usage

KEPT_S = 2.0  # seconds an answer is given again
SAMPLES = 60  # of the count of events, for the rate
RATE_S = 60.0
BEHIND_EVENTS = 100_000  # waiting events that are worth a warning

Level = Literal["ok", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Runner:
    """What is known of whoever judges.

    Attributes:
        alive: whether it runs; None when that cannot be known from here.
        troubles: what keeps it from working.
        lag_events: events that wait to be judged; None: not known.
    """

    alive: bool | None = None
    troubles: Sequence[str] = ()
    lag_events: int | None = None


class Probe(Protocol):
    """What whoever starts the feed knows of the rest."""

    def runner(self) -> Runner:
        """How judging goes."""

    def coverage(self, sources: Sequence[str]) -> Sequence[tuple[str, Sequence[str]]]:
        """Each detector, and the fields it lacks from all of these sources."""


class NoProbe:
    """Knows nothing."""

    def runner(self) -> Runner:
        """Nothing."""
        return Runner()

    def coverage(self, sources: Sequence[str]) -> Sequence[tuple[str, Sequence[str]]]:
        """Nothing."""
        return ()


@dataclass(frozen=True, slots=True)
class Source:
    """A source and when it last sent something."""

    name: str
    last_event: datetime | None
    events: int
    lag_s: float
    quiet: bool


@dataclass(frozen=True, slots=True)
class Strip:
    """What the health strip says."""

    level: Level
    told: str
    troubles: list[str] = field(default_factory=list)
    events_per_s: float | None = None
    lag_events: int | None = None
    sources: list[Source] = field(default_factory=list)
    destinations: list[dict[str, Any]] = field(default_factory=list)
    covered: list[str] = field(default_factory=list)
    lacking: list[tuple[str, Sequence[str]]] = field(default_factory=list)


class Health:
    """Looks at signs of life, at destinations and at the runner; often asked, seldom looked up."""

    def __init__(
        self,
        usage: Usage,
        feeds: Feeds,
        probe: Probe,
        settings: FeedSettings,
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._usage, self._feeds, self._probe = usage, feeds, probe
        self._quiet = timedelta(minutes=settings.quiet_source_minutes)
        self._now, self._monotonic = now, monotonic
        self._guard = threading.Lock()
        self._kept: tuple[float, Strip] | None = None
        self._counts: deque[tuple[float, int]] = deque(maxlen=SAMPLES)

    def strip(self, who: Identity) -> Strip:
        """How it goes. Who may see only some tenants hears of no destinations or sources."""
        with self._guard:
            if self._kept is None or self._monotonic() - self._kept[0] > KEPT_S:
                self._kept = (self._monotonic(), self._look())
            strip = self._kept[1]
        if who.tenants is None:
            return strip
        return Strip(strip.level, "Working" if strip.level == "ok" else "Operators are told")

    def _look(self) -> Strip:
        try:
            beats = self._usage.heartbeats()
            destinations = self._feeds.destinations()
        except (sqlite3.Error, OSError) as error:
            told = f"The store cannot be read ({type(error).__name__}): this page is out of date"
            return Strip("bad", told, [told])
        now = self._now()
        sources = [self._source(beat, now) for beat in beats]
        runner = self._probe.runner()
        broken = list(runner.troubles)
        if runner.alive is False:
            broken.insert(0, "nothing is judged: tripmeter serve does not run on this folder")
        odd = [_destination(each) for each in destinations if _stuck(each)]
        odd += [
            f"{each.name} has sent nothing for {distance((now - each.last_event).total_seconds())}"
            for each in sources
            if each.quiet and each.last_event is not None
        ]
        if runner.lag_events is not None and runner.lag_events > BEHIND_EVENTS:
            odd.append(f"{runner.lag_events:,} events wait to be judged")
        rate = self._rate(sum(each.events for each in sources))
        coverage = self._probe.coverage([each.name for each in sources])
        level: Level = "bad" if broken else "warn" if odd or not sources else "ok"
        return Strip(
            level,
            _told(broken, odd, sources, now),
            [*broken, *odd],
            rate,
            runner.lag_events,
            sources,
            destinations,
            [name for name, lacks in coverage if not lacks],
            [(name, lacks) for name, lacks in coverage if lacks],
        )

    def _source(self, beat: dict[str, Any], now: datetime) -> Source:
        last = datetime.fromisoformat(beat["last_event"]) if beat["last_event"] else None
        quiet = last is None or now - last > self._quiet
        return Source(str(beat["source"]), last, int(beat["events"]), float(beat["lag_s"]), quiet)

    def _rate(self, events: int) -> float | None:
        """Events a second over the last minute that was watched."""
        at = self._monotonic()
        if not self._counts or self._counts[-1][1] > events:
            self._counts.clear()
        self._counts.append((at, events))
        while len(self._counts) > 2 and at - self._counts[1][0] >= RATE_S:
            self._counts.popleft()
        since, before = self._counts[0]
        return (events - before) / (at - since) if at - since >= KEPT_S else None


def _told(
    broken: Sequence[str], odd: Sequence[str], sources: Sequence[Source], now: datetime
) -> str:
    if broken:
        return _sentence([*broken, *odd])
    if not sources:
        return "No source has sent anything yet"
    if odd:
        return _sentence(odd)
    newest = max(each.last_event for each in sources if each.last_event is not None)
    return f"Working: newest event {distance(max(0.0, (now - newest).total_seconds()))} ago"


def _sentence(troubles: Sequence[str]) -> str:
    more = f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else ""
    return troubles[0][:1].upper() + troubles[0][1:] + more


def _stuck(row: dict[str, Any]) -> bool:
    return bool(row.get("held_since") or row.get("full_since") or row.get("dead"))


def _destination(row: dict[str, Any]) -> str:
    if row.get("held_since"):
        return f"{row['name']} takes no findings: {row.get('reason') or 'unknown'}"
    if row.get("full_since"):
        return f"{row['name']} has no room for more"
    return f"{row['name']} refused {row['dead']} records"
