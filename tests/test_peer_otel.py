"""Real OpenTelemetry SDKs, Python and JavaScript, report to a real `tripmeter serve`."""

import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers.environment import PROGRAMS, node_modules, python_of
from tests.peers.ledger import Event, counts, events, until
from tests.peers.process import clean_environment, run
from tests.peers.upstream import Upstream
from tests.serving import Serve

pytestmark = pytest.mark.peer

SECRET = "MARKER-19c2-what-the-customer-asked"
KEY = "sk-the-key-of-the-application"
CALLS = [
    ("plain", "gpt-4o"),
    ("plain", "gpt-4o-mini"),
    ("stream", "gpt-4o"),
    ("tool", "gpt-4o"),
    ("plain", "busy-model"),
    ("plain", "revoked-model"),
    ("plain", "flaky"),
]
ENDS = ["ok", "ok", "ok", "ok", "RateLimitError", "AuthenticationError", "ok"]
TOOLS = ["read_document", "send_mail"]
LATEST = "gen_ai_latest_experimental"


@dataclass(frozen=True)
class Told:
    """What was accepted, what was counted, what the provider saw, and everything written."""

    events: list[Event]
    counts: dict[str, float]
    upstream: dict[str, int]
    written: bytes

    def of(self, source: str, name: str = "llm.request") -> list[Event]:
        """The events of one signal and kind."""
        return [
            event
            for event in self.events
            if (event["ingest.source"], event["event.name"]) == (source, name)
        ]


def _environment(folder: Path, serve: Serve, **more: str) -> dict[str, str]:
    return clean_environment(
        folder,
        OTEL_EXPORTER_OTLP_ENDPOINT=serve.url,
        OTEL_EXPORTER_OTLP_HEADERS=f"authorization=Bearer%20{serve.token}",
        **more,
    )


def _told(serve: Serve, upstream: dict[str, int], at_least: int) -> Told:
    until(lambda: len(events(serve.data)) >= at_least, 20.0, "the last export")
    serve.drained()
    counted = counts(serve)
    serve.stop()
    return Told(events(serve.data), counted, upstream, serve.everything())


@pytest.fixture(scope="module", params=["", LATEST], ids=["default", "latest"])
def python(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """The Python SDK with both spellings of the conventions, telling contents where it can."""
    folder = tmp_path_factory.mktemp("python")
    serve, upstream = Serve(folder / "data"), Upstream()
    try:
        serve.start()
        environment = _environment(
            folder,
            serve,
            OTEL_SEMCONV_STABILITY_OPT_IN=request.param,
            OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="span_and_event",
            OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT="true",
        )
        asked = [(kind, model, f"{SECRET} {at}") for at, (kind, model) in enumerate(CALLS)]
        plan = {"key": KEY, "upstream": upstream.url, "calls": asked, "tools": TOOLS}
        program = [str(python_of("otel")), str(PROGRAMS / "otel_app.py"), json.dumps(plan)]
        assert ENDS == json.loads(run(program, folder, environment).splitlines()[-1])
        return _told(serve, upstream.calls, len(CALLS) + len(TOOLS))
    finally:
        upstream.close()
        serve.close()


@pytest.fixture(scope="module")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """The JavaScript SDK, which writes JSON and sends it in chunks."""
    folder = tmp_path_factory.mktemp("javascript")
    serve = Serve(folder / "data")
    try:
        serve.start()
        home = node_modules()
        shutil.copy(PROGRAMS / "otel_app.mjs", home)
        plan = {"models": ["gpt-4o", "gpt-4o-mini", "busy-model"], "tools": TOOLS}
        run(
            ["node", str(home / "otel_app.mjs"), json.dumps(plan)],
            folder,
            _environment(folder, serve),
        )
        return _told(serve, {}, 5)
    finally:
        serve.close()


def test_every_call_of_the_python_sdk_is_told_with_its_outcome(python: Told) -> None:
    spans = python.of("otlp.span")

    assert Counter(model for _, model in CALLS) == Counter(e["gen_ai.request.model"] for e in spans)
    assert {"busy-model": "rate_limit", "revoked-model": "auth"} == {
        event["gen_ai.request.model"]: event["error.type"]
        for event in spans
        if event["status"] == "error"
    }
    assert {"cedar"} == {event["tenant.id"] for event in python.events}
    assert {(1200, 340)} == {
        (event["gen_ai.usage.input_tokens"], event["gen_ai.usage.output_tokens"])
        for event in spans
        if event["status"] == "ok"
    }
    assert TOOLS == [e["gen_ai.tool.name"] for e in python.of("otlp.span", "agent.tool_call")]


def test_a_span_and_its_log_record_are_judged_as_one_call(python: Told) -> None:
    spans = {event["event.id"] for event in python.of("otlp.span")}
    logs = [event["event.id"] for event in python.of("otlp.log")]
    count = python.counts

    assert set(logs) <= spans and len(logs) == len(set(logs))
    seen_again = count["judged_duplicates"] + count["judged_merged"]
    assert len(python.events) == count["judged_events"] == len(CALLS) + len(TOOLS) + len(logs)
    assert seen_again == len(logs)
    assert 0 == count["judged_conflicts"] == count["judged_late"] == count.get("rejected", 0)


def test_the_span_of_the_web_request_is_counted_as_ignored(python: Told) -> None:
    assert python.counts["ignored"] >= 1


def test_the_retries_of_the_client_library_are_not_claimed_as_known(python: Told) -> None:
    assert (3, 1, 3) == tuple(python.upstream[m] for m in ("busy-model", "revoked-model", "flaky"))
    assert {"none"} == {event["retry.evidence"] for event in python.of("otlp.span")}


def test_neither_prompts_nor_answers_nor_keys_of_the_python_sdk_are_written(python: Told) -> None:
    assert [] == [text for text in (SECRET, KEY) if text.encode() in python.written]


def test_every_span_of_the_javascript_sdk_is_accounted_for(javascript: Told) -> None:
    calls = {event["gen_ai.request.model"]: event["status"] for event in javascript.of("otlp.span")}

    assert {"gpt-4o": "ok", "gpt-4o-mini": "ok", "busy-model": "error"} == calls
    tools = javascript.of("otlp.span", "agent.tool_call")
    assert TOOLS == [event["gen_ai.tool.name"] for event in tools]
    assert (5, 1, 0) == (
        javascript.counts["judged_events"],
        javascript.counts["ignored"],
        javascript.counts.get("rejected", 0),
    )
    assert {"maple"} == {event["tenant.id"] for event in javascript.events}
