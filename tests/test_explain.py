"""`tripmeter explain`: what was seen, what is usual and how that is known, and derived again."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.finding import Entity, as_json
from schemas.records import Rollup
from streams.cli import main
from streams.explain_chart import Chart, chart, lines, picture
from streams.explain_recorded import derive_recorded, search
from streams.explain_story import contributions, story
from streams.output import CoreSettings
from streams.replay import Recording
from streams.store import Store
from tests.detecting import HOUR, KEY, START, call, past, raised

ENTITY = Entity(lane="credential", id=KEY)
BURST = [call(30 * HOUR + i, input_tokens=400_000, output_tokens=1000) for i in range(5)]
HABIT = past(30, calls=12, input_tokens=900, output_tokens=100)


@pytest.fixture(scope="module")
def spend() -> dict[str, Any]:
    """A key of thirty hours that suddenly spends."""
    [found] = raised([*HABIT, *BURST], "stolen-key-spend")[:1]
    return as_json(found)


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recording:
    monkeypatch.chdir(tmp_path)
    Path("a.ndjson").write_bytes(b"\n".join([*HABIT, *BURST]) + b"\n")
    return Recording("a.ndjson", lambda: None)  # type: ignore[arg-type, return-value]


def rollup(hour: int, tokens: int, entity: Entity = ENTITY) -> Rollup:
    start = START + timedelta(hours=hour)
    return Rollup(
        entity=entity,
        tenant="acme",
        start=start,
        end=start + timedelta(hours=1),
        totals={"tokens": tokens, "nanousd": 2 * 10**9},
        usual={"tokens": (10.0, 100.0)},
        cost_usd=2.0,
    )


def told(pairs: list[tuple[str, str]], heading: str) -> str:
    return next(text for name, text in pairs if name.startswith(heading))


def test_what_decided_comes_first_and_the_rest_by_how_far_it_is_beyond(
    spend: dict[str, Any],
) -> None:
    parts = contributions(spend)

    assert (True, True) == (parts[0].decided, parts[0].learned)
    beyond = [one.times for one in parts[1:]]
    assert sorted(beyond, reverse=True) == beyond
    assert "(this decided)" in parts[0].told()


def test_a_habit_says_from_how_many_windows_since_when_and_how_improbable(
    spend: dict[str, Any],
) -> None:
    pairs = story(spend, "2026-10-01 00:00")

    assert "windows of this key's own past, since 2026-10-01 00:00 or before" in told(
        pairs, "usual"
    )
    assert "times a month" in told(pairs, "probability")
    assert "tokens in the window credential/" in told(pairs, "seen")


def test_a_key_without_a_past_was_judged_by_a_fixed_limit() -> None:
    young = [call(i, input_tokens=9_000_000) for i in range(3)]
    [found] = raised(young, "stolen-key-spend")[:1]

    assert "a fixed limit, the same for every key" in told(story(as_json(found)), "usual")


def test_a_fact_is_called_a_fact() -> None:
    [found] = raised([call(1, key="hmac:00000000000000cc")], canaries={"hmac:00000000000000cc"})
    pairs = story(as_json(found))

    assert "a fact, not a guess" == told(pairs, "probability")
    assert told(pairs, "usual").startswith("nothing was compared")


def test_what_an_inspecting_detector_compares_is_shown_too(spend: dict[str, Any]) -> None:
    evidence = {"steps": 40, "usual_steps": 10, "to": 9000}
    [part] = contributions({**spend, "evidence": evidence})

    assert ("40 steps, usually 10, 4.0 times that (this decided)") == part.told()


def drawn(finding: dict[str, Any], *rollups: Rollup) -> Chart:
    made = chart(finding, rollups)
    assert made is not None
    return made


def test_the_chart_shows_the_entitys_own_windows_and_marks_the_break(spend: dict[str, Any]) -> None:
    other = rollup(1, 7, Entity(lane="credential", id="hmac:other"))
    text = lines(drawn(spend, rollup(2, 50), other, rollup(1, 40)))

    assert ["10-01 01:00", "10-01 02:00"] == [line[:11] for line in text[1:3]]
    assert text[-1].endswith("< here")
    assert [text[-1]] == [line for line in text if "< here" in line]
    assert text[1].count("#") < text[-1].count("#")


def test_windows_after_the_decision_are_not_drawn(spend: dict[str, Any]) -> None:
    points = drawn(spend, rollup(1, 40), rollup(200, 60)).points

    assert datetime.fromisoformat(spend["time"]) >= points[-1].start


def test_without_windows_there_is_no_chart(spend: dict[str, Any]) -> None:
    assert chart(spend, []) is None


@pytest.mark.parametrize("tokens", [0, 5_000])
def test_the_picture_is_a_png(spend: dict[str, Any], tokens: int) -> None:
    data = picture(drawn(spend, rollup(1, tokens), rollup(2, tokens)))

    assert data.startswith(b"\x89PNG\r\n")


def test_a_recording_gives_the_same_finding_and_its_habit(
    spend: dict[str, Any], recording: Recording
) -> None:
    derivation, rolled = derive_recorded([recording], spend, CoreSettings())

    assert (True, "gave the same finding" in derivation.told) == (derivation.same, True)
    assert {KEY} == {one.entity.id for one in rolled}


def test_another_recording_or_budget_does_not_and_that_is_said(
    spend: dict[str, Any], recording: Recording
) -> None:
    Path("a.ndjson").write_bytes(b"\n".join(HABIT) + b"\n")
    derivation, _ = derive_recorded([recording], spend, CoreSettings(alert_budget=0.01))

    assert derivation.same is False
    assert "did not give it; it was made by settings" in derivation.told


def test_a_finding_is_found_in_a_recording_by_the_beginning_of_its_id(
    spend: dict[str, Any], recording: Recording
) -> None:
    assert [1, 2] == [r["revision"] for r in search([recording], spend["id"][:8], CoreSettings())]
    assert [] == search([recording], "", CoreSettings())


def test_the_command_explains_from_a_recording_alone(
    spend: dict[str, Any], recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == main(["explain", spend["id"], "--recording", "a.ndjson", "--json"])
    [said] = map(json.loads, capsys.readouterr().out.splitlines())

    assert True is said["derivation"]["same"]
    assert "this decided" in said["features"][0]


def test_the_command_draws_what_the_store_knows(
    spend: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from schemas.finding import Finding

    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path)
    store.record([Finding.model_validate(spend)], [rollup(hour, 900) for hour in range(20, 26)])
    store.close()
    plot = tmp_path / "a.png"

    words = ["explain", spend["id"], "--data", str(tmp_path), "--no-replay"]
    assert 0 == main([*words, "--plot", str(plot)])
    out = capsys.readouterr().out
    assert "< here" in out
    assert "since 2026-10-01 20:00 or before" in out
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_a_picture_of_nothing_is_refused(
    spend: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from schemas.finding import Finding

    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path)
    store.record([Finding.model_validate(spend)])
    store.close()

    words = ["explain", spend["id"], "--data", str(tmp_path), "--no-replay", "--plot", "a.png"]
    assert 2 == main(words)
    assert "nothing to draw" in capsys.readouterr().err
