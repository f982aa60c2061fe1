"""revoked-key: used after it was revoked, answered or refused."""

from datetime import timedelta

import pytest

from detectors.revoked_key import GRACE_MS
from schemas.finding import Severity
from tests.detecting import HOUR, KEY, START, alone, call

NAME = "revoked-key"
AT = 2 * HOUR
REVOKED = {"revoked": {KEY: START + timedelta(seconds=AT)}}
GRACE = GRACE_MS / 1000


def test_use_is_found_from_the_end_of_the_grace_on() -> None:
    assert [] == alone([call(0), call(AT), call(AT + GRACE - 0.001)], NAME, **REVOKED)
    [found] = alone([call(AT + GRACE, status="ok")], NAME, **REVOKED)
    assert (KEY, Severity.CRITICAL) == (found.entity.id, found.severity)


@pytest.mark.parametrize("status", ["error", "blocked", None])
def test_what_is_refused_is_worth_knowing_and_no_more(status: str | None) -> None:
    [found] = alone([call(AT + HOUR, status=status, http_status=401)], NAME, **REVOKED)

    assert Severity.LOW == found.severity


def test_an_answer_is_told_even_if_a_refusal_was() -> None:
    lines = [call(AT + HOUR, status="error", http_status=401), call(AT + HOUR + 1, status="ok")]

    assert ["low", "critical"] == [f.severity.value for f in alone(lines * 3, NAME, **REVOKED)]


def test_other_keys_are_quiet() -> None:
    assert [] == alone([call(AT + HOUR, key="hmac:00000000000000bb")], NAME, **REVOKED)
    assert [] == alone([call(AT + HOUR)], NAME)


@pytest.mark.parametrize(
    ("fields", "severity"),
    [
        ({"status": None, "http_status": 200}, "critical"),
        ({"status": None, "http_status": None, "output_tokens": 500}, "critical"),
        ({"status": "error", "http_status": 500}, "medium"),
        ({"status": "error", "http_status": None, "error_type": "timeout"}, "medium"),
        ({"status": "error", "http_status": None}, "medium"),
        ({"status": None, "http_status": 403}, "low"),
        ({"status": "error", "http_status": None, "error_type": "permission"}, "low"),
        ({"status": "blocked", "http_status": None}, "low"),
        ({"status": None, "http_status": None, "kind": "llm.auth_failure"}, "low"),
    ],
)
def test_only_a_denial_is_a_refusal(fields: dict[str, object], severity: str) -> None:
    [found] = alone([call(AT + HOUR, **fields)], NAME, **REVOKED)

    assert severity == found.severity.value
    assert [] == alone([call(AT, **fields)], NAME, **REVOKED)
