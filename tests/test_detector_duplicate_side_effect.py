"""duplicate-side-effect: one intention, acted on twice."""

from itertools import permutations

import pytest

from detectors.duplicate_side_effect import SPAN_MS
from schemas.samples import retry_after_failure, triple_charge
from schemas.samples.agents import calm_agents
from tests.detecting import noon, only, raised, tool

NAME = "duplicate-side-effect"
SPAN = SPAN_MS / 1000


def charge(seconds: float, **fields: object) -> bytes:
    return tool(seconds, **{"side_effect": True, **fields})


def test_a_refund_sent_three_times_is_found_once() -> None:
    staged = triple_charge(0, noon(), "acme")

    assert [staged.entities[0]] == [finding.entity for finding in raised(only(staged), NAME)]


def test_a_retry_after_failure_is_quiet() -> None:
    assert [] == raised(only(retry_after_failure(0, noon(), "acme")), NAME)
    for status in ("error", "blocked", None):
        assert [] == raised([charge(0, status=status), charge(1), charge(2, status=status)], NAME)


def test_a_retry_after_success_with_the_same_idempotency_key_is_quiet() -> None:
    once = {"idempotency_key_id": "hmac:once"}

    assert [] == raised([charge(0, **once), charge(9, **once), charge(99, **once)], NAME)


@pytest.mark.parametrize("keys", [(None, None), ("a", None), (None, "a"), ("a", "b")])
def test_two_successes_without_one_key_are_two_charges(keys: tuple[str | None, ...]) -> None:
    lines = [charge(i, idempotency_key_id=key) for i, key in enumerate(keys)]

    assert 1 == len(raised(lines, NAME))


@pytest.mark.parametrize(("seconds", "found"), [(SPAN, 1), (SPAN + 0.001, 0)])
def test_only_what_is_close_is_one_intention(seconds: float, found: int) -> None:
    assert found == len(raised([charge(0), charge(seconds)], NAME))


def test_a_call_that_only_reads_may_be_repeated() -> None:
    for effect in (False, None):
        lines = [charge(i, side_effect=effect) for i in range(5)]
        assert [] == raised(lines, NAME)


@pytest.mark.parametrize("name", ["args", "tool", "session", "tenant"])
def test_another_call_is_another_intention(name: str) -> None:
    assert [] == raised([charge(i, **{name: f"hmac:{i}"}) for i in range(9)], NAME)


def test_the_order_of_arrival_does_not_show() -> None:
    keys = {0: None, 10: "hmac:k", 20: "hmac:k"}
    told = set()
    for order in permutations(keys):
        lines = [charge(s, idempotency_key_id=keys[s], id=f"e{s}") for s in order]
        told.add(frozenset(finding.id for finding in raised(lines, NAME)))

    assert 1 == len(told)
    assert 1 == len(next(iter(told)))


def test_calm_agents_are_quiet() -> None:
    lines = [line.data for day in range(3) for line in sorted(calm_agents(0, "acme", day))]

    assert lines
    assert [] == raised(lines)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_calls_of_one_id_and_instant_are_told_whichever_has_a_key(
    order: tuple[int, ...],
) -> None:
    same = [
        charge(0, id="e", key="hmac:00000000000000ab", idempotency_key_id=None),
        charge(0, id="e", key="hmac:00000000000000ac", idempotency_key_id="hmac:once"),
    ]
    alike = [charge(0, id=f"e{i}", idempotency_key_id="hmac:once") for i in order]

    [found] = raised([same[i] for i in order], NAME)

    assert ("e", True) == (found.event_ids[0], found.evidence["idempotency_key"])
    assert [] == raised(alike, NAME)


def test_tenants_that_number_their_sessions_alike_are_told_apart() -> None:
    both = [charge(i, tenant=tenant) for i in range(2) for tenant in ("acme", "globex")]

    assert [] == raised(both[:2], NAME)
    assert ["acme", "globex"] == [found.tenant for found in raised(both, NAME)]
