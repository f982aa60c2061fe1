"""A real LiteLLM proxy reports to a real `tripmeter serve`: everything arrives, abuse is found."""

import hashlib
import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.peers.ledger import (
    Event,
    calls,
    counts,
    delivered,
    events,
    findings,
    key_id,
    settled,
    until,
)
from tests.peers.process import free_port
from tests.peers.proxy import THERE, Gateway, Sent
from tests.serving import Serve

pytestmark = pytest.mark.peer

CEDAR, MAPLE = "sk-cedar-app-0001", "sk-maple-app-0003"
BATCH, AGENT, LEAKED = "sk-cedar-batch-0002", "sk-maple-agent-0004", "sk-maple-leaked-0005"
WRONG = [f"sk-found-in-a-paste-{number:02}" for number in range(12)]
FORBIDDEN = [f"forbidden-{name}" for name in ("opus", "sonnet", "pro", "ultra")]
REPEATS = 45
FLUSH_S = 5.0  # how long LiteLLM collects callbacks
SECRET = "MARKER-7f3a-what-the-customer-asked"
CALLBACK, SPAN = "litellm.generic_api", "otlp.span"
OUTCOMES = {  # kind of request -> statuses of the events that tell of it
    "plain": {"ok"},
    "stream": {"ok"},
    "mock": {"ok"},
    "repeat": {"ok"},
    "busy": {"error"},
    "forbidden": {"error"},
    "flaky": {"error", "ok"},  # LiteLLM tells of a failed attempt and of the answer
}


@dataclass(frozen=True)
class Story:
    """What the script sent, what was accepted, what was counted, what was found."""

    data: Path
    sent: list[Sent]
    upstream: dict[str, int]
    events: list[Event]
    counts: dict[str, float]
    tools: dict[str, list[object]]
    written: bytes

    def of(self, kind: str) -> list[Sent]:
        """The requests of one kind."""
        return [sent for sent in self.sent if sent.kind == kind]

    def told(self, sent: Sent, source: str) -> list[Event]:
        """The events of one signal about a request."""
        name = f"litellm:{sent.call_id}"
        return [
            event
            for event in self.events
            if event["ingest.source"] == source and name in event["call.ids"]
        ]

    def key(self, key: str) -> str:
        """How events name a key that the proxy was given."""
        return key_id(self.data, hashlib.sha256(key.encode()).hexdigest())


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("litellm")
    (folder / "proxy").mkdir()
    serve = Serve(folder / "data").start()
    try:
        with Gateway(folder / "proxy", serve) as gateway:
            tools = _traffic(gateway)
            settled(serve.data, quiet_s=FLUSH_S + 2.0, within_s=60.0)
        until(lambda: _tools_told(serve.data, SPAN), 30.0, "spans, sent when the proxy ends")
        serve.drained()
        counted = counts(serve)
    finally:
        serve.stop()
    return Story(
        serve.data,
        gateway.sent,
        gateway.upstream.calls,
        events(serve.data),
        counted,
        tools,
        serve.everything(),
    )


def _tools_told(data: Path, source: str) -> bool:
    calls = [event for event in events(data) if event["event.name"] == "agent.tool_call"]
    return 2 <= sum(event["ingest.source"] == source for event in calls)


def _traffic(gateway: Gateway) -> dict[str, list[object]]:
    for number in range(8):
        gateway.chat("plain", CEDAR, "gpt-4o", f"{SECRET} {number}")
        gateway.chat("plain", MAPLE, "gpt-4o-mini", f"{SECRET} {number}")
        gateway.chat("mock", MAPLE, "mock", f"{SECRET} {number}")
    for number in range(4):
        gateway.chat("stream", CEDAR, "gpt-4o", f"{SECRET} s{number}", stream=True)
    with ThreadPoolExecutor(8) as pool:  # LiteLLM waits before it tries again
        for number in range(3):
            pool.submit(gateway.chat, "busy", CEDAR, "busy-model", f"{SECRET} b{number}")
        for model in FORBIDDEN:
            pool.submit(gateway.chat, "forbidden", LEAKED, model, f"{SECRET} hi")
        pool.submit(gateway.chat, "flaky", CEDAR, "flaky", f"{SECRET} f")
    for key in WRONG:
        gateway.chat("refused", key, "gpt-4o", f"{SECRET} hi", address=THERE)
    for _ in range(REPEATS):
        gateway.chat("repeat", BATCH, "gpt-4o", f"{SECRET} the same again")
    calls = [("library-read_document", {"name": SECRET}), ("library-break_down", {"part": 1})]
    return gateway.tools(AGENT, calls)


def test_the_proxy_answered_as_the_script_expects(story: Story) -> None:
    answers = Counter((sent.kind, sent.status) for sent in story.sent)

    assert {
        ("plain", 200): 16,
        ("mock", 200): 8,
        ("stream", 200): 4,
        ("busy", 429): 3,
        ("forbidden", 403): 4,
        ("flaky", 200): 1,
        ("refused", 401): 12,
        ("repeat", 200): REPEATS,
        ("tool", 200): 2,
    } == answers
    assert story.tools == {
        "tools": ["library-read_document", "library-break_down"],
        "failed": [False, True],
    }
    assert 3 * 3 == story.upstream["busy-model"]  # the proxy's own retries, hidden from callers


def test_every_model_call_is_told_with_its_outcome_tenant_and_key(story: Story) -> None:
    for sent in story.sent:
        if sent.kind not in OUTCOMES:
            continue
        told = story.told(sent, CALLBACK) + story.told(sent, SPAN)
        assert OUTCOMES[sent.kind] == {event["status"] for event in told}, sent
        assert {story.key(sent.key)} == {event["api_key.id"] for event in told}
        assert {sent.key.split("-")[1]} == {event["tenant.id"] for event in told}
        assert {"llm.request"} == {event["event.name"] for event in told}


