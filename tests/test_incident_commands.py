"""What operators type about incidents, silences and the outbox."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from alerts.outbox import Outbox
from alerts.store import AlertStore
from schemas.finding import Severity
from schemas.records import Control
from streams import cli
from streams.journal_reader import JournalReader
from streams.store import STORE_FILE
from tests.alerts_fakes import KEY, Everyone, Receiver, finding, receiving

NOW = datetime.now(UTC)


class Shell:
    """A data directory with one incident of two findings, and a terminal."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.data = folder / "data"
        self.data.mkdir()
        self.config = folder / "tripmeter.toml"
        self.config.write_text('[store]\nfindings_file = ""\n')
        self.capsys = capsys
        self.store = AlertStore(self.data / STORE_FILE, Everyone(("siem",), ("people",)))
        self.found("f-1")
        self.found("f-2")
        self.error = ""

    def found(self, id: str, **changes: Any) -> None:
        recent = NOW - timedelta(minutes=5)
        self.store.record([finding(id, time=recent, since=recent, **changes)])

    def run(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        where = ("--data", str(self.data), "--config", str(self.config), "--json")
        self.capsys.readouterr()
        assert code == cli.main([*words, *where])
        told = self.capsys.readouterr()
        self.error = told.err
        return [json.loads(line) for line in told.out.splitlines()]

    def read(self, *words: str) -> str:
        self.capsys.readouterr()
        assert 0 == cli.main([*words, "--data", str(self.data), "--config", str(self.config)])
        return self.capsys.readouterr().out

    @property
    def id(self) -> str:
        return str(self.run("incidents", "--all")[0]["id"])

    def decided(self) -> list[Control]:
        lines = JournalReader(self.data / "journal.db").read(0, 100)
        assert lines is not None
        return [Control.model_validate_json(line) for line in lines.data.splitlines()]


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, capsys)


def test_incidents_are_listed_and_one_is_told_in_full(shell: Shell) -> None:
    (row,) = shell.run("incidents", "--severity", "high", "--since", "1h")
    assert ("open", 2, "llmjacking:credential:hmac:819685611e044dc4") == (
        row["state"], row["count"], row["key"]
    )  # fmt: skip
    assert [] == shell.run("incidents", "--severity", "critical")
    assert [] == shell.run("incidents", "--state", "resolved")
    (story,) = shell.run("incidents", row["id"][:6])
    assert ["f-1", "f-2"] == [each["id"] for each in story["all_findings"]]
    assert ["opened", "updated"] == [each["change"] for each in story["history"]]
    told = shell.read("incidents", row["id"])
    assert "A key is tried at many models (high)" in told and "opened" in told


def test_an_incident_is_acknowledged_for_a_time_by_somebody(shell: Shell) -> None:
    (row,) = shell.run("ack", shell.id[:8], "--for", "2h", "--by", "ana", "--reason", "looking")
    until = datetime.fromisoformat(row["until"])
    assert ("acked", "ana") == (row["state"], row["owner"])
    assert timedelta(minutes=119) < until - NOW < timedelta(minutes=130)
    assert "acked until" in shell.read("incidents")


def test_an_incident_is_snoozed_resolved_reopened_and_called_false(shell: Shell) -> None:
    for words, state in (
        (("snooze",), "snoozed"),
        (("resolve",), "resolved"),
        (("resolve", "--reopen"), "open"),
        (("resolve", "--false-positive"), "false_positive"),
    ):
        command, *options = words
        assert [state] == [row["state"] for row in shell.run(command, shell.id, *options)]
    assert [] == shell.run("incidents")
    shell.run("snooze", shell.id, code=2)
    assert "it is false_positive; reopen it first" in shell.error


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("ack", "zz"), "no single incident begins with 'zz'"),
        (("ack", "zz", "--for", "soon"), "write 30m, 4h, 7d"),
        (("ack", "zz", "--for", "2020-01-01"), "has passed"),
        (("incidents", "zz"), "no single incident begins with 'zz'"),
        (("silence", "add", "--reason", "x", "--tenant", "a"), "needs an end"),
        (("silence", "add", "--reason", "x", "--for", "1h"), "would hide everything"),
        (("silence", "preview", "--entity", "key"), "write LANE:ID"),
        (("silence", "end", "zz"), "no single silence in force"),
        (("outbox", "retry", "99"), "no refused record of these numbers"),
        (("outbox", "discard"), "give numbers"),
        (("alert", "test", "nobody"), "no destination 'nobody'"),
    ],
)
def test_a_mistake_says_what_to_do(shell: Shell, words: tuple[str, ...], error: str) -> None:
    shell.run(*words, code=2)
    assert error in shell.error


