"""unlike-tenant: a key without a past is judged by what its tenant's keys do."""

from itertools import count
from random import Random
from typing import Any

import pytest

from detectors.unlike_tenant import (
    DAY_H,
    DEAR_CALLS,
    DEAR_NANOUSD,
    DEAR_SPENT_NANOUSD,
    MOST_PLACES,
    NEW_ADDRESSES,
    SAMPLED,
    UnlikeTenant,
)
from schemas.samples.trials import Scene
from schemas.samples.trials_young import dearest_model, sold_unused
from schemas.testing import record
from streams.pipeline import CoreSettings, Pipeline
from tests.detecting import HOUR, KEY, alone, call
from tests.lanes_in_memory import Installation, essence, replayed

NAME = "unlike-tenant"
THEN = (DAY_H + 3) * HOUR
DOLLARS = DEAR_SPENT_NANOUSD / 1e9 / SAMPLED / DEAR_CALLS + 0.01  # of each of just enough calls
OTHER = "hmac:00000000000000bb"
_ids = count()


@pytest.fixture(autouse=True)
def _everything_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.masks.SAMPLE_BITS", 0)


def home(seconds: float = 0, **fields: Any) -> bytes:
    return call(seconds, **{"key": OTHER, "model": "own", "cost_usd": 0.001, **fields})


def away(number: int, begin: float = THEN, every: float = 60, **fields: Any) -> list[bytes]:
    """Calls of a key that is new, each from an address of its own."""
    return [
        call(begin + i * every, **{"model": "own", "address": f"198.18.{i}.9", **fields})
        for i in range(number)
    ]


def dear(number: int = DEAR_CALLS, **fields: Any) -> list[bytes]:
    return away(number, **{"address": "198.18.0.9", "model": "dear", "cost_usd": DOLLARS, **fields})


def test_a_key_without_a_past_from_many_addresses_new_to_its_tenant_is_found() -> None:
    assert [] == alone([home(), *away(NEW_ADDRESSES - 1)], NAME)
    [found] = alone([home(), *away(NEW_ADDRESSES)], NAME)

    assert KEY == found.entity.id
    assert NEW_ADDRESSES == found.evidence["new_addresses"]
    assert NEW_ADDRESSES == len(found.event_ids)


def test_addresses_of_the_tenants_other_keys_are_not_new() -> None:
    others = [home(i, address=f"198.18.{i}.9") for i in range(NEW_ADDRESSES)]

    assert [] == alone([*others, *away(2 * NEW_ADDRESSES)[:NEW_ADDRESSES]], NAME)


def test_other_tenants_know_nothing_of_it() -> None:
    others = [home(i, address=f"198.18.{i}.9", tenant="globex") for i in range(NEW_ADDRESSES)]

    assert 1 == len(alone([home(), *others, *away(NEW_ADDRESSES)], NAME))


def test_one_address_after_the_other_is_a_laptop() -> None:
    every = DAY_H * HOUR / (NEW_ADDRESSES - 1)

    assert [] == alone([home(), *away(60, every=every)], NAME)
    assert 1 <= len(alone([home(), *away(60, every=every - 60)], NAME))


def test_an_address_counts_from_when_it_was_new() -> None:
    again = [
        line
        for i in range(2 * NEW_ADDRESSES)
        for line in away(i + 1, begin=THEN + i * 4 * HOUR, every=60)[max(0, i - 4) :]
    ]

    assert [] == alone([home(), *again], NAME)


def test_a_tenant_that_is_new_itself_has_no_habit() -> None:
    early = (DAY_H - 1) * HOUR

    assert [] == alone([home(), *away(NEW_ADDRESSES, begin=early)], NAME)
    assert [] == alone(away(NEW_ADDRESSES), NAME)


def test_a_tenant_that_comes_from_everywhere_is_not_judged() -> None:
    many = [home(i, address=f"10.{i // 200}.{i % 200}.1") for i in range(MOST_PLACES)]

    assert [] == alone([*many, *away(NEW_ADDRESSES)], NAME)


def test_many_calls_from_one_address_are_one_address() -> None:
    assert [] == alone([home(), *away(9 * NEW_ADDRESSES, address="198.18.0.9")], NAME)


def test_a_dear_model_that_no_key_of_the_tenant_ever_used_is_found_at_one_address() -> None:
    assert [] == alone([home(), *dear(DEAR_CALLS - 1)], NAME)
    [found] = alone([home(), *dear()], NAME)

    assert KEY == found.entity.id
    assert DEAR_CALLS == found.evidence["sampled_calls"]
    assert found.cost_usd == pytest.approx(SAMPLED * DEAR_CALLS * DOLLARS)


@pytest.mark.parametrize(
    ("past", "why"),
    [
        ({"model": "dear"}, "another key of the tenant uses the model"),
        ({"address": "198.18.0.9"}, "another key of the tenant works there"),
    ],
)
def test_what_the_tenant_knows_is_quiet(past: dict[str, str], why: str) -> None:
    assert [] == alone([home(), home(1, **past), *dear()], NAME), why


def test_a_migration_at_home_is_quiet() -> None:
    assert [] == alone([home(key=KEY), *dear(99, address="10.0.0.1")], NAME)


def test_cheap_calls_are_nothing_however_many() -> None:
    cheap = DEAR_NANOUSD / 1e9 - 0.001

    assert [] == alone([home(), *dear(200, every=10, cost_usd=cheap)], NAME)
    few = DEAR_SPENT_NANOUSD / 1e9 / SAMPLED / (DEAR_CALLS + 1) - 0.001
    assert [] == alone([home(), *dear(DEAR_CALLS + 1, cost_usd=few)], NAME)


def test_it_is_told_once_a_day() -> None:
    assert 1 == len(alone([home(), *dear(50, every=10), *away(20, begin=THEN + 900)], NAME))


def test_what_was_spent_long_ago_is_not_told_again() -> None:
    moved = away(1, begin=THEN + 5 * DAY_H * HOUR, address="10.0.0.77")

    assert 1 == len(alone([home(), *dear(), *moved], NAME))


@pytest.mark.parametrize("lacking", ["tenant", "key", "address"])
def test_without_a_name_nothing_is_said(lacking: str) -> None:
    lines = [home(), *away(NEW_ADDRESSES, **{lacking: None})]
    detector = UnlikeTenant()

    assert [] == alone(lines, NAME)
    bare = record(id="e", **{"tenant": "t", "key": "k", "address": "a", lacking: None})
    assert [] == list(detector.inspect(bare, 0))


def test_where_blocks_end_does_not_show() -> None:
    lines = [home(), *dear(20), *away(20, begin=THEN + 3000)]
    pipeline, found = Pipeline(CoreSettings(), only={NAME}), []
    for line in lines:
        found += pipeline.process(line).findings

    assert [f.to_json() for f in alone(lines, NAME)] == [
        f.to_json() for f in found if f.detector == NAME
    ]


@pytest.mark.parametrize("scene", [sold_unused, dearest_model])
def test_keys_of_one_tenant_in_many_shards_are_judged_together(scene: Scene) -> None:
    lines = scene(7)
    parts = Installation([lines], Random(0))
    expected = {(f.id, f.revision): essence(f) for f in replayed(lines) if f.detector == NAME}

    parts.finish()

    assert expected
    assert expected == {name: f for name, f in parts.told().items() if f["detector"] == NAME}
