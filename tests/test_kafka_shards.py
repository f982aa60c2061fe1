"""A stream split by keys over many shards gives the findings of one pipeline over everything."""

import inspect
import re
import sys
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from detectors import CATALOG
from detectors.repeated_call import RepeatedCall
from schemas.decode import WIRE, decode_line
from schemas.records import Control
from schemas.testing import event
from streams.kafka.lanes import BY_NAME, FIRST, FIRST_ONLY, REMEMBERS, SPECS, lane_of
from streams.kafka.routed import Key, control, unpack
from streams.kafka.router import Raw, Router
from streams.kafka.shard import Shard
from streams.output import CoreSettings
from streams.snapshot import BadSnapshot
from tests.lanes_in_memory import SHARDS, Installation, essence, nothing, replayed, unordered
from tests.traffic import small_day


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return small_day(hours=(9,), clients=1)


def test_one_partition_in_shards_finds_what_one_pipeline_finds(lines: list[bytes]) -> None:
    parts = Installation([lines], Random(0))
    expected = {(one.id, one.revision): essence(one) for one in replayed(lines)}

    parts.finish()

    assert expected
    assert expected == parts.told()


def test_routers_and_shards_that_restart_tell_nothing_new_and_lose_nothing(
    lines: list[bytes],
) -> None:
    rng = Random(1)
    parts = Installation([lines], rng)
    expected = {(one.id, one.revision): essence(one) for one in replayed(lines)}

    while parts.routers[0].next < len(lines):
        parts.route(0, rng.choice([50, 300]), told=rng.random() < 0.5)
        for place in parts.places:
            if rng.random() < 0.7:
                parts.judge(place, rng.choice([1, 5]))
        fate = rng.random()
        if fate < 0.1:
            parts.save()
        elif fate < 0.2:
            parts.kill_router(0)
        elif fate < 0.4:
            parts.kill_shard(rng.choice(parts.places))
    parts.finish()

    assert expected == parts.told()
    assert 0 == sum(shard.gaps for shard in parts.shards.values())


def test_a_partition_whose_router_is_away_is_waited_for_and_an_idle_one_is_not(
    lines: list[bytes],
) -> None:
    rng = Random(2)
    busy: list[list[bytes]] = [[], []]
    for line in lines:
        rng.choice(busy).append(line)
    parts = Installation([busy[0], busy[1], [lines[0]], []], rng, held_bytes=40_000)
    first = {(one.id, one.revision): essence(one) for one in replayed(lines)}

    parts.route(2, 10)
    while parts.routers[0].next < len(busy[0]):  # nobody routes partition 1
        parts.route(0, 400)
        parts.idle(2)
        parts.idle(3)
        for place in parts.places:
            parts.judge(place)
    early = len(parts.findings)
    parts.finish()

    assert 0 == early
    assert unordered(first) == unordered(parts.told())


def test_a_word_that_a_source_is_idle_is_worth_nothing_once_it_has_told_more() -> None:
    rng, at = Random(3), "2026-10-01T00:00:{:02d}Z".format
    sources = [
        [event(at(second), id=f"{n}-{second}").to_json() for second in (1, 30)] for n in (0, 1)
    ]
    parts = Installation(sources, rng)
    parts.route(0, 1)
    old = dict(parts.routers[0].idle(1))
    parts.route(0, 1)
    parts.route(1, 2)
    for shard, value in old.items():
        parts.topics[FIRST, shard].append(value)

    for place in parts.places:
        parts.judge(place)

    covers = {
        shard.merge._sources[0].cover[2]
        for shard in parts.shards.values()
        if shard.lane.name == FIRST
    }
    assert {2 << 21} == covers


@pytest.mark.parametrize("seed", range(5))
def test_an_event_keeps_its_key_however_fetches_cut_the_partition(seed: int) -> None:
    rng, time = Random(seed), datetime(2026, 10, 1, tzinfo=UTC)
    raws: list[Raw] = []
    for number in range(60):
        time += timedelta(seconds=rng.choice([1, 20, 3 * 3600]))
        told = time + rng.choice([timedelta(), timedelta(), -timedelta(minutes=9), timedelta(1)])
        line = event(told.isoformat(), id=f"e{number}").to_json()
        raws += [Raw(len(raws) + n, line, 0) for n in range(rng.choice([1, 1, 1, 2]))]

    def routed(cuts: list[int]) -> tuple[dict[Key, str], list[str]]:
        router, found, refused = Router(0, 1, SHARDS, nothing), {}, []
        for begin, end in zip([0, *cuts], [*cuts, len(raws)], strict=True):
            outcome = router.route(raws[begin:end])
            refused += [one.place for one in outcome.refused]
            for _, value, _ in outcome.routed:
                events = unpack(value)[1]
                for n in range(len(events)):
                    found[events.key(n)] = decode_line(events.line(n))[0].event_id
        return found, refused

    whole = routed([])

    assert len(whole[0]) > 30
    for _ in range(5):
        assert whole == routed(sorted(rng.sample(range(1, len(raws)), rng.randint(1, 12))))


