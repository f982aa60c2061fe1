"""`tripmeter backtest`: what each budget would have raised, and what the history cannot tell."""

import json
import re
from pathlib import Path

import pytest

from schemas.testing import event
from streams.backtest import COLUMNS, Backtest, tabulate
from streams.backtest_census import Census
from streams.backtest_html import page
from streams.backtest_levels import COLUMNS as LEVEL_COLUMNS
from streams.backtest_levels import Leveling
from streams.backtest_short import too_short
from streams.cli import main
from tests.detecting import HOUR, KEY, START, call, past
from tests.test_explain import rollup

ROW = dict.fromkeys(COLUMNS)


def probe(second: int, model: str) -> bytes:
    return call(second, model=model, status="error", http_status=403)


ATTACK = [*past(8), *(probe(9 * HOUR + i, f"model-{i % 3}") for i in range(4))]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    assert 0 == main(["backtest", "--json", *arguments])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def write(lines: list[bytes]) -> str:
    Path("a.ndjson").write_bytes(b"\n".join(lines) + b"\n")
    return "a.ndjson"


def census(*days: tuple[str, int]) -> Census:
    """One call a day and key, on so many days."""
    counted = Census()
    for key, count in days:
        for day in range(count):
            counted.add(call(day * 24 * HOUR, key=key))
    return counted


def found(minutes: float, entity: str = KEY, **fields: object) -> tuple[object, ...]:
    import pandas as pd

    row = ROW | {
        "budget": 1.0,
        "time": pd.Timestamp(START) + pd.Timedelta(minutes=minutes),
        "detector": "new-origin",
        "family": "llmjacking",
        "mode": "active",
        "severity": "high",
        "lane": "credential",
        "entity": entity,
        "tenant": "acme",
        "cost_usd": 2.0,
    }
    return tuple((row | fields).values())


def tables(*alerts: tuple[object, ...]) -> Backtest:
    return tabulate(alerts, [1.0], census((KEY, 16)))


def test_each_budget_tells_what_it_would_have_raised(capsys: pytest.CaptureFixture[str]) -> None:
    told = rows(capsys, write(ATTACK), "--budgets", "1", "0.3")

    assert [(0.3, 1), (1.0, 1)] == [
        (r["budget"], r["alerts"]) for r in told if r["row"] == "budget"
    ]
    detectors = {(r["budget"], r["detector"]): r["alerts"] for r in told if r["row"] == "detector"}
    assert 1 == detectors[0.3, "key-probe"] == detectors[1.0, "key-probe"]
    assert [KEY, KEY] == [r["entity"] for r in told if r["row"] == "worst"]


def test_a_calm_history_raises_nothing_under_any_budget(capsys: pytest.CaptureFixture[str]) -> None:
    told = rows(capsys, write(past(8)), "--budgets", "0.3", "3")

    assert [0, 0] == [r["alerts"] for r in told if r["row"] == "budget"]
    assert [] == [r for r in told if r["row"] in ("detector", "worst")]


def test_alerts_of_one_entity_within_an_hour_are_one_and_within_six_one_incident() -> None:
    [told] = tables(*(found(minutes) for minutes in (0, 20, 59, 61, 300, 800))).budgets.to_dict(
        "records"
    )

    assert (6, 4, 2) == (told["findings"], told["alerts"], told["incidents"])


def test_what_does_not_page_is_no_alert() -> None:
    result = tables(found(0, family="health"), found(100, mode="monitor"))
    [told] = result.budgets.to_dict("records")

    assert (0, 1) == (told["alerts"], told["notes_on_health"])
    assert 2 == len(result.detectors)


def test_alerts_are_counted_by_month_of_each_key_since_its_first_call() -> None:
    counted = census((KEY, 16), ("hmac:00000000000000bb", 31))
    [told] = tabulate([found(0)], [1.0], counted).budgets.to_dict("records")

    assert pytest.approx(2.0) == counted.key_months()
    assert (0.5, 31) == (told["per_key_month"], told["days"])
    assert told["low"] < 0.5 < told["high"]


def test_days_without_an_alert_are_quiet() -> None:
    result = tables(found(0), found(90), found(3 * 24 * 60))

    assert [14] == result.budgets["quiet_days"].tolist()
    assert [2, 0, 0, 1] == result.days[1.0].tolist()[:4]


