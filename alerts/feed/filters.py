"""What a list shows, as the query of its address: shareable, checked, and given back unchanged."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from schemas.finding import FAMILIES, LANES, Severity

VIEWS = {
    "open": "Open",
    "mine": "Mine",
    "monitor": "Monitor mode",
    "closed": "Closed",
    "all": "All",
}
SORTS = {"last": "Newest", "severity": "Severity", "cost": "Cost", "opened": "Opened"}
SINCE = {"1h": 1, "24h": 24, "7d": 168, "30d": 720}  # hours
MAX_TEXT = 200  # characters of a value
YEARS = range(2000, 2200)
MINUTE = "%Y-%m-%dT%H:%M"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which incidents, in which order. Every field is text as it stands in the address."""

    view: str = "open"
    severity: str = ""  # at least
    family: str = ""
    tenant: str = ""
    lane: str = ""
    entity: str = ""
    owner: str = ""
    detector: str = ""
    since: str = ""
    start: str = ""  # opened then or later, as 2026-10-10T11:00 in UTC
    until: str = ""  # and before
    q: str = ""
    sort: str = "last"

    @classmethod
    def of(cls, given: Mapping[str, str]) -> "Filter":
        """What an address asks for; what is not known there is left out.

        >>> Filter.of({"severity": "high", "sort": "nonsense", "utm": "x"}).query()
        'severity=high'
        """
        known: dict[str, Any] = {
            "view": VIEWS, "severity": set(Severity), "family": FAMILIES, "lane": LANES,
            "since": SINCE, "sort": SORTS,
        }  # fmt: skip
        found = {}
        for field in fields(cls):
            value = given.get(field.name, "").strip()[:MAX_TEXT].replace("\0", "")
            if field.name in ("start", "until"):
                moment = _minute(value)
                value = f"{moment:{MINUTE}}" if moment else ""
            if value and (field.name not in known or value in known[field.name]):
                found[field.name] = value
        return cls(**found)

    def query(self, **changes: str) -> str:
        """As the query of an address, without what is usual."""
        usual = Filter()
        wanted = replace(self, **changes)
        pairs = [(f.name, getattr(wanted, f.name)) for f in fields(self)]
        return urlencode([(n, value) for n, value in pairs if value != getattr(usual, n)])

    @property
    def narrowed(self) -> dict[str, str]:
        """What it asks for beside view and order."""
        pairs = {f.name: getattr(self, f.name) for f in fields(self)}
        return {n: value for n, value in pairs.items() if value and n not in ("view", "sort")}

    @property
    def personal(self) -> bool:
        """Whether it asks for something else for everybody who asks."""
        return self.view == "mine" or self.owner == "me"

    @property
    def rank(self) -> int:
        """The least severity, 1 to 5."""
        return Severity(self.severity).rank if self.severity else 1

    def begin(self, now: datetime) -> datetime | None:
        """Since when, if it says so."""
        return now - timedelta(hours=SINCE[self.since]) if self.since else None

    @property
    def opened(self) -> tuple[datetime | None, datetime | None]:
        """Between which instants they were opened, as far as it says so."""
        return _minute(self.start), _minute(self.until)


def _minute(text: str) -> datetime | None:
    try:
        found = datetime.strptime(text[: len("2026-10-10T11:00")], MINUTE).replace(tzinfo=UTC)
    except ValueError:
        return None
    return found if found.year in YEARS else None
