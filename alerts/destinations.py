"""Destinations of the configuration, and the sinks they become."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import StringConstraints, TypeAdapter, ValidationError

from alerts.base import RetryLater, Sink
from alerts.destination_base import Place
from alerts.destination_settings import TYPES, Destination
from alerts.incident import Incident
from alerts.incident_desk import Desk
from alerts.store_engine import Target
from schemas.finding import Finding

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
_PARSER: TypeAdapter[dict[str, Destination]] = TypeAdapter(dict[Name, Destination])


class Fault(NamedTuple):
    """One thing wrong with the configuration: where, what, and what to do."""

    loc: tuple[str | int, ...]
    reason: str
    remedy: str


class BadDestinations(ValueError):
    """The configuration of destinations cannot be used; `faults` says why."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(
            "\n".join(f"{'.'.join(map(str, f.loc))}: {f.reason}; {f.remedy}" for f in faults)
        )
        self.faults = tuple(faults)


class Destinations:
    """Every configured destination.

    Args:
        settings: the `destinations` table of the configuration.
        base: folder that relative paths start from.
    Raises:
        BadDestinations: what is wrong where, and what to do; secrets are not looked at.
    """

    def __init__(self, settings: Mapping[str, Any], base: Path = Path()) -> None:
        try:
            self.settings = _PARSER.validate_python(dict(settings))
        except ValidationError as error:
            raise BadDestinations(_faults(error)) from None
        self._base = base

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, in the order of the configuration."""
        return tuple(self.settings)

    def of_finding(self, finding: Finding) -> tuple[str, ...]:
        """The destinations that take findings and want this one."""
        return tuple(
            name
            for name, each in self.settings.items()
            if each.takes == "findings" and each.wants(finding)
        )

    def of_incident(self, incident: Incident) -> tuple[str, ...]:
        """The destinations that take incidents and want this one."""
        return tuple(
            name
            for name, each in self.settings.items()
            if each.takes == "incidents" and each.wants(incident)
        )

    def missing_secrets(self) -> list[Fault]:
        """What `tripmeter check` says about tokens that are not where they should be."""
        faults = []
        for name, settings in self.settings.items():
            if (secret := settings.secret(self._base)) is None:
                continue
            try:
                secret.read()
            except RetryLater as error:
                what, _, remedy = str(error).partition(": ")[2].rpartition("; ")
                faults.append(Fault(("destinations", name, secret.setting), what, remedy))
        return faults

    def open(self, database: Target, desk: Desk | None = None) -> list[Sink]:
        """A sink for each; nothing is sent yet, and secrets are read when they are needed.

        Args:
            database: the store (sinks keep small things there).
            desk: where people's answers go, of sinks that take any.
        """
        place = Place(self._base, database, desk)
        return [each.sink(name, place) for name, each in self.settings.items()]


def _faults(error: ValidationError) -> list[Fault]:
    faults = []
    types = ", ".join(TYPES)
    for found in error.errors(include_input=False, include_url=False):
        # pydantic puts the chosen type behind the destination's name, and [key] behind a bad name
        parts = found["loc"]
        loc = ("destinations", *parts[:1], *(p for p in parts[2:] if p != "[key]"))
        match found["type"]:
            case "union_tag_not_found" | "union_tag_invalid":
                faults.append(Fault((*loc, "type"), "is missing or unknown", f"one of: {types}"))
            case "extra_forbidden":
                faults.append(Fault(loc, "unknown setting", "correct its name or remove it"))
            case "missing":
                faults.append(Fault(loc, "is missing", "add it"))
            case "string_pattern_mismatch":
                remedy = "use lower-case letters, digits, - and _"
                faults.append(Fault(loc, "is not a usable name", remedy))
            case _:
                reason = found["msg"].removeprefix("Value error, ")
                faults.append(Fault(loc, reason, "correct the value"))
    return faults
