"""Destinations of the configuration, and the sinks they become."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NamedTuple

from annotated_types import MaxLen
from pydantic import StringConstraints, TypeAdapter, ValidationError

from alerts.base import RetryLater, Sink
from alerts.destination_base import Place
from alerts.destination_settings import TYPES, Destination
from alerts.incident import Incident
from alerts.incident_desk import Desk
from alerts.routes import MAX_ROUTES, Decision, Reading, Route, Subject, decide, leftovers, read
from alerts.store_engine import Target
from schemas.finding import Finding

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
_PARSER: TypeAdapter[dict[str, Destination]] = TypeAdapter(dict[Name, Destination])
_ROUTES = TypeAdapter(Annotated[tuple[Route, ...], MaxLen(MAX_ROUTES)])


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
    """Every configured destination, and the routes to them.

    Args:
        settings: the `destinations` table of the configuration.
        base: folder that relative paths start from.
        routes: the `routes` of the configuration.
        others: names that routes may use although they are not in this table.
    Raises:
        BadDestinations: what is wrong where, and what to do; secrets are not looked at.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        base: Path = Path(),
        routes: Sequence[Mapping[str, Any]] = (),
        others: Collection[str] = (),
    ) -> None:
        faults: list[Fault] = []
        try:
            self.settings = _PARSER.validate_python(dict(settings))
        except ValidationError as error:
            faults += _faults(error)
        try:
            self.routes = _ROUTES.validate_python(list(routes))
            faults += _unknown(self.routes, {*settings, *others})
        except ValidationError as error:
            faults += _route_faults(error)
        if faults:
            raise BadDestinations(faults)
        self._base = base

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, in the order of the configuration."""
        return tuple(self.settings)

    def of_finding(self, finding: Finding) -> tuple[str, ...]:
        """The destinations that take findings and are to be told of this one."""
        return tuple(each.destination for each in self.decide(finding) if each.told)

    def of_incident(self, incident: Incident) -> tuple[str, ...]:
        """The destinations that take incidents and are to be told of this one."""
        return tuple(each.destination for each in self.decide(incident) if each.told)

    def decide(self, subject: Subject) -> list[Decision]:
        """Whether each destination is told, and why."""
        return list(decide(self.routes, self.settings, subject))

    def read(self, subject: Subject) -> list[Reading]:
        """The routes that were looked at, and what became of each."""
        return read(self.routes, subject)

    @property
    def leftovers(self) -> bool:
        """Whether some findings are told to nobody."""
        return leftovers(self.routes, self.names)

    def missing_secrets(self) -> list[Fault]:
        """What `tripmeter check` says about tokens that are not where they should be."""
        faults = []
        every = [
            (n, secret) for n, each in self.settings.items() for secret in each.secrets(self._base)
        ]
        for name, secret in every:
            try:
                secret.read()
            except RetryLater as error:
                what, _, remedy = str(error).partition(": ")[2].rpartition("; ")
                faults.append(Fault(("destinations", name, secret.setting), what, remedy))
        return faults

    def probe(self) -> Iterator[tuple[str, bool, str]]:
        """Talks to each destination without telling it anything: name, whether it works, why."""
        with TemporaryDirectory() as folder:  # sinks remember nothing of this
            for sink in self.open(Path(folder) / "probe.db"):
                yield sink.name, *_probed(sink)

    def open(self, database: Target, desk: Desk | None = None) -> list[Sink]:
        """A sink for each; nothing is sent yet, and secrets are read when they are needed.

        Args:
            database: the store (sinks keep small things there).
            desk: where people's answers go, of sinks that take any.
        """
        place = Place(self._base, database, desk)
        return [each.sink(name, place) for name, each in self.settings.items()]


def _probed(sink: Sink) -> tuple[bool, str]:
    look = getattr(sink, "probe", None)
    if look is None:
        return True, "cannot be asked without telling it something; see `tripmeter alert test`"
    try:
        return True, str(look())
    except RetryLater as error:
        return False, str(error)
    except Exception as error:  # of a library; its text may hold content
        return False, f"unexpected {type(error).__name__}"
    finally:
        sink.close()


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


def _unknown(routes: Sequence[Route], names: Collection[str]) -> Iterator[Fault]:
    for number, route in enumerate(routes):
        for name in route.to:
            if name not in names:
                known = ", ".join(sorted(names)) or "none"
                reason = f"there is no destination {name!r}"
                yield Fault(("routes", number, "to"), reason, f"configured: {known}")


def _route_faults(error: ValidationError) -> list[Fault]:
    faults = []
    known = ", ".join(Route.model_fields)
    for found in error.errors(include_input=False, include_url=False):
        loc = ("routes", *found["loc"])
        match found["type"]:
            case "extra_forbidden":
                faults.append(Fault(loc, "unknown setting", f"known here: {known}"))
            case "missing":
                faults.append(Fault(loc, "is missing", "add it"))
            case _:
                faults.append(Fault(loc, found["msg"], "correct the value"))
    return faults
