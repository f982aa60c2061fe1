"""The sample traffic is what it says: valid, repeatable, without anything real in it."""

import ipaddress
from dataclasses import replace

import numpy as np
import pytest

from schemas.decode import decode_lines
from schemas.event import Event
from schemas.samples import (
    Incident,
    Line,
    World,
    at,
    calm,
    calm_agents,
    calm_world,
    in_order_of_arrival,
    make_clients,
    migrating,
    roaming,
    two_weeks,
)

SHAREABLE = [
    ipaddress.ip_network(n) for n in ("10.0.0.0/8", "100.64.0.0/10", "198.18.0.0/15")
]  # private, carrier-grade NAT, benchmarks: nobody's own address


@pytest.fixture(scope="module")
def first_day() -> list[Line]:
    """All events of the first calm day, in order of arrival."""
    return next(calm_world(0, days=1).lines())


@pytest.fixture(scope="module")
def demo() -> World:
    """The demo's world; its calm events are not made."""
    return two_weeks(0)


def _block(lines: list[Line]) -> bytes:
    return b"\n".join(line.data for line in lines)


def test_a_seed_gives_the_same_bytes_and_another_seed_gives_others() -> None:
    client, other = make_clients(0)[0], make_clients(1)[0]

    assert calm(0, client, 3) == calm(0, client, 3)
    assert set() == set(calm(0, client, 3)) & set(calm(1, other, 3))


def test_the_demo_stages_the_same_for_the_same_seed(demo: World) -> None:
    assert two_weeks(0).staged == demo.staged


def test_the_fast_decoder_reads_every_staged_event_and_its_time(demo: World) -> None:
    lines = [line for staged in demo.staged for line in staged.lines]

    records, ms = decode_lines(_block(lines))

    assert [line.ms for line in lines] == ms.tolist()
    assert [line.id for line in lines] == [record.event_id for record in records]


@pytest.mark.parametrize("seed", range(3))
def test_every_kind_of_staged_event_is_valid_for_the_full_model(seed: int) -> None:
    for staged in two_weeks(seed).staged:
        for line in staged.lines[:3]:
            event = Event.model_validate_json(line.data)
            assert line.cost_usd == (event.cost_usd or 0.0)


def test_event_ids_are_unique_in_a_whole_day_of_the_world(first_day: list[Line]) -> None:
    ids = [line.id for line in first_day]

    assert len(set(ids)) == len(ids)


def test_events_arrive_at_most_two_seconds_out_of_order(first_day: list[Line]) -> None:
    ms = np.array([line.ms for line in first_day])
    behind = np.maximum.accumulate(ms) - ms

    assert 0 < behind.max() <= 2000


def test_the_order_of_arrival_keeps_every_event() -> None:
    lines = calm(0, make_clients(0)[0], 0)

    arrived = in_order_of_arrival(lines, np.random.default_rng(1))

    assert sorted(lines) == sorted(arrived)


def test_identities_are_fingerprints_and_addresses_belong_to_nobody(
    first_day: list[Line], demo: World
) -> None:
    staged = [line for s in demo.staged for line in s.lines]
    records, _ = decode_lines(_block(first_day + staged))

    assert all(r.api_key_id.startswith("hmac:") and len(r.api_key_id) == 21 for r in records)
    addresses = {ipaddress.ip_address(a) for a in {r.client_address for r in records}}
    assert set() == {a for a in addresses if not any(a in net for net in SHAREABLE)}


def test_about_one_call_in_seventy_fails_and_most_failures_are_tried_again() -> None:
    clients = make_clients(0)[::5]
    records, _ = decode_lines(_block([line for c in clients for line in calm(0, c, 0)]))

    failed = sum(r.status == "error" for r in records) / len(records)

    assert 0.01 < failed < 0.03


def test_a_provider_incident_makes_the_calls_to_its_model_fail_and_back_off() -> None:
    client = replace(make_clients(0)[0], second_model=None, per_day=4000.0)
    trouble = Incident(client.model, at(0, 9), at(0, 15), 0.6)

    records, ms = decode_lines(_block(calm(0, client, 0, [trouble])))
    during = (ms >= trouble.start_ms) & (ms < trouble.end_ms)
    failed = np.array([r.status == "error" for r in records])

    assert 0.4 < failed[during].mean() < 0.8
    assert failed[~during].mean() < 0.05


def test_a_roaming_laptop_has_many_addresses_and_its_owner_at_home_few() -> None:
    home = replace(make_clients(0)[0], per_day=500.0)
    laptop = roaming(home)

    def addresses(client_lines: list[Line]) -> int:
        records, _ = decode_lines(_block(client_lines))
        return len({r.client_address for r in records})

    assert addresses(calm(0, home, 0)) <= 5
    assert 3 <= addresses([line for day in range(3) for line in calm(0, laptop, day)]) <= 40


def test_a_migrating_client_uses_the_new_model_from_that_moment_on() -> None:
    client = migrating(make_clients(0)[0], at(0, 12), "grok-4")

    records, ms = decode_lines(_block(calm(0, client, 0)))
    early = {r.request_model for r, t in zip(records, ms, strict=True) if t < at(0, 12)}
    late = {r.request_model for r, t in zip(records, ms, strict=True) if t >= at(0, 12) + 30_000}

    assert {client.model} == early
    assert {"grok-4"} == late


def test_calm_agents_touch_only_their_own_tenants_resources() -> None:
    records, _ = decode_lines(_block(calm_agents(0, "acme", 0)))

    assert {None, "acme"} == {r.resource_owner_tenant_id for r in records}


def test_each_attack_and_each_look_alike_of_the_demo_comes_once(demo: World) -> None:
    assert 13 == len({staged.kind for staged in demo.attacks})
    assert {
        "deploy-burst",
        "provider-incident",
        "model-migration",
        "roaming-laptop",
        "status-polling",
        "retry-after-failure",
        "support-engineer",
        "cron-prompt",
    } == {staged.kind for staged in demo.lookalikes}


def test_no_two_attacks_are_staged_on_one_key(demo: World) -> None:
    keys = [
        entity.id
        for staged in demo.attacks
        for entity in staged.entities
        if entity.lane == "credential"
    ]

    assert len(set(keys)) == len(keys)
