"""One process, one folder: first run, restart, second comer, full disk, retry, explain."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams import cli
from tests.serving import Serve
from tests.test_serve_bad_input import line
from tests.traffic import small_day

DELAYED_ACK_S = 0.03  # what an answer costs when it waits for the other side's kernel
SMALL = "[journal]\nmax_bytes = 1048576\n"


pytestmark = pytest.mark.process


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    served = Serve(tmp_path / "data", SMALL)
    yield served
    served.close()


def last_json(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    parsed: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return parsed


def test_the_life_of_an_installation(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    serve.start()
    token = serve.token
    assert str(serve.data / "ingest-token") in serve.log and token not in serve.log
    assert 200 == serve.get("/healthz").status_code
    assert 200 == serve.get("/readyz").status_code

    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        serve.get("/healthz")
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < DELAYED_ACK_S

    second = subprocess.run(
        [sys.executable, "-m", "streams.cli", "serve", "--data", str(serve.data)],
        capture_output=True,
        text=True,
        cwd=serve.data.parent,
        timeout=30,
    )
    assert 75 == second.returncode
    assert f"in use by another tripmeter serve (process {serve.pid})" in second.stderr

    lines = small_day(hours=(9,), clients=1)
    assert serve.post(b"\n".join(lines)).json()["accepted"] == len(lines)
    assert 0 == serve.stop()  # at once: what was accepted is still judged
    assert f"stopped at position {len(lines)}" in serve.log
    assert {"delivered"} == {state for *_, state in serve.outbox()}
    found = serve.findings()
    assert len(found) >= 5

    data = ["--data", str(serve.data)]
    id = found[0][0]
    assert 0 == cli.main(["explain", id, *data, "--json", "--config", str(serve.config)])
    told = last_json(capsys)["derivation"]
    assert isinstance(told, dict)
    assert (True, True) == (told["same"], "byte for byte" in told["told"])

    serve.start()
    assert serve.token == token
    assert f"restored at position {len(lines)}" in serve.log
    assert 200 == serve.post(b"\n".join(lines)).status_code  # the sender did not hear us
    serve.drained()
    assert serve.findings() == found
    assert 0 == serve.stop()


def test_a_full_journal_asks_to_come_back_and_recovers_by_itself(serve: Serve) -> None:
    serve.config.write_text(SMALL + "[store]\nsnapshot_every_s = 3\n")
    serve.start()
    accepted = full = 0
    for round in range(20):
        batch = [bulky(100 * round + n) for n in range(10)]
        while (answer := serve.post(b"\n".join(batch))).status_code != 200:
            assert (503, "5") == (answer.status_code, answer.headers["retry-after"])
            if not full:
                assert "the journal or the disk is full" in serve.get("/readyz").text
            full += 1
            time.sleep(0.05)
        accepted += answer.json()["accepted"]
    assert full
    serve.drained()
    assert serve.metric("tripmeter_position") == accepted == 200
    assert serve.metric("tripmeter_journal_bytes") <= 1048576
    assert 0 == serve.stop()


def bulky(number: int) -> bytes:
    """An event that no compression makes small."""
    noise = random.Random(number)
    reasons = [noise.randbytes(128).hex() for _ in range(64)]
    return line(**{"event.id": f"e{number}", "gen_ai.response.finish_reasons": reasons})


def test_what_was_refused_is_retried_after_a_correction(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = serve.data.parent / "acme.secret"
    secret.write_text("acme-secret-0123456789\n")
    config = '[tokens.acme]\nsecret_file = "acme.secret"\ntenants = ["acme"]\n'
    serve.config.write_text(config)
    serve.start()
    body = line(**{"event.id": "moved", "tenant.id": "birch"})
    assert 403 == serve.post(body, token="acme-secret-0123456789").status_code
    words = ["dlq", "retry", "--data", str(serve.data), "--config", str(serve.config), "--json"]
    assert 0 == cli.main(words)
    assert {"tried": 1, "events": 0, "left": 1} == last_json(capsys)
    serve.config.write_text(config.replace('["acme"]', '["acme", "birch"]'))
    assert 0 == cli.main(words)
    assert {"tried": 1, "events": 1, "left": 0} == last_json(capsys)
    serve.drained()  # the running process judges what another one put into the journal
    assert 1 == serve.metric("tripmeter_position")
    assert 0 == serve.stop()
