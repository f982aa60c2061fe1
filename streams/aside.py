"""Judges lines among which one makes a detector fail: finds it, sets it aside, and goes on.

The lines are halved until the one to blame is alone; before each attempt the core is put back to
where it stood, so nothing of a failed attempt remains and all other lines are judged as ever. A
detector that fails again and again is not asked any more, for no line is to blame then.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from detectors.base import Detector

MUTED_AFTER = 20  # events set aside for one detector; from then on it is not asked
MAX_SET_ASIDE = 1000  # events for which no detector is to blame; more means that the core is broken


class Core(Protocol):
    """What judging needs of a pipeline."""

    position: int

    @property
    def stats(self) -> Any:
        """Counts of what became of every line."""

    def process(self, block: bytes) -> Any:
        """Judges lines."""

    def snapshot(self) -> bytes:
        """Everything it remembers."""

    def mute(self, detector: str) -> None:
        """Asks a detector no more."""


class OutOfStep(RuntimeError):
    """The pipeline counted other lines than the journal has; going on could lose or repeat some."""


class TooManyFail(RuntimeError):
    """Judging fails for too many events, and no detector is to blame."""


@dataclass(frozen=True, slots=True)
class Aside:
    """A line that could not be judged.

    Attributes:
        error: the kind of the error; its text may hold data.
        detector: the one that failed, if it was one.
    """

    position: int
    line: bytes
    error: str
    detector: str | None


@dataclass(frozen=True, slots=True)
class Muted:
    """A detector that is not asked any more, from an event on."""

    position: int
    detector: str
    error: str


Step = tuple[Core, Any | Aside | Muted]


class Blame:
    """What failed since the process began.

    Args:
        again: the core of the newest snapshot that loads, or a new one.
        restore: the core of a snapshot.

    Attributes:
        suspect: position of the block that failed, until it is judged.
    """

    def __init__(self, again: Callable[[], Core], restore: Callable[[bytes], Core]) -> None:
        self.suspect: int | None = None
        self._again = again
        self._restore = restore
        self._aside: set[int] = set()
        self._times: Counter[str | None] = Counter()
        self._muted: list[str] = []

    def newest(self) -> Core:
        """The core to judge with from the newest snapshot on."""
        return self._quiet(self._again())

    def _quiet(self, core: Core) -> Core:
        for name in self._muted:
            core.mute(name)
        return core

    def passed_over(self, position: int) -> bool:
        """Whether a line was set aside before."""
        return position in self._aside

    def room(self, position: int, usual: int) -> int:
        """How many lines to judge at once: up to the next that is suspected or was set aside."""
        ahead = [at for at in (*self._aside, self.suspect) if at is not None and at > position]
        return min([usual, *(at - position for at in ahead)])

    def judge(self, core: Core, lines: list[bytes]) -> Iterator[Step]:
        """Judges lines; what came of each part of them, in order, with the core behind it.

        Raises:
            TooManyFail: it cannot be the events.
        """
        kept, waiting = core.snapshot(), [lines]
        while waiting:
            some = waiting.pop()
            begun = core.position
            try:
                output = core.process(b"\n".join(some) + b"\n")
            except Exception as error:
                core = self._quiet(self._restore(kept))
                if len(some) > 1:
                    half = len(some) // 2
                    waiting += [some[half:], some[:half]]
                    continue
                found = self._blame(begun, some[0], error)
                if isinstance(found, Muted):
                    core.mute(found.detector)
                    waiting.append(some)
                else:
                    core.position += 1
                    kept = core.snapshot()
                yield core, found
            else:
                if core.position != begun + len(some):
                    raise OutOfStep(f"{core.position} instead of {begun + len(some)}")
                kept = core.snapshot() if waiting else b""
                yield core, output

    def _blame(self, position: int, line: bytes, error: Exception) -> Aside | Muted:
        name, kind = guilty(error), type(error).__name__
        self._times[name] += 1
        if name is None:
            if self._times[None] > MAX_SET_ASIDE:
                raise TooManyFail(f"judging failed for {MAX_SET_ASIDE} events") from error
        elif self._times[name] > MUTED_AFTER and name not in self._muted:
            self._muted.append(name)
            return Muted(position, name, kind)
        self._aside.add(position)
        return Aside(position, line, kind, name)


def guilty(error: BaseException) -> str | None:
    """The detector in which an error arose, if it was in one."""
    name, trace = None, error.__traceback__
    while trace is not None:
        told = trace.tb_frame.f_locals
        for one in (told.get("detector"), told.get("self")):
            if isinstance(one, Detector):
                name = one.about.id
        trace = trace.tb_next
    return name


def where(error: BaseException) -> str:
    """Kind and place of an error, without its text, which may hold data."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
    return f"{type(error).__name__} at {place}"
