"""The Kafka benchmark is fair: others run where they live, and who is faster is said."""

import ast
import sys
from pathlib import Path

import pytest

from benchmarks import kafka_peers
from benchmarks.kafka_peers import ROLES, Measured, compared

OURS = Measured(events=100_000, wall_s=1.0, cpu_s=1.0)


def test_the_builds_of_others_need_only_the_standard_library_until_one_begins() -> None:
    tree = ast.parse(Path(kafka_peers.__file__).read_text())
    at_once = {
        alias.name if isinstance(node, ast.Import) else node.module or ""
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }

    assert set() == {name.partition(".")[0] for name in at_once} - sys.stdlib_module_names


@pytest.mark.parametrize("engine", ["quix", "bytewax"])
def test_each_engine_counts_and_asks_a_model_for_each_key(engine: str) -> None:
    assert {f"{engine}-count", f"{engine}-forest"} <= {
        name for name, role in ROLES.items() if role.needs == engine
    }


def test_who_is_slower_is_told_by_how_much_by_the_clock_and_by_cpu_time() -> None:
    slow = Measured(events=1000, wall_s=0.1, cpu_s=0.05)

    said = compared(OURS, "quix-forest", slow)

    assert "quix-forest    one worker does 10.0 times as many" in said
    assert "(5.0 times by CPU time)" in said


def test_who_is_faster_is_told_plainly_with_what_it_does_for_it() -> None:
    fast = Measured(events=400_000, wall_s=1.0, cpu_s=2.0)

    said = compared(OURS, "bytewax-count", fast)

    assert "bytewax-count  IS FASTER than one worker: 4.0 times as many" in said
    assert "2.0 times by CPU time" in said
    assert "it counts and does nothing else" in said


def test_who_is_too_slow_for_all_events_is_measured_by_those_it_did(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended: list[int] = []
    monkeypatch.setattr(kafka_peers.os, "_exit", ended.append)
    monkeypatch.setattr(kafka_peers, "LONGEST_S", 0.3)
    count = kafka_peers.Count(enough=10)

    count.one()
    for _ in range(500):
        if ended:
            break
        kafka_peers.time.sleep(0.01)

    assert [0] == ended
    assert '"events": 1,' in capsys.readouterr().out
