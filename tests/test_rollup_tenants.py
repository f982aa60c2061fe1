"""A rollup says whose key it is, however the stream is cut, and after a restart."""

import numpy as np

from schemas.records import Rollup
from streams.pipeline import Pipeline
from streams.window_tenants import SPARE, WindowTenants
from tests.detecting import HOUR, KEY, call

OTHER = "hmac:00000000000000bb"
HOURS = 9


def lines() -> list[bytes]:
    """Busy hours of two keys; one of them serves two tenants in its later hours."""
    return [
        call(hour * HOUR + minute * 60, key=key, tenant=tenant, id=f"{hour}/{minute}/{key}")
        for hour in range(HOURS)
        for minute in range(0, 60, 5)
        for key, tenant in (
            (KEY, "acme"),
            (OTHER, "globex" if hour < 6 or minute % 10 else "initech"),
        )
    ]


def rolled(size: int, *, restart: bool = False) -> list[Rollup]:
    pipeline, found = Pipeline(), []
    all_of = lines()
    for at in range(0, len(all_of), size):
        found += pipeline.process(b"\n".join(all_of[at : at + size])).rollups
        if restart:
            pipeline = Pipeline.restore(pipeline.snapshot())
    return found


def test_a_rollup_names_the_tenant_of_its_key_and_no_cut_or_restart_changes_it() -> None:
    whole = rolled(1000)

    named = {(each.entity.id, each.tenant) for each in whole}
    assert {(KEY, "acme"), (OTHER, "globex"), (OTHER, "initech")} >= named > {(KEY, "acme")}
    assert whole == rolled(7) == rolled(1)
    assert whole == rolled(97, restart=True)


def test_a_key_without_a_tenant_has_rollups_without_one() -> None:
    calls = [
        call(hour * HOUR + minute * 60, tenant=None) for hour in range(9) for minute in range(15)
    ]

    assert {None} == {each.tenant for each in Pipeline().process(b"\n".join(calls)).rollups}


def test_names_of_tenants_whose_windows_are_closed_are_forgotten() -> None:
    class Cells:
        tenant = np.zeros(1, np.uint64)

        def __len__(self) -> int:
            return 1

        def ordered(self) -> object:
            return np.array([0])

    class Part:
        rows = np.array([0])

        def of(self, column: object) -> object:
            return column

    class Columns:
        number = 0

        def hashes(self, _: str) -> object:
            return np.array([self.number], np.uint64)

        def text(self, _: str, row: int) -> str:
            return f"tenant-{self.number}"

    tenants, columns = WindowTenants(Cells()), Columns()  # type: ignore[arg-type]
    for columns.number in range(1, 3 * SPARE):
        Cells.tenant[0] = 0
        tenants.see(np.array([0]), Part(), columns)  # type: ignore[arg-type]
        assert 2 + SPARE >= len(tenants._names)
    assert [f"tenant-{3 * SPARE - 1}"] == tenants.names(np.array([0]))
