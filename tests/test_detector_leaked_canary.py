"""leaked-canary: what was planted to be stolen, seen where it should not be."""

import pytest

from detectors.leaked_canary import PLANTED
from schemas.finding import Finding
from tests.detecting import alone, tool

NAME = "leaked-canary"
ID = "hmac:00c0ffee00c0ffee"


def seen(**fields: object) -> list[Finding]:
    return alone([tool(0, **{"args": None, **fields})], NAME, canaries={ID})


@pytest.mark.parametrize(
    ("fields", "seen_as"),
    [
        ({"resource": ID}, "record"),
        ({"tool_result_sampled_ids": ("x", ID)}, "result"),
        ({"tool_destination_ids": (ID,)}, "destination"),
        ({"args": ID}, "arguments"),
        ({"content_output_hash": ID}, "answer"),
    ],
)
def test_what_is_listed_is_found_wherever_it_is_seen(
    fields: dict[str, object], seen_as: str
) -> None:
    [found] = seen(**fields)

    assert ("critical", seen_as) == (found.severity, found.evidence["seen_as"])
    assert [] == seen(**{name: "x" if value == ID else () for name, value in fields.items()})


def test_a_model_that_says_it_is_found_too() -> None:
    assert 1 == len(seen(kind="llm.request", tool=None, content_output_hash=ID))


@pytest.mark.parametrize(("owner", "found"), [("acme", 0), ("globex", 1), (None, 1)])
def test_the_owner_may_use_the_own_record(owner: str | None, found: int) -> None:
    marked = tool(0, resource="r", owner=owner, resource_owner_source=PLANTED)

    assert found == len(seen(resource=ID, owner=owner))
    assert found == len(alone([marked], NAME))
    assert found == len(alone([marked], NAME, canaries={ID}))


def test_the_owner_may_not_send_it_anywhere() -> None:
    assert 1 == len(seen(owner="acme", tool_destination_ids=(ID,)))


def test_where_nothing_was_planted_nothing_is_found() -> None:
    lines = [tool(i, resource=ID, tool_destination_ids=(ID,)) for i in range(9)]

    assert [] == alone(lines, NAME)
    assert [] == alone([tool(0, resource="r", resource_owner_source="registry")], NAME)


def test_one_session_is_told_once_about_one_canary() -> None:
    lines = [tool(i, args=None, resource=ID) for i in range(9)]

    assert 1 == len(alone(lines, NAME, canaries={ID}))
