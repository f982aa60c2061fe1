"""One span or log record of OpenTelemetry, whichever way it was written on the wire."""

from dataclasses import dataclass, field
from typing import Any

CLIENT, SERVER, INTERNAL = 3, 2, 1
ERROR = 2  # status code
MAX_ATTRIBUTES = 1024  # of one record; more are not read
MAX_VALUE_LEVELS = 24


@dataclass(slots=True)
class Resource:
    """Who sent the records: shared by all of them, compared by identity."""

    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Happening:
    """Something inside a span: its name, its time (ns) and its attributes."""

    name: str
    time_ns: int
    attributes: dict[str, Any]


@dataclass(slots=True, eq=False)
class Signal:
    """A span, or a log record that belongs to one. Times are nanoseconds since 1970, 0 unknown."""

    kind: str  # "span" or "log"
    resource: Resource
    trace_id: str = ""
    span_id: str = ""
    parent_id: str = ""
    name: str = ""  # of a log record: its event name
    role: int = 0  # CLIENT, SERVER, INTERNAL
    start_ns: int = 0
    end_ns: int = 0
    failed: bool = False
    message: str = ""  # of the status; never leaves
    attributes: dict[str, Any] = field(default_factory=dict)
    happenings: list[Happening] = field(default_factory=list)
    body: Any = None

    def first(self, names: tuple[str, ...]) -> Any:
        """The first known value among attributes of these names; empty text counts as unknown."""
        for name in names:
            value = self.attributes.get(name)
            if value is not None and value != "":
                return value
        return None

    def text(self, names: tuple[str, ...]) -> str:
        """The first value that is text, "" if there is none."""
        value = self.first(names)
        return value if isinstance(value, str) else ""
