"""The demo ends with the feed: in a browser where there is one, else with the command for it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from alerts.store import AlertStore
from schemas.finding import Entity
from streams.demo_folder import DemoFolder, has_browser
from streams.feed import CLOCK_FILE, beginning, clock
from streams.output import Output
from streams.store import Findings
from tests.alerts_fakes import NOON, finding
from tests.feed_kit import heartbeat


def test_without_a_terminal_the_command_is_printed_and_all_is_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = DemoFolder(tmp_path / "demo")
    folder.keep(Output(heartbeats=[heartbeat("canonical", NOON)]), NOON.timestamp())
    folder.keep(Output(findings=[finding("a")]), NOON.timestamp() + 60)

    assert 0 == folder.show()
    assert f"feed --link admin --data {tmp_path / 'demo'}" in capsys.readouterr().out
    kept = Findings(tmp_path / "demo")
    assert (1, 1) == (len(kept.incidents()), len(kept.heartbeats()))
    assert NOON.replace(minute=1) == kept.incidents()[0].opened
    assert NOON.date() == clock(tmp_path / "demo")().date()


def test_a_demos_feed_begins_with_its_dearest_story_and_no_other_feed_does(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path)
    dear = finding("dear", cost_usd=9.0, entity=Entity(lane="credential", id="hmac:2"))
    folder.keep(Output(findings=[finding("cheap", cost_usd=1.0), dear]), NOON.timestamp())
    folder.show()
    store = AlertStore(tmp_path / "tripmeter.db")
    [id] = [i.id for i in Findings(tmp_path).incidents() if i.entity.id == "hmac:2"]

    assert f"/?open={id}" == beginning(tmp_path, store)
    (tmp_path / CLOCK_FILE).unlink()
    assert "" == beginning(tmp_path, store)
    store.close()


def test_another_demo_takes_the_place_of_the_first(tmp_path: Path) -> None:
    for id in ("a", "b"):
        folder = DemoFolder(tmp_path)
        folder.keep(Output(findings=[finding(id)]), NOON.timestamp())
        folder.show()

    assert ["b"] == [part.id for part in Findings(tmp_path).incidents()[0].findings]


def test_a_folder_with_something_else_in_it_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tripmeter.db").write_text("mine")

    assert 0 == DemoFolder(tmp_path).show()
    assert "mine" == (tmp_path / "tripmeter.db").read_text()
    assert "choose another --data" in capsys.readouterr().out


def test_a_folder_without_a_demo_has_the_clock_of_the_wall(tmp_path: Path) -> None:
    (tmp_path / CLOCK_FILE).write_text("nonsense")

    assert abs((clock(tmp_path)() - datetime.now(UTC)).total_seconds()) < 5


def test_without_a_display_there_is_no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)

    assert not has_browser()
