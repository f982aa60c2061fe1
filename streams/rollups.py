"""What the feed and the reports draw: closed windows of keys that were active."""

from math import expm1

from detectors.base import NANO, moment
from schemas.finding import Entity
from schemas.records import Rollup
from streams.part import Ints
from streams.window_tenants import WindowTenants
from streams.windows import Windows

MOST_LOG = 40.0  # of what is usual at most
ROLLUP_CALLS = 10  # model calls in a window that make a rollup worth keeping


def rollups(windows: Windows, cells: Ints, tenants: WindowTenants) -> list[Rollup]:
    """One record for each closing window of a promoted key that was active."""
    rows, spec = windows.cells, windows.spec
    promoted = windows.habits.row[rows.key[cells]] >= 0
    cells = cells[promoted & (rows.total[cells, spec.index["calls"]] >= ROLLUP_CALLS)]
    features = list(spec.index)
    tails, _, _, _ = windows.habits.pinned(rows.key[cells], rows.window[cells])
    found = []
    for name, tenant, end, totals, tail in zip(
        windows.keys.names(rows.key[cells]),
        tenants.names(cells),
        rows.end_ms[cells].tolist(),
        rows.total[cells].tolist(),
        tails.tolist(),
        strict=True,
    ):
        named = dict(zip(features, totals, strict=True))
        usual = {
            feature: (round(one[0], 3), round(expm1(min(one[1], MOST_LOG)), 3))
            for feature, one in zip(spec.learned, tail, strict=True)
        }
        found.append(
            Rollup.model_construct(
                entity=Entity(lane=spec.lane, id=name),
                tenant=tenant,
                start=moment(end - spec.width_ms),
                end=moment(end),
                totals=named,
                usual=usual,
                cost_usd=named["nanousd"] / NANO,
            )
        )
    return found
