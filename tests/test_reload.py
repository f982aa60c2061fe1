"""Destinations and routes are read again on SIGHUP, and nothing is lost in between."""

import json
import os
import signal
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from streams.configuration import BadConfig
from streams.delivery import Delivery
from streams.kafka.outgoing import Outgoing
from streams.reload import Reload, restart_needed
from streams.settings import Settings
from tests.alerts_fakes import finding
from tests.kafka_broker import until
from tests.serving import Serve
from tests.traffic import small_day

A = {"type": "file", "path": "a.ndjson"}
B = {"type": "file", "path": "b.ndjson"}


def settings(**tables: Any) -> Settings:
    return Settings.model_validate({"store": {"findings_file": ""}, **tables})


def test_only_what_is_not_read_again_needs_a_restart() -> None:
    before = settings(destinations={"a": A})
    after = settings(destinations={"b": B}, routes=[{"to": "b"}], core={"alert_budget": 2})
    assert ["core"] == restart_needed(before, after)


def test_new_routes_count_at_once(tmp_path: Path) -> None:
    running = settings(destinations={"a": A, "b": B})
    delivery = Delivery(tmp_path, running)
    changed = settings(destinations={"a": A, "b": B}, routes=[{"to": "b", "tenant": "nobody"}])
    assert ("a", "b") == delivery.router.of_finding(finding())
    assert Reload(lambda: changed, delivery, running).now()
    assert ("a",) == delivery.router.of_finding(finding())


def test_deliver_reads_them_again_as_well(tmp_path: Path) -> None:
    def to(name: str) -> Settings:
        file = {"type": "file", "path": str(tmp_path / f"{name}.ndjson")}
        return settings(destinations={name: file})

    running = to("a")
    outgoing = Outgoing(tmp_path, running, lambda _: None)
    outgoing.start()
    outgoing.record([finding("before")], (), (), {})

    assert Reload(lambda: to("b"), outgoing.delivery, running).now()
    outgoing.record([finding("after")], (), (), {})
    outgoing.stop()

    told = {name: (tmp_path / f"{name}.ndjson").read_text() for name in ("a", "b")}
    assert (1, 1) == (told["a"].count("\n"), told["b"].count("\n"))
    assert '"before"' in told["a"] and '"after"' in told["b"]


def test_a_configuration_that_cannot_be_used_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    running = settings(destinations={"a": A})
    delivery = Delivery(tmp_path, running)

    def broken() -> Settings:
        raise BadConfig(["tripmeter.toml:3: server.lisen: unknown key"])

    wrong = settings(destinations={"a": {"type": "pigeon"}})
    assert [False, False] == [
        Reload(load, delivery, running).now() for load in (broken, lambda: wrong)
    ]
    assert ("a",) == delivery.router.names
    assert "tripmeter.toml:3: server.lisen: unknown key" in caplog.text
    assert "pigeon" not in caplog.text


def test_a_hangup_ends_nothing_but_reads_again(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGHUP)
    read: list[bool] = []
    reload = Reload(settings, cast(Any, SimpleNamespace()), settings())
    monkeypatch.setattr(reload, "now", lambda: read.append(True))
    monkeypatch.setattr("sys.stdin", None)
    try:
        reload.on_hangup()
        os.kill(os.getpid(), signal.SIGHUP)
        for thread in threading.enumerate():
            if thread.name == "reload":
                thread.join(5)
        assert [True] == read
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
def test_a_real_process_goes_on_with_its_new_destinations_and_loses_nothing(tmp_path: Path) -> None:
    two = '[destinations.{}]\ntype = "file"\npath = "{}.ndjson"\n'
    serve = Serve(tmp_path / "data", two.format("first", "first"))
    lines = small_day(hours=(9, 13), clients=1)
    half = len(lines) // 2
    try:
        serve.start()
        assert 200 == serve.post(b"\n".join(lines[:half])).status_code
        serve.drained()
        serve.config.write_text(two.format("first", "first") + two.format("second", "second"))
        os.kill(serve.pid, signal.SIGHUP)
        until(lambda: "read again: first, second" in serve.log)
        serve.config.write_text("[server]\nlisen = 1\n")
        os.kill(serve.pid, signal.SIGHUP)
        until(lambda: "the one before stays" in serve.log)
        assert 200 == serve.post(b"\n".join(lines[half:])).status_code
        serve.drained()
        assert 0 == serve.stop()
    finally:
        serve.close()
    told = {name: _uids(tmp_path / f"{name}.ndjson") for name in ("first", "second")}
    found = {f"{id}#{revision}" for id, revision, _ in serve.findings()}
    assert found == set(told["first"]) and len(found) == len(told["first"])
    assert 0 < len(told["second"]) < len(found) and set(told["second"]) < found
    assert {"delivered"} == {state for *_, state in serve.outbox()}


def _uids(path: Path) -> list[str]:
    return [json.loads(line)["metadata"]["uid"] for line in path.read_text().splitlines()]
