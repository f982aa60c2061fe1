"""The detection benchmark counts what it says: peers' rules, rates, and what is left out."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import nab_habit, peers_rules
from benchmarks.detection import _keep
from benchmarks.detection_rates import chance, false_rate, recall, wilson
from benchmarks.detection_report import lines, only, summary
from benchmarks.detection_streams import channel, parted

HOUR, DAY = 3600.0, 86_400.0
MODELS = ["small", "opus", "haiku"]


def calls(*rows: tuple[float, dict[str, Any]]) -> Any:
    """Events of key 0, each an instant in seconds and what differs from a small call."""
    usual = {"key": 0, "model": 0, "tin": 100, "tout": 50, "cost": 0.01, "status": 200}
    return pd.DataFrame([{"ts": ts, **usual, **fields} for ts, fields in rows])


def hours(count: int, **fields: Any) -> list[tuple[float, dict[str, Any]]]:
    return [(hour * HOUR, fields) for hour in range(count)]


def told(alerts: peers_rules.Alerts) -> list[float]:
    return sorted(np.asarray(alerts[1]).tolist())


def test_panther_goes_by_the_constant_of_the_model() -> None:
    events = calls(
        (1, {"tin": 4500}), (2, {"tin": 4500, "model": 1}), (3, {"tin": 3100, "model": 2})
    )

    assert [1.0, 3.0] == told(peers_rules.panther(events, MODELS))
    assert [1.0, 2.0, 3.0] == told(peers_rules.panther_flat(events))


def test_panther_minds_a_large_call_without_an_answer() -> None:
    events = calls((1, {"tin": 1500, "tout": 0}), (2, {"tin": 900, "tout": 0}))

    assert [1.0] == told(peers_rules.panther(events, MODELS))


def test_splunk_compares_the_largest_answer_with_its_own_hour() -> None:
    steady = [(float(second), {}) for second in range(20)]

    assert [HOUR] == told(peers_rules.splunk(calls(*steady, (30.0, {"tout": 5000}))))
    assert [] == told(peers_rules.splunk(calls(*steady)))


def test_elastic_wants_large_prompts_many_calls_and_large_answers_within_an_hour() -> None:
    large = [(60.0 * minute, {"tin": 6000, "tout": 900}) for minute in range(12)]
    found = told(peers_rules.elastic(calls(*large)))

    assert 1200.0 == found[0]  # the eleventh call is in the second ten minutes
    assert found[-1] <= 1200.0 + HOUR
    assert [] == told(peers_rules.elastic(calls(*large[:10])))
    assert [] == told(peers_rules.elastic(calls(*((t, {**f, "tout": 90}) for t, f in large))))


def test_elastic_for_azure_looks_at_a_minute_of_ten_large_prompts() -> None:
    minute = [(float(second), {"tin": 1300}) for second in range(10)]

    assert [60.0] == told(peers_rules.elastic_azure(calls(*minute)))
    assert [] == told(peers_rules.elastic_azure(calls(*minute[:9])))


def test_a_gateways_budget_is_told_once_a_day_when_it_is_spent() -> None:
    events = calls(*hours(30, cost=10.0))

    assert [9 * HOUR] == told(peers_rules.fixed_budget(events, 100.0))


def test_a_budget_of_twice_the_own_mean_day_needs_a_day_of_past() -> None:
    events = calls(*hours(24, cost=1.0), *((DAY + 60 * i, {"cost": 10.0}) for i in range(9)))

    assert [DAY + 240] == told(peers_rules.own_budget(events, 2.0))


def test_three_sigma_waits_for_a_day_and_then_for_a_dear_hour() -> None:
    events = calls(*hours(30, cost=1.0), (30 * HOUR, {"cost": 50.0}))

    assert [31 * HOUR] == told(peers_rules.three_sigma(events))


def test_what_a_key_never_used_before_is_counted_after_its_first_day() -> None:
    known = [(60.0, {"ip": 1}), (DAY + 60, {"ip": 1})]
    new = [(DAY + 100, {"ip": 2}), (DAY + 200, {"ip": 3}), (DAY + 9000, {"ip": 4})]
    events = calls(*known, *new)

    assert [DAY + 100, DAY + 200, DAY + 9000] == told(peers_rules.first_seen(events, "ip", 1, HOUR))
    assert [DAY + 200] == told(peers_rules.first_seen(events, "ip", 2, HOUR))


def test_half_space_trees_judge_every_key_by_itself() -> None:
    past = [(10.0 * i, {"cost": 0.01}) for i in range(600)]
    keys, times = peers_rules.half_space_trees(
        calls(*past, (6001.0, {"tin": 150_000, "tout": 90_000, "cost": 40.0})), 0.9
    )

    assert 6001.0 in times.tolist()
    assert {0} == set(keys.tolist())


def row(kind: str = "sweep", hit: int = 1, **fields: Any) -> dict[str, Any]:
    return {"kind": kind, "mimic": False, "hit": hit, "seconds": 10.0, "events": 2, "usd": 1.0,
            "usd_total": 10.0, "days": 3.0, **fields}  # fmt: skip


def score(false: float, rows: list[dict[str, Any]], months: float = 10.0) -> dict[str, Any]:
    return {"false": false, "rows": rows, "months": months, "detectors": {}, "stream": "s"}


def test_recall_counts_misses_and_the_dollars_they_cost() -> None:
    found = recall([row(), row(hit=0, usd=10.0, seconds=None, events=None)])

    assert (0.5, 10.0, 0.55) == (found["recall"], found["p50_s"], found["lost"])
    assert found["low"] < 0.5 < found["high"]


def test_the_false_rate_carries_the_interval_of_its_count() -> None:
    rate = false_rate([score(0.4, []), score(0.6, [])])

    assert (0.5, 10.0, 20.0) == (rate["rate"], rate["count"], rate["months"])
    assert 0.19 == round(rate["low"], 2)


def test_nothing_found_has_an_interval_too() -> None:
    assert 0.0 == wilson(0, 20)[0]
    assert 0.1 < wilson(0, 20)[1] < 0.2
    assert (0.0, 1.0) == wilson(0, 0)


def test_long_attacks_are_hit_by_chance_more_often() -> None:
    assert chance([row(days=1.0)], 1.0) < chance([row(days=9.0)], 1.0)


def test_a_detector_is_left_out_by_its_findings() -> None:
    findings = [
        {"detector": "a", "evidence": {"tripped": "tokens", "window": {"spec": "w/5m"}}},
        {"detector": "a", "evidence": {"tripped": "usd", "window": {"spec": "w/5m"}}},
        {"detector": "b", "evidence": {}},
    ]
    truth: Any = SimpleNamespace(score=lambda f: {"kept": [one["detector"] for one in f]})

    by = parted(truth, findings, "detector")
    assert (["a", "a"], ["b"]) == (by["a"]["alone"]["kept"], by["a"]["without"]["kept"])
    assert ["a w/5m tokens", "a w/5m usd", "b"] == [channel(one) for one in findings]
    assert ["a w/5m tokens", "a w/5m usd", "b"] == list(parted(truth, findings, "channel"))


def test_the_report_says_asked_and_measured_beside_each_other() -> None:
    one = score(0.4, [row(), row("ramp", 0, mimic=True, usd=10.0, seconds=None, events=None)])
    one["detectors"] = {"a": {"alone": one, "without": {**one, "false": 0.1}}}
    measured = {
        "streams": {0.5: [one]},
        "twins": {0.5: [score(0.6, [])]},
        "luck": {},
        "tools": {},
        "peers": {"rule": {False: [one], True: []}},
        "nab": None,
        "catalog": [],
    }
    text = "\n".join(lines(measured))

    assert "| 0.5 | 0.40 (" in text
    assert "| 0.80 | 1: 10 key-months | 0.60 (" in text
    assert "| `a` | 1.000 | nan | 0.400 |" in text
    assert 1.0 == summary(measured)["0.5"]["groups"]["loud"]["recall"]


def test_seeds_that_nobody_looked_at_are_told_of_by_themselves() -> None:
    seen, fresh = ({**score(0.4, [row()]), "stream": f"dev-{seed}"} for seed in (3, 30))
    measured = {"streams": {0.5: [seen, fresh]}, "twins": {0.5: [seen]}, "luck": {}}

    assert {"streams": {0.5: [fresh]}, "twins": {}, "luck": {}} == only(measured, [30])


def test_what_is_there_is_not_done_again(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b.json"
    _keep(target, lambda: {"x": 1})
    _keep(target, lambda: pytest.fail("done again"))

    assert {"x": 1} == json.loads(target.read_text())


def test_of_alarms_close_together_only_the_rarer_is_told() -> None:
    said = nab_habit.told(np.array([3.0, 2.0, 4.0, 0.0, 1.0]), probation=5)

    assert [3.0, 0.0, 4.0, 0.0, 0.0] == said.tolist()


def test_a_break_in_a_steady_series_is_the_rarest_of_its_rows() -> None:
    noise = np.random.default_rng(1).normal(10.0, 1.0, 400)
    noise[350] = 60.0
    stamps = np.datetime64("2026-10-01T00:00:00") + np.arange(400) * np.timedelta64(300, "s")
    series = SimpleNamespace(value=noise, timestamp=stamps, probation=60)

    corpus = {"a": series, "b": series}
    rare = nab_habit.rarities(corpus)
    assert 350 == 60 + int(np.argmax(rare["a"][60:, 1]))
    assert rare["a"].tolist() == rare["b"].tolist()
    assert nab_habit.scores(corpus, rare)["a"][350] > 0
