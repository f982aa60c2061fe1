"""What outside input can grow has an end: the store, a preview, what a destination asks for."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from alerts.network import asked_to_wait
from alerts.silences import MAX_EXAMPLES, Silences
from alerts.store import AlertStore, Kept
from alerts.store_query import Query
from schemas.finding import Entity
from schemas.records import Control
from tests.alerts_fakes import NOON, finding


def found(store: AlertStore, count: int) -> None:
    store.record(
        [finding(f"f-{n}", entity=Entity(lane="credential", id=f"k{n}")) for n in range(count)],
        now=NOON,
    )


def test_a_store_that_grows_faster_than_one_step_is_trimmed_until_it_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerts.store_trim.STEP", 10)
    monkeypatch.setattr("alerts.store.TRIM_EVERY_S", 0.02)
    store = AlertStore(tmp_path / "tripmeter.db", kept=Kept(findings=5))
    found(store, 48)
    monkeypatch.setattr(store, "_trimmed", float("-inf"))

    left = []
    for _ in range(6):
        store.tick(NOON)
        left.append(len(Query(store.engine).select(limit=100)))
        monkeypatch.setattr("alerts.store.TRIM_EVERY_S", 3600.0)

    assert [38, 28, 18, 8, 5, 5] == left
    store.close()


def test_a_preview_of_very_many_counts_all_and_names_a_few(tmp_path: Path) -> None:
    store = AlertStore(tmp_path / "tripmeter.db")
    found(store, 60)
    draft = Control(
        id="c", action="exception", tenant="acme", owner="ana", reason="r",
        effective=NOON, until=NOON.replace(year=NOON.year + 1),
    )  # fmt: skip

    preview = Silences(store.engine).preview(draft, NOON)

    assert (60, 60, {"open": 60}) == (preview.findings, preview.incidents, preview.states)
    assert MAX_EXAMPLES == len(preview.examples)
    store.close()


@pytest.mark.parametrize("asked", ["", "soon", "Sat, 21 Nov 99999999999999999999 10:00:00 GMT"])
def test_a_pause_that_cannot_be_read_is_none(asked: str) -> None:
    assert asked_to_wait(asked, datetime(2026, 11, 21, tzinfo=UTC)) is None
