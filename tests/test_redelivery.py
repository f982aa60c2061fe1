"""What was seen before is recognised, and an id alone never makes an event disappear."""

from datetime import datetime, timedelta

import pytest

import streams.redelivery as redelivery
from schemas.testing import event
from streams.pipeline import CoreSettings, Output, Pipeline, Stats

START = datetime.fromisoformat("2026-10-01T00:00:00+00:00")


def call(seconds: float, id: str, **fields: object) -> bytes:
    named = {"key": "hmac:00000000000000aa", "model": "m", "tenant": "acme", **fields}
    return event((START + timedelta(seconds=seconds)).isoformat(), id=id, **named).to_json()


def stats(*lines: bytes, size: int = 1000, restart: bool = False) -> Stats:
    pipeline = Pipeline()
    for start in range(0, len(lines), size):
        pipeline.process(b"\n".join(lines[start : start + size]))
        if restart:
            pipeline = Pipeline.restore(pipeline.snapshot())
    return pipeline.stats


def counts(found: Stats) -> tuple[int, int, int, int]:
    return found.judged, found.duplicates, found.conflicts, found.merged


HOWS = [{"size": 1}, {"size": 1000}, {"size": 1, "restart": True}]


@pytest.mark.parametrize("how", HOWS)
def test_the_same_event_again_is_a_duplicate(how: dict[str, int]) -> None:
    assert (2, 3, 0, 0) == counts(
        stats(call(0, "a"), call(0, "a"), call(1, "b"), call(0, "a"), call(1, "b"), **how)
    )


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(
    "other",
    [
        {"key": "hmac:00000000000000bb"},
        {"seconds": 2},
        {"input_tokens": 7},
        {"output_tokens": 7},
        {"cost_usd": 0.5},
        {"http_status": 429},
        {"error_type": "auth"},
        {"status": "ok"},
        {"kind": "agent.tool_call"},
        {"tenant": "globex"},
        {"user_id": "u"},
        {"session": "s"},
        {"model": "other"},
        {"tool": "t"},
        {"args": "hmac:00000000000000cc"},
        {"resource": "r"},
        {"owner": "globex"},
        {"prompt": "hmac:00000000000000dd"},
    ],
)
def test_the_same_id_with_other_facts_is_a_conflict_and_is_judged(
    other: dict[str, object], how: dict[str, int]
) -> None:
    told = {"seconds": 1, "id": "a", **other}
    lines = (call(1, "a"), call(**told), call(1, "a"), call(**told))  # type: ignore[arg-type]

    assert (2, 2, 1, 0) == counts(stats(*lines, **how))


@pytest.mark.parametrize("again", [False, True])
def test_a_stolen_id_hides_no_access_to_anothers_resource(again: bool) -> None:
    touch = {"kind": "agent.tool_call", "tool": "read", "session": "s-1", "resource": "r"}
    mine = call(1, "a", **touch, owner="acme")
    theirs = call(1, "a", **touch, owner="globex")
    found = Pipeline().process(b"\n".join([mine, theirs, *[theirs] * again])).findings

    assert ["foreign-resource"] == [finding.detector for finding in found]


@pytest.mark.parametrize("how", HOWS)
def test_another_signal_about_a_call_is_merged_once(how: dict[str, int]) -> None:
    one = call(1, "a", call_ids=("c", "d"), ingest_source="gateway")
    two = call(2, "b", call_ids=("d",), ingest_source="span")

    assert (1, 0, 0, 1) == counts(stats(one, two, **how))
    assert (1, 2, 0, 1) == counts(stats(one, two, two, one, **how))


@pytest.mark.parametrize("how", HOWS)
def test_a_source_is_merged_once_under_all_names_of_a_call(how: dict[str, int]) -> None:
    one = call(1, "a", call_ids=("c", "d"), ingest_source="gateway")
    two = call(2, "b", call_ids=("c",), ingest_source="span")
    three = call(2, "e", call_ids=("d",), ingest_source="span")

    assert (2, 0, 0, 1) == counts(stats(one, two, three, **how))


@pytest.mark.parametrize(
    ("other", "merged"),
    [
        ({}, 1),
        ({"seconds": 3}, 1),
        ({"seconds": 3.001}, 0),
        ({"key": "hmac:00000000000000bb"}, 0),
        ({"call_ids": ("x",)}, 0),
        ({"ingest_source": "gateway"}, 0),
        ({"kind": "agent.tool_call"}, 0),
    ],
)
def test_signals_are_joined_on_call_key_source_and_time(
    other: dict[str, object], merged: int
) -> None:
    one = call(1, "a", call_ids=("c",), ingest_source="gateway")
    fields = {"seconds": 1, "id": "b", "call_ids": ("c",), "ingest_source": "span", **other}

    assert merged == stats(one, call(**fields)).merged  # type: ignore[arg-type]


def test_ids_are_remembered_as_long_as_their_redelivery_would_be_in_time() -> None:
    pipeline = Pipeline(CoreSettings(lateness_s=60))
    for second in range(0, 600, 10):
        again = max(0, second - 60)
        lines = call(second, f"e{second}"), call(again, f"e{again}")
        pipeline.process(b"\n".join(lines))

    assert (60, 0) == (pipeline.stats.judged, pipeline.stats.late)
    assert 60 == pipeline.stats.duplicates


def test_ids_that_would_be_late_are_forgotten() -> None:
    pipeline = Pipeline()
    sizes = []
    for start in range(0, 6_000, 200):
        lines = [call(50 * i, f"e{i}", call_ids=(f"c{i}",)) for i in range(start, start + 200)]
        pipeline.process(b"\n".join(lines))
        sizes.append(len(pipeline.snapshot()))

    assert max(sizes[15:]) < 1.5 * max(sizes[:5])
    assert 6_000 == pipeline.stats.judged


def test_forgetting_ids_early_is_announced_once_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redelivery, "MAX_IDS", 50)
    pipeline = Pipeline()
    found = []
    for block in range(20):
        lines = [call(block + i / 100, f"{block}/{i}") for i in range(40)]
        output: Output = pipeline.process(b"\n".join(lines))
        found += [finding.detector for finding in output.findings]

    assert ["redelivery-memory-full"] == found


def test_ten_thousand_probes_with_one_pinned_call_id_are_found() -> None:
    lines = [
        event(
            (START + timedelta(milliseconds=20 * i)).isoformat(),
            id="pinned",
            call_ids=("pinned",),
            key=f"hmac:{i:016x}",
            tenant=f"t{i % 7}",
            address="203.0.113.9",
            client_address_quality="peer",
            model="gpt-4o",
            http_status=401,
        ).to_json()
        for i in range(1, 10_001)
    ]
    pipeline = Pipeline()
    found = pipeline.process(b"\n".join(lines)).findings + pipeline.close().findings

    assert 10_000 == pipeline.stats.judged
    told = {("key-probe", "203.0.113.9"), ("memory-full", "origin/10m: values")}  # 1024 are counted
    assert told == {(f.detector, f.entity.id) for f in found}
    final = next(f for f in found if f.final and f.family != "health")
    assert "critical" == final.severity.value
    assert final.evidence["totals"]["refusals"] > 1000  # type: ignore[index, call-overload]
