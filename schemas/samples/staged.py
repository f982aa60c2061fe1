"""One thing staged in the sample traffic: an attack, or a look-alike that must stay quiet."""

from dataclasses import dataclass
from datetime import datetime

from schemas.finding import Entity, Family, Lane
from schemas.records import Control
from schemas.samples.lines import Line, instant


@dataclass(frozen=True, slots=True)
class Staged:
    """What was staged, where to look for it, and its events.

    Attributes:
        kind: its name, such as "stolen-key-burst".
        attack: False for a look-alike.
        entities: what a finding about it may name, the most telling first.
        detectors: ids of those made for it; for a look-alike, of those it tempts.
        lines: its events. A look-alike that is a habit of a client has none of its own.
        controls: what an operator decided beforehand, such as an exception.
    """

    kind: str
    family: Family
    attack: bool
    entities: tuple[Entity, ...]
    detectors: tuple[str, ...]
    start_ms: int
    end_ms: int
    lines: tuple[Line, ...] = ()
    controls: tuple[Control, ...] = ()

    @property
    def start(self) -> datetime:
        """When its first event ended."""
        return instant(self.start_ms)

    @property
    def end(self) -> datetime:
        """When its last event ended."""
        return instant(self.end_ms)


def stage(
    kind: str,
    family: Family,
    attack: bool,
    lines: list[Line],
    entities: tuple[Entity, ...],
    detectors: tuple[str, ...],
    controls: tuple[Control, ...] = (),
) -> Staged:
    """Something that is made of its own events."""
    lines = sorted(lines)
    first, last = lines[0].ms, max(line.ms for line in lines)
    return Staged(kind, family, attack, entities, detectors, first, last, tuple(lines), controls)


def entity(lane: Lane, name: str) -> Entity:
    """`Entity(lane=lane, id=name)`, shorter."""
    return Entity(lane=lane, id=name)
