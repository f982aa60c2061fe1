"""logging-tamper: somebody switches off what would show them."""

import pytest

from detectors.logging_tamper import SWITCHED_OFF, WEAKENED
from tests.detecting import alone, call

NAME = "logging-tamper"


def action(name: str | None, **fields: object) -> bytes:
    named = {"kind": "llm.control_plane", "key": None, "user_id": "eve", "status": "ok"}
    return call(0, **{**named, "operation_name": name, "http_status": None, **fields})


@pytest.mark.parametrize(
    ("names", "status", "severity"),
    [
        (SWITCHED_OFF, "ok", "high"),
        (SWITCHED_OFF, "error", "medium"),
        (WEAKENED, "ok", "medium"),
        (WEAKENED, "blocked", "low"),
    ],
)
def test_switching_off_weighs_more_than_changing_and_doing_more_than_trying(
    names: set[str], status: str, severity: str
) -> None:
    for name in names:
        [found] = alone([action(name, status=status)], NAME)
        assert ("eve", severity) == (found.entity.id, found.severity.value)


def test_names_are_compared_without_regard_to_case() -> None:
    assert 1 == len(alone([action("DeleteModelInvocationLoggingConfiguration")], NAME))


def test_two_actions_of_one_actor_are_two_findings_and_the_same_one_is_not() -> None:
    assert 2 == len(alone([action("StopLogging"), action("DeleteTrail")] * 3, NAME))


def test_reading_is_quiet_and_so_is_an_unknown_action() -> None:
    for name in ("GetModelInvocationLoggingConfiguration", "CreateGuardrail", None):
        assert [] == alone([action(name)], NAME)


def test_a_model_call_with_such_a_name_is_none() -> None:
    assert [] == alone([action("StopLogging", kind="llm.request")], NAME)


def test_automation_on_the_list_is_quiet() -> None:
    assert [] == alone([action("StopLogging")], NAME, support={"eve"})
    key = "hmac:00000000000000aa"
    assert [] == alone([action("StopLogging", key=key)], NAME, support={key})


def test_actors_are_told_apart_by_whatever_names_them() -> None:
    named = {"user_id": None, "tenant": None, "address": None}
    lines = [
        action("StopLogging", **{**named, name: value})
        for name, value in [
            ("cloud_account_id", "123456789012"),
            ("address", "203.0.113.7"),
            ("address", "203.0.113.8"),
            ("tenant", "globex"),
        ]
    ]
    found = {one.entity.id for one in alone(lines, NAME)}

    assert {"123456789012", "203.0.113.7", "203.0.113.8", "globex"} == found
    assert ["unknown"] == [
        one.entity.id for one in alone([action("StopLogging", **named)] * 2, NAME)
    ]