def test_every_refused_key_is_told_from_the_address_it_came_from(story: Story) -> None:
    refused = [event for event in story.events if event["event.name"] == "llm.auth_failure"]

    assert {story.key(key) for key in WRONG} == {event["api_key.id"] for event in refused}
    assert {THERE} == {event["client.address"] for event in refused}
    assert {(None, "auth", "gateway")} == {
        (event.get("tenant.id"), event["error.type"], event["error.origin"]) for event in refused
    }


def test_nothing_is_told_that_the_script_did_not_send_and_nothing_is_rejected(
    story: Story,
) -> None:
    judged = Counter(
        group[0]["event.name"] for group in calls(story.events) for _ in range(_times(group))
    )
    asked = Counter(sent.kind for sent in story.sent)
    refused = Counter(
        (event["api_key.id"], event["ingest.source"])
        for event in story.events
        if event["event.name"] == "llm.auth_failure"
    )

    assert sum(asked[kind] * len(OUTCOMES[kind]) for kind in OUTCOMES) == judged["llm.request"]
    assert asked["tool"] == judged["agent.tool_call"]
    assert {1} == set(refused.values())  # by each signal once: they share no name of the call
    known = {"llm.request", "llm.auth_failure", "agent.tool_call", "agent.tool_list"}
    assert set() == set(judged) - known  # LiteLLM lists tools by itself too
    assert story.counts["ignored"] > 0  # spans of web servers, routers, transports
    assert {"rejected": 0, "judged_late": 0, "judged_conflicts": 0} == {
        name: story.counts.get(name, 0) for name in ("rejected", "judged_late", "judged_conflicts")
    }


def test_the_callback_and_the_spans_of_one_call_are_judged_once(story: Story) -> None:
    groups = calls(story.events)
    judged = story.counts["judged_events"] - story.counts["judged_merged"]

    assert len(story.events) == story.counts["judged_events"] == story.counts["events"]
    assert sum(_times(group) for group in groups) == judged
    twice = sum({CALLBACK, SPAN} <= {event["ingest.source"] for event in g} for g in groups)
    assert twice >= 0.8 * len(story.sent)  # LiteLLM loses callbacks made while it sends others


def test_a_walk_over_stolen_keys_is_found_at_its_address(story: Story) -> None:
    (found,) = {
        (finding["entity"]["lane"], finding["entity"]["id"], finding["severity"])
        for finding in findings(story.data)
        if finding["detector"] == "key-probe" and finding["entity"]["lane"] == "origin"
    }

    assert ("origin", THERE, "high") == found


def test_a_leaked_key_that_tries_refused_models_is_found(story: Story) -> None:
    found = {
        (finding["detector"], finding["tenant"])
        for finding in findings(story.data)
        if finding["entity"]["id"] == story.key(LEAKED)
    }

    assert {("key-probe", "maple"), ("model-sweep", "maple")} <= found


def test_a_prompt_asked_over_and_over_is_found(story: Story) -> None:
    found = {
        (finding["entity"]["id"], finding["tenant"])
        for finding in findings(story.data)
        if finding["detector"] == "repeated-call"
    }

    assert {(story.key(BATCH), "cedar")} == found


def test_honest_keys_raise_nothing(story: Story) -> None:
    honest = {story.key(key) for key in (CEDAR, MAPLE, AGENT)}

    assert set() == honest & {finding["entity"]["id"] for finding in findings(story.data)}


def test_what_is_found_is_delivered(story: Story) -> None:
    found = {finding["id"] for finding in findings(story.data)}

    assert found == {record["finding_info"]["uid"] for record in delivered(story.data)}


def test_neither_prompts_nor_keys_are_written_anywhere(story: Story) -> None:
    secrets = [SECRET, *WRONG, CEDAR, MAPLE, BATCH, AGENT, LEAKED, "no such key"]

    assert [] == [secret for secret in secrets if secret.encode() in story.written]
    assert [] == [secret for secret in secrets if secret in json.dumps(story.events)]


def test_restarts_of_serve_lose_no_call(tmp_path: Path) -> None:
    (tmp_path / "proxy").mkdir()
    address = ["--listen", f"127.0.0.1:{free_port()}"]
    serve = Serve(tmp_path / "data", options=address).start()
    try:
        with Gateway(tmp_path / "proxy", serve) as gateway:
            for round in range(3):
                for number in range(5):
                    gateway.chat("mock", CEDAR, "mock", f"{round} {number}")
                assert 0 == serve.stop()  # while LiteLLM still collects
                time.sleep(1.0)
                serve.start()
                settled(serve.data, quiet_s=FLUSH_S + 2.0, within_s=30.0)
        settled(serve.data, quiet_s=1.0, within_s=30.0)
        serve.drained()
        judged = serve.metric("tripmeter_judged_events_total")
        judged -= serve.metric("tripmeter_judged_merged_total")
    finally:
        serve.close()
    groups = calls(events(serve.data))
    told = {name for group in groups for event in group for name in event["call.ids"]}

    assert set() == {f"litellm:{sent.call_id}" for sent in gateway.sent} - told
    assert 15 == sum(group[0]["event.name"] == "llm.request" for group in groups)
    assert len(groups) == judged  # with the tools that LiteLLM lists by itself when it starts


def _times(group: list[Event]) -> int:
    """How often a call must be judged: a signal may tell of several attempts of it."""
    return max(Counter(event["ingest.source"] for event in group).values())
