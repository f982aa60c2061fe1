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

from schemas.finding import Severity
from streams import cli
from streams.commands import shared
from streams.quarantine import Quarantine, Refused
from streams.settings import Settings, TokenSettings
from streams.store import Store
from tests.test_serve_judge import finding

HELP_S = 0.3


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
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "streams.cli", "--help"], capture_output=True, text=True
        )
        seconds.append(time.perf_counter() - began)
    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in cli.COMMANDS)
    assert min(seconds) <= HELP_S


@pytest.mark.parametrize("words", [(), ("nope",), ("findings", "--nope"), ("explain",)])
def test_a_wrong_usage_is_2(words: Sequence[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*words)
    assert ended.value.code == 2


def test_version_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("version") == 0
    assert re.fullmatch(r"tripmeter \S+ \(events 1\.0, Python 3\.\S+\)\n", told(capsys)[0])


def test_init_writes_the_defaults_and_never_over_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tripmeter.toml"
    assert run("init", str(file)) == 0
    assert run("init", str(file)) == 2
    assert "left as it is" in told(capsys)[1]
    assert tomllib.loads(file.read_text()) == {}
    assert run("check", str(file)) == 0


def test_what_init_shows_are_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("init", "-") == 0
    text = told(capsys)[0]
    shown = tomllib.loads(re.sub(r"^#(?=[a-z\[])", "", text, flags=re.MULTILINE))
    ours = {name: shown[name] for name in ("server", "journal", "store", "quarantine", "adapters")}
    assert Settings.model_validate(ours) == Settings()
    assert set(shown["tokens"]["gateway"]) == set(TokenSettings.model_fields)
    assert {"file", "splunk_hec", "slack"} == set(shown["destinations"])
    assert set(shown["detectors"].values()) == {"active"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[core]\nalert_budget = -1\n", "c.toml:2: core.alert_budget: "),
        ("[core]\nalert_budgt = 1\n", "core.alert_budgt: unknown key; did you mean 'alert_budget'"),
        ('[detectors]\nkey-prob = "off"\n', "c.toml:2: detectors.key-prob: unknown key; did you"),
        ('[destinations.x]\ntype = "smoke"\n', "c.toml:2: destinations.x.type: "),
        ("[tokens.a]\n", "tokens.a: give it a secret_file or a secret_env"),
    ],
)
def test_check_ends_with_78_and_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, complaint: str
) -> None:
    (tmp_path / "c.toml").write_text(text)
    assert run("check", str(tmp_path / "c.toml")) == 78
    assert complaint in told(capsys)[1]


def test_serve_refuses_a_bad_configuration_before_it_touches_the_data(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("nonsense")
    assert run("serve", "--data", str(tmp_path / "d"), "--config", str(tmp_path / "c.toml")) == 78
    assert not (tmp_path / "d").exists()


def test_findings_are_listed_newest_first_on_one_line_each(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("findings", "--data", str(data)) == 0
    lines = told(capsys)[0].splitlines()
    assert [row.split("\t")[2] for row in lines] == ["hot", "tenth", "tenth"]
    assert "a\\x1b[31m\\nb" in lines[0]


def test_findings_are_filtered_and_can_fail_a_build(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("findings", "--data", str(data), "--json")
    assert run(*words, "--severity", "high", "--fail-on", "high") == 1
    assert [json.loads(line)["detector"] for line in told(capsys)[0].splitlines()] == ["hot"]
    assert run(*words, "--detector", "tenth", "--fail-on", "high") == 0
    assert len(told(capsys)[0].splitlines()) == 2
    assert run(*words, "--since", "2026-11-21T00:00:02") == 0
    assert len(told(capsys)[0].splitlines()) == 2
    assert run(*words, "--limit", "1") == 0
    assert len(told(capsys)[0].splitlines()) == 1
    assert run(*words, "--since", "yesterday") == 2


def test_a_terminal_gets_a_table(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared.sys.stdout, "isatty", lambda: True, raising=False)
    assert run("findings", "--data", str(data)) == 0
    out = told(capsys)[0]
    assert "Findings" in out and "\x1b[31m\nb" not in out


def test_without_data_the_remedy_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (("findings",), ("explain", "abc"), ("dlq", "list")):
        assert run(*words, "--data", str(tmp_path)) == 2
        assert "--data" in told(capsys)[1]


def test_rejected_originals_are_listed_and_shown_without_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quarantine = Quarantine(tmp_path)
    raw = b'{"prompt": "MARKER"}'
    id = quarantine.add(Refused("gw", "/ingest/canonical[0]", "canonical", "event.id", "no", raw))
    quarantine.close()
    assert run("dlq", "list", "--data", str(tmp_path)) == 0
    assert id[:12] in told(capsys)[0]
    assert run("dlq", "show", id[:8], "--data", str(tmp_path), "--json") == 0
    shown = told(capsys)[0]
    assert json.loads(shown)["structure"] == ["prompt: string of 6 characters"]
    assert "MARKER" not in shown
    assert run("dlq", "show", "ffff", "--data", str(tmp_path)) == 2


def test_detectors_say_what_a_source_does_not_cover(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("detectors", "--json") == 0
    catalog = [json.loads(line) for line in told(capsys)[0].splitlines()]
    assert {"key-probe", "foreign-resource"} <= {row["id"] for row in catalog}
    assert run("detectors", "--source", "litellm", "--json") == 0
    covered = {row["id"]: row["coverage"] for row in map(json.loads, told(capsys)[0].splitlines())}
    assert covered["key-probe"] == "covered"
    assert covered["foreign-resource"].startswith("not covered: no resource")
    assert run("detectors", "--source", "nope") == 2
    assert "litellm" in told(capsys)[1]


def test_a_finding_is_explained_in_full(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", finding(1, 1).id, "--data", str(data)) == 0
    out = told(capsys)[0]
    assert "summary\tthe sum is 1" in out
    assert "derived again\t" in out