def test_without_a_store_the_commands_say_where_they_looked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 2 == cli.main(["incidents", "--data", str(tmp_path)])
    assert f"nothing in {tmp_path}: has `tripmeter serve` run there?" in capsys.readouterr().err


def test_what_is_expected_is_previewed_then_told_to_the_core(shell: Shell) -> None:
    words = ("expected", shell.id, "--reason", "load test", "--by", "ana")
    (preview,) = shell.run(*words, "--preview")
    assert ("key-probe", 2, 1) == (
        preview["detector"], preview["findings"], preview["incidents"]
    )  # fmt: skip
    assert ["open"] == [row["state"] for row in shell.run("incidents")]
    assert ["resolved"] == [row["state"] for row in shell.run(*words)]
    assert [("expected", "key-probe", KEY, "ana", "load test")] == [
        (c.action, c.detector, c.entity, c.owner, c.reason) for c in shell.decided()
    ]


def test_a_silence_is_previewed_made_listed_and_ended(shell: Shell) -> None:
    what = ("--tenant", "acme", "--entity", f"credential:{KEY.id}")
    (preview,) = shell.run("silence", "preview", *what)
    assert 2 == preview["findings"]
    (made,) = shell.run("silence", "add", *what, "--for", "4h", "--reason", "move", "--by", "ana")
    assert (True, 2) == (made["in_force"], made["preview"]["findings"])
    assert [made["id"]] == [row["id"] for row in shell.run("silence", "list")]
    (ended,) = shell.run("silence", "end", made["id"][:8], "--by", "ben")
    assert ([], False) == (shell.run("silence", "list"), ended["in_force"])
    assert 1 == len(shell.run("silence", "list", "--all"))
    assert [made["id"]] * 2 == [control.id for control in shell.decided()]


def test_the_outbox_says_who_waits_and_takes_refused_records_back(shell: Shell) -> None:
    outbox = Outbox(shell.store.engine)
    outbox.bury("siem", outbox.pending("siem", 1)[0], "HTTP 400")
    rows = {row["destination"]: row for row in shell.run("outbox", "list")}
    assert (1, 1, False) == (
        rows["siem"]["waiting"], rows["siem"]["dead"], rows["siem"]["configured"]
    )  # fmt: skip
    (dead,) = shell.run("outbox", "dead")
    assert ("f-1#1", "HTTP 400", "f-1") == (dead["key"], dead["reason"], dead["finding"]["id"])
    assert [{"retry": 1}] == shell.run("outbox", "retry", str(dead["number"]))
    outbox.bury("siem", outbox.pending("siem", 1)[0], "HTTP 400")
    assert [{"discard": 1}] == shell.run("outbox", "discard", "--all")
    assert [] == shell.run("outbox", "dead")


def test_what_is_done_on_the_command_line_waits_for_the_destinations(shell: Shell) -> None:
    shell.config.write_text(
        '[store]\nfindings_file = ""\n[destinations.archive]\ntype = "file"\npath = "f.ndjson"\n'
    )
    shell.run("resolve", shell.id)
    keys = [row.key for row in Outbox(shell.store.engine).pending("archive", 9)]
    assert ["f-1#closed-3", "f-2#closed-3"] == keys


def test_a_test_message_says_whether_each_destination_takes_it(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEC_TOKEN", "t")

    def configure(collector: Receiver) -> None:
        shell.config.write_text(
            '[store]\nfindings_file = ""\n[destinations.archive]\ntype = "file"\n'
            'path = "f.ndjson"\n[destinations.siem]\ntype = "splunk_hec"\n'
            f'url = "{collector.url}"\ntoken_env = "HEC_TOKEN"\n'
        )

    with receiving() as collector:
        configure(collector)
        told = shell.run("alert", "test")
        assert {"archive": True, "siem": True} == {r["destination"]: r["works"] for r in told}
        assert b"Nothing has happened" in collector.requests[0].body
    (told,) = shell.run("alert", "test", "siem", code=1)
    assert (False, True) == (told["works"], "not now" in told["told"])


def test_a_finding_of_high_severity_is_in_the_table_with_its_cost(shell: Shell) -> None:
    shell.found("f-3", severity=Severity.CRITICAL, cost_usd=1234.5)
    assert "$1,234.50" in shell.read("incidents")
