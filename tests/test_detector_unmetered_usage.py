"""unmetered-usage: what the provider bills and the gateway never saw."""

import json

import pytest

from detectors import unmetered_usage
from detectors.unmetered_usage import LEAST_SHARE, LEAST_TOKENS
from tests.detecting import HOUR, KEY, alone, call

NAME = "unmetered-usage"
ON = {"reconcile_usage": True}
SEEN = 60_000  # tokens an hour through the gateway


def calls(hours: int, key: str = KEY) -> list[bytes]:
    return [call(60 * i + 30, input_tokens=SEEN // 60, key=key) for i in range(60 * hours)]


def bill(hour: int, tokens: int, **fields: object) -> bytes:
    """What the provider billed for the hour that ends now."""
    named = {"kind": "llm.usage_bucket", "latency_ms": 3_600_000.0, "http_status": None}
    return call(hour * HOUR, **{**named, "input_tokens": tokens, **fields})


def told(lines: list[bytes], **settings: object) -> list[tuple[str, int, int]]:
    found = alone(lines, NAME, **{**ON, **settings})
    return [(f.entity.id, f.evidence["billed"], f.evidence["seen"]) for f in found]  # type: ignore[misc]


def played(*bills: bytes, hours: int = 8) -> list[bytes]:
    return [*calls(hours), *bills]


def test_two_hours_with_a_gap_are_found_however_late_the_report_comes() -> None:
    more = SEEN + LEAST_TOKENS + 1

    assert [(KEY, 2 * more, 2 * SEEN)] == told(played(bill(3, more), bill(4, more)))


@pytest.mark.parametrize(("gap", "found"), [(LEAST_TOKENS, 0), (LEAST_TOKENS + 1, 1)])
def test_less_than_ten_thousand_tokens_are_rounding(gap: int, found: int) -> None:
    assert found == len(told(played(bill(3, SEEN + gap), bill(4, SEEN + gap))))


@pytest.mark.parametrize(("share", "found"), [(LEAST_SHARE * 0.99, 0), (LEAST_SHARE * 1.01, 1)])
def test_less_than_a_twentieth_is_the_edge_of_a_bucket(share: float, found: int) -> None:
    large = [call(60 * i + 30, input_tokens=100_000) for i in range(480)]
    billed = round(6_000_000 / (1 - share))

    assert found == len(told([*large, bill(3, billed), bill(4, billed)]))


def test_one_hour_alone_is_quiet_and_so_are_two_that_do_not_meet() -> None:
    more = 2 * SEEN

    assert [] == told(played(bill(3, more), bill(4, SEEN)))
    assert [] == told(played(bill(3, SEEN), bill(4, more)))
    assert [] == told(played(bill(3, more), bill(5, more)))


def test_the_larger_of_two_reports_about_one_hour_counts() -> None:
    more = 2 * SEEN
    lines = played(bill(3, more), bill(4, SEEN), bill(4, more), bill(4, SEEN, id="again"))

    assert 1 == len(told(lines))


def test_hours_that_began_before_we_watched_are_not_compared() -> None:
    more = 2 * SEEN

    assert [] == told(played(bill(0, more), bill(1, more)))
    assert 1 == len(told(played(bill(2, more), bill(3, more))))


def test_each_key_has_its_own_account() -> None:
    other = "hmac:00000000000000bb"
    lines = [*calls(8), *calls(8, other), bill(3, 2 * SEEN), bill(4, 2 * SEEN, key=other)]

    assert [] == told(lines)


def test_a_key_the_gateway_never_sees_is_found_by_its_next_reports() -> None:
    other = "hmac:00000000000000bb"
    lines = played(*(bill(hour, SEEN, key=other) for hour in range(2, 8)))

    assert [other] == [key for key, *_ in told(lines)]


def test_it_is_off_until_it_is_asked_for() -> None:
    assert [] == told(played(bill(3, 2 * SEEN), bill(4, 2 * SEEN)), reconcile_usage=False)


def test_what_was_seen_longer_ago_than_is_remembered_is_not_compared_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A key that is busy every minute, for longer than its minutes are kept."""
    monkeypatch.setattr(unmetered_usage, "MAX_MINUTES", 300)
    hours = 300 // 60 + 6
    honest = sorted([*calls(hours), *(bill(hour, SEEN) for hour in range(1, hours))], key=when)
    thief = [bill(hour, 2 * SEEN) for hour in (hours - 2, hours - 1)]

    assert [] == told(honest)
    assert [(KEY, 4 * SEEN, 2 * SEEN)] == told([*honest, *thief])


def test_a_report_that_comes_after_its_calls_were_forgotten_is_not_compared() -> None:
    days = 24 * HOUR
    calm = [call(at, input_tokens=1, key="hmac:00000000000000bb") for at in (4 * days, 8 * days)]
    late = [bill(hour, SEEN) for hour in (3, 4, 5)]

    assert [] == told([*calls(8), *calm, *late])
    assert [] == told([*calls(8), *calm[:1], *late])


def when(line: bytes) -> str:
    return str(json.loads(line)["timestamp"])
