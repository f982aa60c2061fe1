"""The command line: quick to help, plain in a pipe, exact in its exit codes."""

import json
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from alerts.destination_settings import TYPES
from alerts.routes import Route
from schemas.finding import Severity
from streams import cli
from streams.commands import shared
from streams.quarantine import Quarantine, Refused
from streams.settings import Settings, TokenSettings
from streams.store import Store
from tests.test_serve_judge import finding

HELP_S = 0.5


def run(*words: str) -> int:
    return cli.main(words)


def told(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    captured = capsys.readouterr()
    return captured.out, captured.err


@pytest.fixture
def data(tmp_path: Path) -> Path:
    store = Store(tmp_path)
    hot = finding(3, 4).model_copy(
        update={"severity": Severity.CRITICAL, "summary": "a\x1b[31m\nb", "detector": "hot"}
    )
    store.record([finding(1, 1), finding(2, 3), hot])
    store.close()
    return tmp_path


def test_help_answers_at_once_and_names_every_command() -> None:
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "streams.cli", "--help"], capture_output=True, text=True
        )
        seconds.append(time.perf_counter() - began)
    assert 0 == done.returncode
    assert all(f"  {name} " in done.stdout for name in cli.COMMANDS)
    assert min(seconds) <= HELP_S


@pytest.mark.parametrize("words", [(), ("nope",), ("findings", "--nope"), ("explain",)])
def test_a_wrong_usage_is_2(words: Sequence[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*words)
    assert 2 == ended.value.code


def test_version_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == run("version")
    assert re.fullmatch(r"tripmeter \S+ \(events 1\.0, Python 3\.\S+\)\n", told(capsys)[0])


def test_init_writes_the_defaults_and_never_over_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tripmeter.toml"
    assert 0 == run("init", str(file))
    assert 2 == run("init", str(file))
    assert "left as it is" in told(capsys)[1]
    assert {} == tomllib.loads(file.read_text())
    assert 0 == run("check", str(file))


def test_what_init_shows_are_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == run("init", "-")
    text = told(capsys)[0]
    shown = tomllib.loads(re.sub(r"^#(?=[a-z\[])", "", text, flags=re.MULTILINE))
    ours = {name: shown[name] for name in ("server", "journal", "store", "quarantine", "adapters")}
    assert Settings.model_validate(ours) == Settings()
    assert set(shown["tokens"]["gateway"]) == set(TokenSettings.model_fields)
    assert set(TYPES) == set(shown["destinations"])
    assert set(Route.model_fields) == set(shown["routes"][0])
    assert {"active"} == set(shown["detectors"].values())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[core]\nalert_budget = -1\n", "c.toml:2: core.alert_budget: "),
        ("[core]\nalert_budgt = 1\n", "core.alert_budgt: unknown key; did you mean 'alert_budget'"),
        ('[detectors]\nkey-prob = "off"\n', "c.toml:2: detectors.key-prob: unknown key; did you"),
        ('[destinations.x]\ntype = "smoke"\n', "c.toml:2: destinations.x.type: "),
        ("[tokens.a]\n", "c.toml:1: tokens.a: has no secret; set secret_file or"),
    ],
)
def test_check_ends_with_78_and_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, complaint: str
) -> None:
    (tmp_path / "c.toml").write_text(text)
    assert 78 == run("check", str(tmp_path / "c.toml"))
    assert complaint in told(capsys)[1]


@pytest.mark.parametrize("name", ["pepper", "quarantine.key"])
def test_a_secret_that_cannot_be_trusted_ends_with_78_and_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / name).touch(0o600)
    (tmp_path / "c.toml").write_text('[server]\nlisten = "127.0.0.1:0"\n')
    assert 78 == run("serve", "--data", str(tmp_path), "--config", str(tmp_path / "c.toml"))
    last = told(capsys)[1].splitlines()[-1]
    assert f"{name} should hold 32 bytes; restore it from a copy" in last


def test_serve_refuses_a_bad_configuration_before_it_touches_the_data(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("nonsense")
    assert 78 == run("serve", "--data", str(tmp_path / "d"), "--config", str(tmp_path / "c.toml"))
    assert not (tmp_path / "d").exists()


def test_findings_are_listed_newest_first_on_one_line_each(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0 == run("findings", "--data", str(data))
    lines = told(capsys)[0].splitlines()
    assert ["hot", "tenth", "tenth"] == [row.split("\t")[2] for row in lines]
    assert "a\\x1b[31m\\nb" in lines[0]


def test_findings_are_filtered_and_can_fail_a_build(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("findings", "--data", str(data), "--json")
    assert 1 == run(*words, "--severity", "high", "--fail-on", "high")
    assert ["hot"] == [json.loads(line)["detector"] for line in told(capsys)[0].splitlines()]
    assert 0 == run(*words, "--detector", "tenth", "--fail-on", "high")
    assert 2 == len(told(capsys)[0].splitlines())
    assert 0 == run(*words, "--since", "2026-11-21T00:00:02")
    assert 2 == len(told(capsys)[0].splitlines())
    assert 0 == run(*words, "--limit", "1")
    assert 1 == len(told(capsys)[0].splitlines())
    assert 2 == run(*words, "--since", "yesterday")


def test_a_terminal_gets_a_table(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared.sys.stdout, "isatty", lambda: True, raising=False)
    assert 0 == run("findings", "--data", str(data))
    out = told(capsys)[0]
    assert "Findings" in out and "\x1b[31m\nb" not in out


def test_without_data_the_remedy_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (("findings",), ("explain", "abc"), ("dlq", "list")):
        assert 2 == run(*words, "--data", str(tmp_path))
        assert "--data" in told(capsys)[1]


def test_rejected_originals_are_listed_and_shown_without_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quarantine = Quarantine(tmp_path)
    raw = b'{"prompt": "MARKER"}'
    id = quarantine.add(Refused("gw", "/ingest/canonical[0]", "canonical", "event.id", "no", raw))
    quarantine.close()
    assert 0 == run("dlq", "list", "--data", str(tmp_path))
    assert id[:12] in told(capsys)[0]
    assert 0 == run("dlq", "show", id[:8], "--data", str(tmp_path), "--json")
    shown = told(capsys)[0]
    assert ["prompt: string of 6 characters"] == json.loads(shown)["structure"]
    assert "MARKER" not in shown
    assert 2 == run("dlq", "show", "ffff", "--data", str(tmp_path))


def test_detectors_say_what_a_source_does_not_cover(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == run("detectors", "--json")
    catalog = [json.loads(line) for line in told(capsys)[0].splitlines()]
    assert {"key-probe", "foreign-resource"} <= {row["id"] for row in catalog}
    assert 0 == run("detectors", "--source", "litellm", "--json")
    covered = {row["id"]: row["coverage"] for row in map(json.loads, told(capsys)[0].splitlines())}
    assert "covered" == covered["key-probe"]
    assert "covered" == covered["foreign-resource"]
    assert "not covered: no tool.result.truncated" == covered["tool-truncation"]
    assert 2 == run("detectors", "--source", "nope")
    assert "litellm" in told(capsys)[1]


def test_a_finding_is_explained_in_full(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == run("explain", finding(1, 1).id, "--data", str(data))
    out = told(capsys)[0]
    assert "summary\tthe sum is 1" in out
    assert "derived again\t" in out
