"""repeated-call: one prompt answered over and over, one tool call without progress."""

from detectors.repeated_call import FAILING_CALLS, SAME_PROMPT, SPAN_MS
from schemas.samples import (
    repeated_prompt,
    retry_after_failure,
    status_polling,
    stuck_tool_loop,
)
from tests.detecting import among, call, home, noon, only, raised, tool

NAME = "repeated-call"
SPAN = SPAN_MS / 1000


def asked(times: int, seconds: float = 1, **fields: object) -> list[bytes]:
    return [call(60 + i * seconds, **{"prompt": "hmac:1", **fields}) for i in range(times)]


def tried(times: int, seconds: float = 5, **fields: object) -> list[bytes]:
    named = {"tool": "search", "side_effect": False, **fields}
    return [tool(60 + i * seconds, **named) for i in range(times)]


def test_a_loop_that_pays_for_every_answer_is_found() -> None:
    client = home()
    found = raised(among(client, repeated_prompt(0, noon(), client)), NAME)

    assert {client.key} == {finding.entity.id for finding in found}


def test_a_stuck_agent_is_found() -> None:
    staged = stuck_tool_loop(0, noon(), "acme")

    assert [staged.entities[0]] == [finding.entity for finding in raised(only(staged), NAME)]


def test_one_answer_more_than_honest_is_found() -> None:
    assert [] == raised(asked(SAME_PROMPT), NAME)
    assert 1 == len(raised(asked(SAME_PROMPT + 1), NAME))


def test_refused_calls_and_other_prompts_do_not_count() -> None:
    assert [] == raised(asked(100, http_status=429), NAME)
    assert [] == raised(asked(100, http_status=403, model="m"), NAME)
    assert [] == raised([call(i, prompt=f"hmac:{i}") for i in range(100)], NAME)


def test_a_check_every_minute_is_quiet() -> None:
    assert [] == raised(asked(600, seconds=60), NAME)


def test_the_same_tool_call_is_found_when_it_fails_once_too_often() -> None:
    assert [] == raised(tried(FAILING_CALLS - 1, status="error"), NAME)
    [found] = raised(tried(FAILING_CALLS, status="error"), NAME)
    assert ("run-123456789", FAILING_CALLS) == (found.entity.id, len(found.event_ids))


def test_a_tool_call_that_succeeds_is_progress() -> None:
    assert [] == raised(tried(200, status="ok"), NAME)


def test_failures_far_apart_are_quiet() -> None:
    seconds = SPAN / (FAILING_CALLS - 1)

    assert 1 == len(raised(tried(FAILING_CALLS, seconds - 1, status="error"), NAME))
    assert [] == raised(tried(FAILING_CALLS * 3, seconds, status="error"), NAME)


def test_other_arguments_tools_and_sessions_are_other_calls() -> None:
    for name in ("args", "tool", "session", "tenant"):
        lines = [tool(60 + i, **{"status": "error", name: f"x{i}"}) for i in range(50)]
        assert [] == raised(lines, NAME)


def test_a_polling_agent_is_quiet_however_often_it_asks() -> None:
    assert [] == raised(only(status_polling(0, noon(), "acme")), NAME)


def test_an_honest_retry_is_quiet() -> None:
    assert [] == raised(only(retry_after_failure(0, noon(), "acme")), NAME)


def test_it_is_told_once_however_long_it_goes_on() -> None:
    assert 1 == len(raised(tried(200, status="error"), NAME))


def test_tenants_that_number_their_sessions_alike_are_told_apart() -> None:
    both = [
        one
        for times in zip(
            tried(FAILING_CALLS, status="error"),
            tried(FAILING_CALLS, status="error", tenant="globex"),
            strict=True,
        )
        for one in times
    ]

    assert [] == raised(both[:-2], NAME)
    assert ["acme", "globex"] == [found.tenant for found in raised(both, NAME)]
