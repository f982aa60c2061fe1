"""What somebody decides on the command line counts in a running `serve`, and in a replay."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams import cli
from tests.serving import Serve
from tests.traffic import small_day

pytestmark = pytest.mark.slow


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    serve = Serve(tmp_path / "data")
    yield serve
    serve.close()


def run(serve: Serve, capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    capsys.readouterr()
    where = ("--data", str(serve.data), "--config", str(serve.config), "--json")
    assert 0 == cli.main([*words, *where])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_what_is_expected_in_the_morning_is_hidden_in_the_afternoon(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = small_day(hours=(9, 17), clients=1)
    noon = next(number for number, line in enumerate(lines) if b"T13:" in line)
    serve.start()
    serve.post(b"\n".join(lines[:noon]))
    serve.drained()
    storm = next(
        row for row in run(serve, capsys, "incidents")
        if (row["family"], row["entity"]["lane"]) == ("retry-storm", "credential")
    )  # fmt: skip
    run(serve, capsys, "ack", storm["id"], "--by", "ana")
    (expected,) = run(
        serve, capsys, "expected", storm["id"], "--by", "ana", "--reason", "load test"
    )
    assert ("resolved", "expected: load test") == (
        expected["state"], expected["history"][-1]["reason"]
    )  # fmt: skip
    serve.post(b"\n".join(lines[noon:]))
    serve.drained()
    hidden = serve.metric("tripmeter_judged_hidden_total")
    assert hidden >= 2
    assert 0 == serve.stop()
    (story,) = run(serve, capsys, "incidents", storm["id"])
    assert ["opened", "acked", "resolved"] == [
        each["change"] for each in story["history"] if each["change"] not in ("updated", "worse")
    ]
    assert not [each for each in story["all_findings"] if "T17:" in each["time"]]
    before = serve.findings()
    for file in serve.data.glob("tripmeter.db*"):
        file.unlink()
    serve.start()  # judges the journal again, with the decision in it
    serve.drained()
    assert hidden == serve.metric("tripmeter_judged_hidden_total")
    assert before == serve.findings()
