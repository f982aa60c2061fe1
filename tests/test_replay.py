"""Promises of `tripmeter replay`."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from schemas.testing import event
from streams.cli import main


def probe(second: int, model: str, **fields: object) -> bytes:
    """One refused call; three of different models within five minutes are a finding."""
    return event(
        f"2026-10-01T00:00:{second:02d}Z",
        id=f"e{second}-{fields.get('address', '')}",
        key="hmac:0123456789abcdef",
        tenant="acme",
        model=model,
        status="error",
        http_status=403,
        **fields,
    ).to_json()


ATTACK = [probe(i, f"model-{i % 3}") for i in range(4)]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(name: str, lines: list[bytes]) -> str:
    Path(name).write_bytes(b"\n".join(lines) + b"\n")
    return name


def findings(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    assert main(["replay", "--json", *arguments]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_findings_are_json_lines_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    found = findings(capsys, write("a.ndjson", ATTACK))
    assert ["key-probe"] == [one["detector"] for one in found]
    assert {"lane": "credential", "id": "hmac:0123456789abcdef"} == found[0]["entity"]
    assert "e2-" == found[0]["event_ids"][0]  # type: ignore[index]


def test_windows_that_the_clock_has_not_passed_stay_open_unless_closed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = write("a.ndjson", ATTACK)
    assert [False] == [one["final"] for one in findings(capsys, name)]
    assert [False, True] == [one["final"] for one in findings(capsys, "--close", name)]


def test_the_summary_counts_what_became_of_everything() -> None:
    lines = [*ATTACK, ATTACK[0], b"{broken", probe(59, "m").replace(b"2026-10", b"2026-09")]
    assert main(["replay", write("a.ndjson", lines), "--summary", "s.json"]) == 0
    summary = json.loads(Path("s.json").read_text())
    wanted = {
        "events": 6,
        "ignored": 0,
        "rejected": 1,
        "duplicates": 1,
        "late": 1,
        "open_windows": 3,
        "findings": 1,
    }
    assert wanted == {name: summary[name] for name in wanted}
    assert summary["seconds"] > 0
    assert summary["events_per_second"] > 0


def test_a_rejected_line_is_named_with_file_line_field_and_reason_and_stops_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad = ATTACK[1].replace(b'"api_key.id"', b'"cost.usd":-1,"api_key.id"')
    name = write("a.ndjson", [ATTACK[0], b"", bad, *ATTACK[1:]])
    assert main(["replay", name]) == 0
    told = capsys.readouterr()
    assert "a.ndjson:3: cost.usd: Input should be greater than or equal to 0" in told.err
    assert "key-probe" in told.out


def test_rejected_lines_are_kept_encrypted() -> None:
    secret = b"MARKER-of-content"
    assert main(["replay", write("a.ndjson", [b'{"prompt":"' + secret + b'"}', *ATTACK])]) == 0
    kept = [path for path in Path("tripmeter-data").rglob("*") if path.is_file()]
    assert kept
    assert [] == [path.name for path in kept if secret in path.read_bytes()]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_compressed_files_are_read_by_their_first_bytes(
    pack: object, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("packed").write_bytes(pack(b"\n".join(ATTACK)))  # type: ignore[operator]
    assert ["key-probe"] == [one["detector"] for one in findings(capsys, "packed")]


@pytest.mark.process
def test_standard_input_is_a_file_called_minus() -> None:
    command = [sys.executable, "-m", "streams.cli", "replay", "--json", "-"]
    told = subprocess.run(
        command,
        input=b"\n".join(ATTACK),
        capture_output=True,
        check=True,
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert b"key-probe" in told.stdout


def test_several_files_are_merged_on_their_clocks_so_none_makes_the_other_late(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def hour(number: int, name: str) -> bytes:
        time = f"2026-10-0{1 + number // 24}T{number % 24:02d}:00:00Z"
        return event(time, id=f"{name}{number}", key="hmac:00000000000000aa").to_json()

    one = write("one.ndjson", [hour(n, "a") for n in range(40)])
    two = write("two.ndjson", [hour(n, "b") for n in range(0, 40, 3)])
    assert main(["replay", one, two, "--summary", "s.json"]) == 0
    summary = json.loads(Path("s.json").read_text())
    assert (54, 0, 0) == (summary["events"], summary["late"], summary["rejected"])


def test_a_rejected_line_of_several_files_is_named_by_its_own_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    one, two = write("one.ndjson", ATTACK), write("two.ndjson", [ATTACK[0], b"rubbish"])
    assert main(["replay", one, two]) == 0
    assert "two.ndjson:2: : not valid JSON" in capsys.readouterr().err


def test_the_exit_code_says_whether_something_was_as_bad_as_asked() -> None:
    name = write("a.ndjson", ATTACK)
    assert main(["replay", name, "--fail-on", "high"]) == 1
    assert main(["replay", name, "--fail-on", "critical"]) == 0


def test_only_the_named_detectors_judge(capsys: pytest.CaptureFixture[str]) -> None:
    name = write("a.ndjson", ATTACK)
    assert [] == findings(capsys, name, "--detectors", "model-sweep,repeated-call")
    assert main(["replay", name, "--detectors", "nonsense"]) == 2
    assert "no such detector: nonsense" in capsys.readouterr().err


def test_a_whole_indented_document_is_recognised(capsys: pytest.CaptureFixture[str]) -> None:
    documents = [json.dumps(json.loads(line), indent=2) for line in ATTACK]
    Path("indented.json").write_text("\n".join(documents))
    assert ["key-probe"] == [one["detector"] for one in findings(capsys, "indented.json")]


def test_a_missing_file_is_a_clear_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "nowhere.ndjson"]) == 2
    assert "nowhere.ndjson: no such file" in capsys.readouterr().err


def test_raw_keys_never_reach_a_finding(capsys: pytest.CaptureFixture[str]) -> None:
    raw = [line.replace(b"hmac:0123456789abcdef", b"sk-very-secret-key") for line in ATTACK]
    found = findings(capsys, write("raw.ndjson", raw))
    assert ["key-probe"] == [one["detector"] for one in found]
    assert "sk-very-secret-key" not in json.dumps(found)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--format", "foo"], "known here: auto, canonical"),
        (["--alert-budget", "-1"], "above 0 and at most 1000"),
        (["--alert-budget", "many"], "above 0 and at most 1000"),
    ],
)
def test_an_option_that_cannot_be_is_refused_with_what_can(
    options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["replay", *options, write("a.ndjson", ATTACK)])

    assert 2 == ended.value.code
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("command", ["replay", "backtest"])
def test_settings_that_no_detector_knows_end_it_with_78(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("tripmeter.toml").write_text('[detectors]\nkey-prob = "off"\n')

    assert 78 == main([command, write("a.ndjson", ATTACK)])
    assert "did you mean 'key-probe'?" in capsys.readouterr().err


def charge(at: str) -> dict[str, object]:
    """A span of a call of a tool."""
    values = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "pay",
        "gen_ai.tool.call.arguments": '{"amount": 5}',
        "gen_ai.conversation.id": "run-1234",
        "tenant.id": "acme",
    }
    nanos = f"17908128{at}000000000"
    return {
        "traceId": f"{int(at):032x}", "spanId": f"{int(at):016x}", "name": "execute_tool pay",
        "startTimeUnixNano": nanos, "endTimeUnixNano": nanos,
        "attributes": [{"key": k, "value": {"stringValue": v}} for k, v in values.items()],
    }  # fmt: skip


def test_adapters_are_told_what_the_configuration_says_as_when_serving(
    capsys: pytest.CaptureFixture[str],
) -> None:
    spans = [charge("10"), charge("12")]
    body = {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}
    Path("a.json").write_text(json.dumps(body))
    told = []
    for text in ("", "[adapters.side_effects]\npay = true\n"):
        Path("tripmeter.toml").write_text(text)
        told.append([one["detector"] for one in findings(capsys, "a.json")])

    assert [[], ["duplicate-side-effect"]] == told