def test_what_is_no_event_is_refused_with_its_place_and_stops_nothing() -> None:
    router = Router(3, 4, SHARDS, nothing)
    good, more = (event("2026-10-01T00:00:00Z", id=id).to_json() for id in "ab")

    outcome = router.route(
        [
            Raw(7, good + b"\n\n{broken\n" + more, 0),
            Raw(8, b"\xff\xfe", 0),
            Raw(9, b"", 0),
            Raw(10, b"{}", 0, format="litellm"),
        ]
    )

    assert 2 == outcome.events
    assert ["3:10", "3:7:2", "3:8:1"] == sorted(one.place for one in outcome.refused)
    assert 11 == router.next


def test_an_event_that_makes_a_detector_fail_is_set_aside_and_nothing_else_is(
    lines: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    inspect, inspected = RepeatedCall.inspect, set()

    def note(self: RepeatedCall, seen: Any, time_ms: int) -> Any:
        inspected.add(seen.event_id)
        return inspect(self, seen, time_ms)

    monkeypatch.setattr(RepeatedCall, "inspect", note)
    named = {id for finding in replayed(lines) for id in finding.event_ids}
    ids = [decode_line(line)[0].event_id for line in lines]
    at = max(n for n, id in enumerate(ids) if id in inspected - named)
    bad, id = lines[at], ids[at]

    def fails(self: RepeatedCall, seen: Any, time_ms: int) -> Any:
        if seen.event_id == id:
            raise OverflowError
        return inspect(self, seen, time_ms)

    monkeypatch.setattr(RepeatedCall, "inspect", inspect)
    least = {(one.id, one.revision) for one in replayed([o for o in lines if o != bad])}
    most = {(one.id, one.revision) for one in replayed(lines)}
    monkeypatch.setattr(RepeatedCall, "inspect", fails)
    parts = Installation([lines], Random(4))

    parts.finish()

    assert {id} == {decode_line(line)[0].event_id for line in parts.aside}
    assert least <= parts.told().keys() <= most  # other lanes have judged it all the same


def test_what_an_operator_decides_holds_for_what_is_judged_after_it() -> None:
    at = "2026-10-01T00:00:{:02d}Z".format
    decided = Control(
        id="c", action="mode", detector="shared-session", mode="monitor", owner="o", reason="r",
        effective=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    told = []
    for turn in (control(decided.model_dump_json().encode()), control(b"{}")):
        parts = Installation([[]], Random(5))
        parts.sources[0] += [
            event(at(n), id=f"e{n}", session="run-123456789", tenant=f"t{n}").to_json()
            for n in (1, 2, 3)
        ]
        for number in range(SHARDS):
            parts.topics["session", number].append(turn)
        parts.finish()
        told += [next(one.mode for one in parts.findings if one.detector == "shared-session")]

    assert ["monitor", "active"] == told


def test_a_state_of_another_form_is_refused_so_that_an_older_one_or_the_topic_is_used() -> None:
    shard = Shard(BY_NAME[FIRST], 0, SHARDS, CoreSettings())
    other = Shard(BY_NAME[FIRST], 0, SHARDS + 1, CoreSettings())
    stricter = Shard(BY_NAME[FIRST], 0, SHARDS, CoreSettings(alert_budget=0.1))

    for state in (b"", b"rubbish", other.state(), stricter.state(), shard.state()[:-9]):
        with pytest.raises(BadSnapshot):
            shard.load(state)
    shard.load(shard.state())


def test_a_lane_carries_every_field_that_its_detectors_and_masks_read() -> None:
    def named(pattern: str, *modules: str) -> set[str]:
        texts = [inspect.getsource(sys.modules[module]) for module in modules]
        return {one for text in texts for one in re.findall(pattern, text)} & WIRE.keys()

    masks = named(r'"(\w+)"', "streams.columns", "streams.masks") - FIRST_ONLY
    for kind in CATALOG:
        if kind.takes and (lane := lane_of(kind)) != FIRST:
            read = named(r"\b(?:event|record|call|seen)\.(\w+)", kind.__module__)
            assert read <= set(BY_NAME[lane].fields), kind.about.id
    assert all(masks <= set(spec.fields) for spec in SPECS)


def test_every_inspecting_detector_runs_in_one_group_of_one_lane() -> None:
    judged = [name for spec in SPECS for group in spec.groups for name in group.names]
    inspecting = [kind for kind in CATALOG if kind.takes]

    assert sorted(kind.about.id for kind in inspecting) == sorted(
        name for name in judged if name not in {spec.name for spec in SPECS}
    )
    assert REMEMBERS.keys() <= {kind.about.id for kind in CATALOG}


def test_what_one_shard_sees_all_of_is_spread_over_shards() -> None:
    alone = [group for spec in SPECS for group in spec.groups if not group.by]

    assert len(alone) == len({group.home(16) for group in alone})
    assert all(len(group.names) == 1 for group in alone)
    for spec in SPECS:
        marks = [group.mark for group in spec.groups]
        assert len(marks) == len(set(marks)) and max(marks) < 256
