"""shared-key: one key under two tenants on one day."""

from itertools import permutations

from detectors.shared_key import SharedKey
from schemas.testing import record
from tests.detecting import HOUR, KEY, alone, call

NAME = "shared-key"
DAY = 24 * HOUR


def test_one_call_under_another_tenant_is_enough_and_told_once_a_day() -> None:
    lines = [call(i * 60, tenant="acme") for i in range(30)]
    lines += [call(1800 + i, tenant="globex") for i in range(30)]
    [found] = alone(lines, NAME)

    assert KEY == found.entity.id
    assert {"used_by": "globex", "before_by": "acme"} == {
        name: found.evidence[name] for name in ("used_by", "before_by")
    }


def test_it_does_not_matter_in_which_order_they_arrive() -> None:
    lines = [call(i, id=f"e{i}", tenant=tenant) for i, tenant in enumerate(("a", "a", "b", "c"))]
    told = {tuple(f.id for f in alone(order, NAME)) for order in permutations(lines)}

    assert 1 == len(told)
    assert 1 == len(next(iter(told)))


def test_a_key_that_begins_its_work_for_another_on_another_day_is_quiet() -> None:
    late, early = DAY - 120, DAY + 1

    handed_over = [call(early + hour * HOUR, tenant="globex") for hour in range(3)]
    assert [] == alone([call(late, tenant="acme"), *handed_over], NAME)
    assert 1 == len(alone([call(late, tenant="acme"), call(DAY - 1, tenant="globex")], NAME))


def test_an_event_that_is_shown_again_is_nothing_new() -> None:
    detector, hour_ms = SharedKey(), 3_600_000
    for hour, tenant in ((23, "acme"), (25, "globex"), (26, "globex"), (27, "globex")):
        event = record(id=f"e{hour}", key=KEY, tenant=tenant)
        assert [] == list(detector.inspect(event, hour * hour_ms))


def test_one_tenant_is_quiet_and_so_are_two_keys_and_events_without_a_tenant() -> None:
    other = "hmac:00000000000000bb"

    assert [] == alone([call(i, tenant="acme") for i in range(9)], NAME)
    assert [] == alone([call(0, tenant="acme"), call(1, tenant="globex", key=other)], NAME)
    assert [] == alone([call(0, tenant="acme"), call(1, tenant=None)], NAME)


def test_those_who_may_act_in_several_tenants_are_quiet() -> None:
    lines = [call(0, tenant="acme"), call(1, tenant="globex", user_id="anna")]

    for allowed in ("anna", "globex", "acme", KEY):
        assert [] == alone(lines, NAME, support={allowed})
