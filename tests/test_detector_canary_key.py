"""canary-key: nobody has a reason to use a planted key."""

import pytest

from schemas.finding import Severity
from tests.detecting import HOUR, KEY, alone, call

NAME = "canary-key"
OTHER = "hmac:00000000000000bb"
PLANTED = {"canaries": frozenset({KEY})}


@pytest.mark.parametrize(
    "fields",
    [
        {"http_status": 200},
        {"http_status": 401, "kind": "llm.auth_failure", "tenant": None},
        {"kind": "agent.tool_call", "tool": "t"},
        {"address": None, "user_agent": None},
    ],
)
def test_one_use_is_enough_whatever_became_of_it(fields: dict[str, object]) -> None:
    [found] = alone([call(0, **fields)], NAME, **PLANTED)

    assert (KEY, Severity.CRITICAL) == (found.entity.id, found.severity)


def test_it_is_told_once_a_day() -> None:
    lines = [call(hour * HOUR) for hour in range(48)]

    assert 2 == len(alone(lines, NAME, **PLANTED))


def test_other_keys_are_quiet_and_so_is_an_empty_list() -> None:
    assert [] == alone([call(0, key=OTHER), call(1, key=None)], NAME, **PLANTED)
    assert [] == alone([call(0)], NAME)
