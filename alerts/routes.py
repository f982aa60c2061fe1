"""Who is told of what: routes from the top, then what each destination says for itself.

A route names destinations and what they get. A destination that some route names gets only what a
matching route sends it; one that no route names gets everything. So a new route never takes
anything away from a destination that it does not name. Then each destination's own `min_severity`
and `monitor` decide.
"""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any, NamedTuple

from annotated_types import MaxLen, MinLen
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from alerts.destination_base import DestinationSettings, Line
from alerts.incident import Incident
from schemas.finding import Family, Finding, Lane, Severity

MAX_ROUTES = 1000

Subject = Finding | Incident


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Patterns = Annotated[tuple[Line, ...], BeforeValidator(_several), MaxLen(100)]


class Route(BaseModel):
    """What some destinations get. All conditions have to hold; one left out always does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Line | None = Field(default=None, description="shown by `tripmeter route explain`")
    to: Annotated[tuple[Line, ...], BeforeValidator(_several), MinLen(1)] = Field(
        description="names of destinations"
    )
    min_severity: Severity | None = Field(default=None, description="at least so severe")
    severity: Annotated[tuple[Severity, ...], BeforeValidator(_several)] = Field(
        default=(), description="one of these severities"
    )
    family: Annotated[tuple[Family, ...], BeforeValidator(_several)] = Field(
        default=(), description="one of these families"
    )
    lane: Annotated[tuple[Lane, ...], BeforeValidator(_several)] = Field(
        default=(), description="about an entity of one of these lanes"
    )
    tenant: Patterns = Field(default=(), description='one of these tenants; "acme-*" is a pattern')
    detector: Patterns = Field(default=(), description="from one of these detectors; or patterns")
    stop: bool = Field(default=False, description="when it matches, routes below are not looked at")

    def differs(self, subject: Subject) -> str | None:
        """The first condition that does not hold; None when the route matches."""
        severity, tenant = subject.severity, subject.tenant
        if self.min_severity is not None and severity.rank < self.min_severity.rank:
            return f"severity {severity} is below {self.min_severity}"
        if self.severity and severity not in self.severity:
            return f"severity {severity} is not {' or '.join(self.severity)}"
        if self.family and subject.family not in self.family:
            return f"family {subject.family} is not {' or '.join(self.family)}"
        if self.lane and subject.entity.lane not in self.lane:
            return f"lane {subject.entity.lane} is not {' or '.join(self.lane)}"
        if self.tenant and not (tenant is not None and _like(tenant, self.tenant)):
            return f"tenant {tenant or 'unknown'} is not {' or '.join(self.tenant)}"
        if self.detector and not any(_like(name, self.detector) for name in detectors_of(subject)):
            return (
                f"detector {', '.join(detectors_of(subject))} is not {' or '.join(self.detector)}"
            )
        return None


class Reading(NamedTuple):
    """What became of one route: its title, and why it does not match (None: it does)."""

    title: str
    differs: str | None


class Decision(NamedTuple):
    """Whether one destination is told, and why."""

    destination: str
    told: bool
    why: str


def read(routes: Sequence[Route], subject: Subject) -> list[Reading]:
    """The routes that were looked at, in order."""
    readings = []
    for number, route in enumerate(routes, 1):
        reading = Reading(title(route, number), route.differs(subject))
        readings.append(reading)
        if reading.differs is None and route.stop:
            break
    return readings


def decide(
    routes: Sequence[Route], settings: Mapping[str, DestinationSettings], subject: Subject
) -> Iterator[Decision]:
    """One decision for each destination, in the order of the configuration."""
    named = {name for route in routes for name in route.to}
    readings = read(routes, subject)
    sent: dict[str, str] = {}
    for reading, route in zip(readings, routes, strict=False):
        if reading.differs is None:
            for name in route.to:
                sent.setdefault(name, reading.title)
    takes = "findings" if isinstance(subject, Finding) else "incidents"
    for name, each in settings.items():
        if each.takes != takes:
            yield Decision(name, False, f"takes {each.takes}, not {takes}")
        elif name in named and name not in sent:
            yield Decision(name, False, "no route that matches names it")
        elif (refusal := each.refusal(subject)) is not None:
            yield Decision(name, False, refusal)
        else:
            yield Decision(name, True, sent.get(name, "no route names it, so it gets everything"))


def leftovers(routes: Sequence[Route], names: Sequence[str]) -> bool:
    """Whether there is something that nobody is told of: every destination waits for a route, and
    no route takes everything."""
    named = {name for route in routes for name in route.to}
    catch_all = any(not route.model_fields_set - {"name", "to", "stop"} for route in routes)
    return bool(routes) and set(names) <= named and not catch_all


def title(route: Route, number: int) -> str:
    """How a route is called."""
    return f"route {number} ({route.name})" if route.name else f"route {number}"


def detectors_of(subject: Subject) -> tuple[str, ...]:
    """The detectors behind it."""
    return (subject.detector,) if isinstance(subject, Finding) else subject.detectors


def _like(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
