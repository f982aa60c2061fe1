"""Whose the windows of a spec are, for what is drawn from them; nothing is judged by it."""

from typing import Any

import numpy as np

from streams.cells import Cells
from streams.columns import Columns
from streams.part import Ints, Part

SPARE = 1000  # names beyond those of open windows before the others are forgotten


class WindowTenants:
    """The tenant of each open window; of several the one with the largest fingerprint.

    That choice is arbitrary, but the same in whatever order events arrive.
    """

    def __init__(self, cells: Cells) -> None:
        self._cells = cells
        self._names: dict[int, str] = {}  # by fingerprint; at least those of open windows

    def see(self, cells: Ints, part: Part, columns: Columns) -> None:
        """Notes the tenants of events, whose windows are `cells`."""
        tenants = part.of(columns.hashes("tenant_id"))
        new = np.flatnonzero(tenants > self._cells.tenant[cells])
        if not len(new):
            return
        seen = tenants[new]
        np.maximum.at(self._cells.tenant, cells[new], seen)
        for name in set(seen.tolist()).difference(self._names):
            at = new[np.flatnonzero(seen == name)[0]]
            self._names[name] = str(columns.text("tenant_id", int(part.rows[at])))
        if len(self._names) > 2 * len(self._cells) + SPARE:
            self._names = self._open()

    def names(self, cells: Ints) -> list[str | None]:
        """The tenants of windows; None where no event named one."""
        return [self._names.get(tenant) for tenant in self._cells.tenant[cells].tolist()]

    def state(self) -> list[list[Any]]:
        """Names of the tenants of open windows; the cells hold the rest."""
        return [[tenant, name] for tenant, name in sorted(self._open().items())]

    def load(self, state: list[list[Any]]) -> None:
        """Puts back what `state` gave."""
        self._names = {int(tenant): str(name) for tenant, name in state}

    def _open(self) -> dict[int, str]:
        tenants = np.unique(self._cells.tenant[self._cells.ordered()]).tolist()
        return {tenant: self._names[tenant] for tenant in tenants if tenant in self._names}
