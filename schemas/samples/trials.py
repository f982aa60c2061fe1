"""What a detector is tried with: scenes of its attack, and scenes that only look like it.

A scene is a function of a seed that draws its own parameters and gives the lines of some days in
order of arrival, history included. `benchmarks/catalog.py` plays every scene for many seeds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from schemas.samples.lines import Line, at, fingerprint, instant

CANARY = fingerprint("a key that was planted")
REVOKED = fingerprint("a key that was revoked")
REVOKED_MS = at(2, 12)
AUTOMATION = "automation"

Scene = Callable[..., list[bytes]]


@dataclass(frozen=True, slots=True)
class Trial:
    """The scenes of one detector.

    Attributes:
        attacks: it has to speak.
        quiet: it has to stay quiet.
        thinned: events of which one is looked at; a scene is made that much longer.
    """

    attacks: tuple[Scene, ...]
    quiet: tuple[Scene, ...]
    thinned: int = 1


def settings() -> dict[str, object]:
    """Core settings under which every scene is played."""
    revoked: Mapping[str, datetime] = {REVOKED: instant(REVOKED_MS)}
    return {
        "canaries": frozenset({CANARY}),
        "revoked": dict(revoked),
        "reconcile_usage": True,
        "support": frozenset({AUTOMATION}),
    }


def arrived(
    lines: Sequence[Line], seed: int = 0, delays: Mapping[str, int] | None = None
) -> list[bytes]:
    """The lines in order of arrival: by time, up to two seconds late, some by a stated delay.

    Args:
        delays: id of an event -> ms that it comes late.
    """
    rng = np.random.default_rng((seed, 90))
    late = np.minimum(rng.exponential(200, len(lines)), 2000)
    more = delays or {}
    when = [line.ms + more.get(line.id, 0) for line in lines]
    return [lines[i].data for i in np.argsort(np.array(when) + late, kind="stable").tolist()]
