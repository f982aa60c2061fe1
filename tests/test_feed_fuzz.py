"""Whatever the OpenAPI document allows, and what it does not, is answered and breaks nothing."""

from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode

from alerts.feed.identity import SCOPES
from tests.feed_kit import Office

pytestmark = pytest.mark.slow

EXAMPLES = 80
ANSWERS = {200, 400, 401, 403, 404, 405, 409, 411, 413, 415, 422}


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_breaks_the_machine_feed(tmp_path: Path, mode: GenerationMode) -> None:
    office = Office(tmp_path)
    [id] = office.found("a")
    office.found("b", "c")
    secret = office.feed.sessions.make_token("fuzz", frozenset(SCOPES), None, "root")
    client = office.anonymous()
    seen: dict[str, set[int]] = {}

    def send(case: Any) -> None:
        if isinstance(case.query, dict) and "wait" in case.query:
            case.query["wait"] = 0
        if case.path_parameters and len(case.path_parameters["id"]) % 2:
            case.path_parameters["id"] = id
        asked = case.as_transport_kwargs(base_url="http://127.0.0.1:8788")
        headers = {n: v for n, v in asked.get("headers", {}).items() if n.lower() != "accept"}
        asked["headers"] = {**headers, "authorization": f"Bearer {secret}"}
        asked.pop("cookies", None)
        answer = client.request(**asked)
        seen.setdefault(case.operation.label, set()).add(answer.status_code)
        assert answer.status_code in ANSWERS, (case.operation.label, answer.status_code)

    schema = schemathesis.openapi.from_asgi("/api/openapi.json", office.app)
    for operation in schema.get_all_operations():
        strategy = operation.ok().as_strategy(generation_mode=mode)
        settings = hypothesis.settings(
            max_examples=EXAMPLES, deadline=None, database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip
        try:
            settings(hypothesis.given(strategy)(lambda case: send(case)))()
        except hypothesis.errors.Unsatisfiable:  # nothing about this one can be wrong
            assert mode is GenerationMode.NEGATIVE

    assert 3 < len(seen)
    wanted = 200 if mode is GenerationMode.POSITIVE else 400
    assert any(wanted in statuses for statuses in seen.values())
