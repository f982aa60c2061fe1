"""What every adapter takes and gives: a context in; events, rejections and a count out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from schemas.prices import PriceTable

MAX_BODY_BYTES = 64 * 1024 * 1024  # one body, after decompression
MAX_REASON = 200  # characters
MAX_REJECTIONS = 1_000  # of one body, told one by one; the others many at a time
MAX_PART_BYTES = 1024 * 1024  # of originals that share one rejection
MAX_REST_BYTES = 16 * 1024 * 1024  # of originals beyond the first; further ones are only counted
NOT_READ = "too many records in one body; the rest of it is not read"
MAX_RESOURCE_BYTES = 16 * 1024  # of a resource that is kept beside each refused record of it
MAX_SHOWN = 4096  # bytes kept of the first record that is only counted
FURTHER = "further records that are no events"
NO_ROOM = "further records that are no events, too many to keep"


@dataclass(frozen=True, slots=True)
class Rejected:
    """One record that is no event. `raw` may hold content: keep it encrypted or not at all."""

    field: str  # wire or source name of the offending field; "" when the record cannot be read
    reason: str  # never holds a value
    raw: bytes
    index: int  # position of the record in its body, from 0
    count: int = 1  # records it stands for; more than one only beyond the first of a body


class Rejections:
    """The rejections of one body: the first ones each, the others many at a time.

    Args:
        joint: what stands between originals that share one rejection, so that their format can
            read them again.
    """

    def __init__(self, joint: bytes = b"\n") -> None:
        self._joint = joint
        self._kept: list[Rejected] = []
        self._unread: list[Rejected] = []  # says that the end of the body was not read
        self._parts: list[_Part] = []
        self._room = MAX_REST_BYTES
        self._lost: _Part | None = None

    @property
    def full(self) -> bool:
        """Whether further ones share their reason, so that none need be found."""
        return len(self._kept) >= MAX_REJECTIONS

    @property
    def closed(self) -> bool:
        """Whether further ones are only counted, so that their bytes need not be found."""
        return self._lost is not None

    def add(self, field: str, reason: str, raw: bytes, index: int) -> None:
        """Keeps one rejection, or counts it."""
        if reason == NOT_READ:
            self._unread.append(Rejected(field, reason, raw, index))
        elif not self.full:
            self._kept.append(Rejected(field, reason, raw, index))
        elif self._lost is not None:
            self._lost.count += 1
        elif len(raw) > self._room:
            self._lost = _Part(index, bytearray(raw[:MAX_SHOWN]))
        else:
            self._room -= len(raw) + len(self._joint)
            if not self._parts or len(self._parts[-1].raw) + len(raw) >= MAX_PART_BYTES:
                self._parts.append(_Part(index, bytearray(raw)))
            else:
                self._parts[-1].take(self._joint + raw)

    def all(self) -> list[Rejected]:
        """In the order of their records; those that stand for many come last."""
        kept = sorted(self._kept, key=lambda one: one.index)
        rest = [part.rejected(FURTHER) for part in self._parts]
        lost = [] if self._lost is None else [self._lost.rejected(NO_ROOM)]
        return [*kept, *rest, *lost, *self._unread]


@dataclass(slots=True)
class _Part:
    index: int
    raw: bytearray
    count: int = 1

    def take(self, more: bytes) -> None:
        self.raw += more
        self.count += 1

    def rejected(self, what: str) -> Rejected:
        return Rejected("", f"{self.count} {what}", bytes(self.raw), self.index, self.count)


@dataclass(frozen=True, slots=True)
class Adapted:
    """What became of one body: every record is an event, a rejection, or ignored.

    `events` are canonical lines without newline. `ignored` counts records that are not about model
    or tool calls, and records that told of a call another record of the same body already tells.
    """

    events: list[bytes]
    rejections: list[Rejected]
    ignored: int


@dataclass(frozen=True)
class Context:
    """What an adapter may know beside the bytes.

    Attributes:
        pepper: secret of the fingerprints, see `schemas.identity.Pepper`.
        observed: when the bytes arrived; stamps events and refuses those far ahead. None for files.
        source: name of the sender, for canonical events that name no source themselves.
        trusted_proxies: networks (CIDR) whose `X-Forwarded-For` is believed.
        side_effects: what the operator knows of tools: name -> whether a call changes something.
        resource_arguments: names of tool arguments that name a resource; fingerprints become
            `resource.id`.
        tenant_attributes: further OTLP attributes that name the tenant, tried first.
        prices: estimates costs that sources do not report; None for the built-in list prices.
        controls: whether control records pass; only for files that the operator replays.
    """

    pepper: bytes
    observed: datetime | None = None
    source: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    side_effects: Mapping[str, bool] = field(default_factory=dict)
    resource_arguments: frozenset[str] = frozenset()
    tenant_attributes: tuple[str, ...] = ()
    prices: PriceTable | None = None
    controls: bool = False


class Refused(ValueError):
    """A record is no event: which field, and why, without the value."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason[:MAX_REASON]


Adapter = Callable[[bytes, Context], Adapted]
