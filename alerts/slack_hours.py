"""Quiet hours: when people are only told of what is critical."""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Self
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_RANGE = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)")
_STEP = timedelta(minutes=1)
_WEEK = 7 * 24 * 60


@dataclass(frozen=True, slots=True)
class QuietHours:
    """A time of every day and whole days of the week, in one time zone.

    Attributes:
        start, end: of every day; it may go past midnight. None: no such time.
        days: those that are quiet from midnight to midnight.
    """

    start: time | None
    end: time | None
    days: frozenset[str]
    zone: ZoneInfo

    @classmethod
    def parse(cls, hours: str, days: tuple[str, ...], zone: str) -> Self | None:
        """From such as "22:00-07:00", ("sat", "sun") and "Europe/Berlin"; None when both are empty.

        Raises:
            ValueError: what is wrong with it.
        """
        if unknown := set(days) - set(DAYS):
            raise ValueError(f"quiet_days: {sorted(unknown)[0]!r} is none of {', '.join(DAYS)}")
        if set(days) == set(DAYS):
            raise ValueError("quiet_days: every day is quiet; leave one out")
        try:
            place = ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            reason = f'quiet_zone: there is no time zone {zone!r}; write it as "Europe/Berlin"'
            raise ValueError(reason) from None
        if not hours:
            return cls(None, None, frozenset(days), place) if days else None
        found = _RANGE.fullmatch(hours)
        try:
            a, b, c, d = (int(number) for number in (found.groups() if found else ()))
            start, end = time(a, b), time(c, d)
        except ValueError:
            raise ValueError('quiet_hours: write it as "22:00-07:00"') from None
        if start == end:
            raise ValueError("quiet_hours: they begin and end at the same time")
        return cls(start, end, frozenset(days), place)

    def holds(self, now: datetime) -> bool:
        """Whether it is quiet.

        >>> night = QuietHours.parse("22:00-07:00", ("sat",), "UTC")
        >>> night.holds(datetime(2026, 11, 20, 23, tzinfo=ZoneInfo("UTC")))
        True
        """
        here = now.astimezone(self.zone)
        if DAYS[here.weekday()] in self.days:
            return True
        if self.start is None or self.end is None:
            return False
        clock = here.time().replace(tzinfo=None)
        if self.end < self.start:  # past midnight
            return clock >= self.start or clock < self.end
        return self.start <= clock < self.end

    def held(self, then: datetime, now: datetime) -> bool:
        """Whether what came then had to wait, and the quiet it waited for is over now."""
        return self.holds(then) and not self.holds(now)