def test_it_says_what_a_history_is_too_short_for() -> None:
    told = " ".join(too_short(census((KEY, 2)), [0.3]))

    assert "1 of 1 keys were active in fewer than" in told
    assert "It covers 1.0 days" in told
    assert "At a budget of 0.3" in told
    assert ["There is no model call"] == [one[:22] for one in too_short(Census(), [1.0])]


def test_a_long_history_of_many_keys_is_not_too_short() -> None:
    busy = [f"hmac:{number:016x}" for number in range(25)]
    counted = Census()
    for day in range(15):
        lines = [call((24 * day + hour) * HOUR, key=key) for key in busy for hour in (1, 2)]
        counted.add(b"\n".join(lines))

    assert [] == too_short(counted, [3.0])


def test_keys_beyond_the_limit_are_counted_and_announced() -> None:
    counted = Census(most=1)
    for key in ("hmac:1", "hmac:2", "hmac:2"):
        counted.add(event(key=key).to_json())

    assert (1, 2) == (len(counted.keys), counted.beyond)
    assert "2 calls of keys beyond" in too_short(counted, [1.0])[-1]


def test_the_report_is_one_page_that_escapes_what_attackers_chose() -> None:
    evil = "<script>alert(1)</script>\u202e$x$"
    text = page(tables(found(0, entity=evil, tenant='"><img src=x>')), [evil])

    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u202e$x$" in text
    assert ["image/svg+xml"] * 3 == re.findall(r'src="data:([^;]+);base64,', text)
    assert "default-src 'none'" in text
    assert not re.search(r"<script|<img src=x|https?://|<link|\u202e", text)


def test_an_empty_history_gives_an_honest_report(capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty.ndjson").write_bytes(b"")
    told = rows(capsys, "empty.ndjson", "--html", "r.html")

    assert {None} == {r["per_key_month"] for r in told if r["row"] == "budget"}
    assert "unknown" in Path("r.html").read_text()


def test_a_wrong_budget_or_file_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(["backtest", write(past(1)), "--budgets", "0"])
    assert "above 0" in capsys.readouterr().err
    assert 2 == main(["backtest", "nowhere.ndjson"])
    assert "nowhere.ndjson: no such file" in capsys.readouterr().err


def test_people_get_tables_by_budget_by_detector_and_by_entity(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert 0 == main(["backtest", write(ATTACK), "--budgets", "1"])
    lines = capsys.readouterr().out.splitlines()

    assert "12 events of 1 keys" in lines[0]
    assert any(line.startswith("key-probe\tllmjacking\t1 (") for line in lines)
    assert any(line.startswith("all\tllmjacking\t") for line in lines)
    assert any(line.startswith("too short: ") for line in lines)


def leveled(*tokens: int, most: int = 1000) -> Leveling:
    """A key that uses so many tokens an hour."""
    collected = Leveling(most)
    collected.add(rollup(hour, count) for hour, count in enumerate(tokens))
    return collected


def test_a_key_that_came_to_another_level_is_listed_with_when_and_how_much() -> None:
    [row] = leveled(*[900] * 60, *[9000] * 40).table(10).to_dict("records")

    told = (KEY, "acme", "2026-10-03 12:00", 10.0, 900, 9000, 1)
    assert ("credential", *told) == tuple(row[name] for name in LEVEL_COLUMNS)


def test_a_steady_key_is_not_listed_however_bursty() -> None:
    bursty = [100 * (1 + 37 * hour * hour % 61) for hour in range(200)]

    assert [] == leveled(*bursty).table(10).to_dict("records")
    assert [] == leveled().table(10).to_dict("records")


def test_windows_beyond_the_limit_are_counted() -> None:
    assert 40 == leveled(*[9] * 100, most=60).beyond


def test_levels_are_told_as_json_in_the_table_and_in_the_report(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = [
        call(hour * HOUR + 240 * i, input_tokens=100 if hour < 40 else 5000)
        for hour in range(76)
        for i in range(15)
    ]
    told = rows(capsys, write(lines), "--budgets", "1", "--html", "r.html")

    [level] = [row for row in told if row["row"] == "level"]
    assert (KEY, 1) == (level["entity"], level["changes"])
    assert "2026-10-02 15:00" <= str(level["since"]) <= "2026-10-02 17:00"
    report = Path("r.html").read_text()
    assert KEY in report[report.index("Keys whose level changed") :]
    assert 0 == main(["backtest", "a.ndjson", "--budgets", "1"])
    assert f"credential\t{KEY}\tacme\t2026-10-02" in capsys.readouterr().out
