"""Small windows for doctests and tests of detectors."""

from types import SimpleNamespace

from detectors.base import Window
from detectors.features import WINDOWS, WindowSpec
from schemas.finding import Entity


def window(tripped: str = "", **totals: int) -> Window:
    """A window with these totals, of the first spec that has all of their features.

    >>> window(new_models=3).spec
    'credential/1h'
    """
    spec = _spec(set(totals))
    return Window(
        spec=spec.name,
        entity=Entity(lane=spec.lane, id="hmac:0123456789abcdef"),
        start_ms=0,
        width_ms=spec.width_ms,
        first_ms=0,
        totals={name: totals.get(name, 0) for name in spec.index},
        tripped=tripped or next(iter(totals)),
        usual={},
        windows=100,
        event=SimpleNamespace(),
        final=False,
    )


def _spec(features: set[str]) -> WindowSpec:
    return next(spec for spec in WINDOWS if features <= spec.index.keys())
