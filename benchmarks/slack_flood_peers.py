"""The flood of `slack_flood.py` through what others send to Slack with.

    python benchmarks/slack_flood_peers.py [--alertmanager PROGRAM] [--litellm PYTHON]

`PROGRAM` is Prometheus' Alertmanager (Debian: prometheus-alertmanager), `PYTHON` that of an
environment with `pip install litellm`. Both send to an incoming webhook of the same fake Slack: one
message a second, 429 and Retry-After otherwise. An incident counts as told when its number stands
in a message that Slack took, a minute after the flood at the latest. Alertmanager is tried with a
group for each incident and with a group for each severity, its waits as short as it may.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

sys.path.pop(0)  # this folder holds a kafka.py
sys.path.insert(0, str(Path(__file__).parent.parent))

import httpx

from tests.fake_slack import FakeSlack, fake_slack

INCIDENTS, CRITICALS, SECONDS, SETTLE_S = 3000, 20, 60.0, 60.0
Send = Callable[[list[tuple[int, bool]]], None]

CONFIG = """
route:
  receiver: soc
  group_by: [{group}]
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 4h
receivers:
- name: soc
  slack_configs:
  - api_url: http://127.0.0.1:{port}/hook/x
    channel: soc
    send_resolved: false
    title: '{{{{ .CommonLabels.severity }}}} {{{{ len .Alerts }}}}'
    text: '{{{{ range .Alerts }}}} {{{{ .Labels.incident }}}} {{{{ end }}}}'
"""
LITELLM = """
import asyncio, json, sys
from litellm.integrations.SlackAlerting.slack_alerting import SlackAlerting
from litellm.types.integrations.slack_alerting import AlertType

async def main():
    alerting = SlackAlerting(alerting=["slack"], default_webhook_url=sys.argv[1])
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        for number, critical in json.loads(line):
            await alerting.send_alert(
                message=f"incident-{number}.", level="High" if critical else "Medium",
                alert_type=AlertType.llm_exceptions, alerting_metadata={},
            )
    await asyncio.sleep(60)

asyncio.run(main())
"""


def main() -> int:
    """Runs those that are there."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--alertmanager")
    parser.add_argument("--litellm")
    options = parser.parse_args()
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for group in ("incident", "severity") if options.alertmanager else ():
            with fake_slack(interval_s=1.0) as slack:
                told[f"alertmanager, group_by: {group}"] = _alertmanager(
                    slack, options.alertmanager, group, Path(folder) / group
                )
        if options.litellm:
            with fake_slack(interval_s=1.0) as slack:
                told["litellm"] = _litellm(slack, options.litellm)
    print(json.dumps(told, indent=1))
    return 0


def _alertmanager(slack: FakeSlack, program: str, group: str, folder: Path) -> dict[str, Any]:
    folder.mkdir()
    (folder / "config.yml").write_text(CONFIG.format(port=slack.port, group=group))
    port = slack.port + 1 if slack.port < 60_000 else slack.port - 1
    process = subprocess.Popen(
        [
            program, f"--config.file={folder}/config.yml", f"--storage.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
        ],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
    try:
        for _ in range(100):
            with suppress(httpx.HTTPError):
                if client.get("/-/ready").status_code == 200:
                    break
            time.sleep(0.1)

        def send(some: list[tuple[int, bool]]) -> None:
            alerts = [
                {"labels": {"alertname": "spend", "incident": f"incident-{number}.",
                            "severity": "critical" if critical else "high"}}
                for number, critical in some
            ]  # fmt: skip
            client.post("/api/v2/alerts", json=alerts).raise_for_status()

        return _flood(slack, send)
    finally:
        process.terminate()
        process.wait(10)


def _litellm(slack: FakeSlack, python: str) -> dict[str, Any]:
    process = subprocess.Popen(
        [python, "-c", LITELLM, f"http://127.0.0.1:{slack.port}/hook/x"],
        stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    pipe = process.stdin

    def send(some: list[tuple[int, bool]]) -> None:
        pipe.write(json.dumps(some) + "\n")
        pipe.flush()

    try:
        time.sleep(15)  # it takes that long to import
        return _flood(slack, send)
    finally:
        process.terminate()
        process.wait(10)


def _flood(slack: FakeSlack, send: Send) -> dict[str, Any]:
    critical = set(random.Random(0).sample(range(INCIDENTS), CRITICALS))
    came: dict[int, float] = {}
    begun, sent = time.monotonic(), 0
    while sent < INCIDENTS:
        due = min(INCIDENTS, 1 + int((time.monotonic() - begun) / SECONDS * INCIDENTS))
        if some := [(number, number in critical) for number in range(sent, due)]:
            send(some)
            came |= {number: time.monotonic() for number, _ in some}
        sent = due
        time.sleep(0.05)
    end = time.monotonic() + SETTLE_S
    while time.monotonic() < end:
        time.sleep(0.5)
    taken = [json.dumps(message) for message in slack.messages("hook")]
    told = {int(n) for text in taken for n in re.findall(r"incident-(\d+)\.", text)}
    hooks = sum(call.method == "hook" for call in slack.calls)
    return {
        "incidents": INCIDENTS,
        "told": len(told),
        "not_told_by_then": INCIDENTS - len(told),
        "criticals_told": f"{len(told & critical)} of {CRITICALS}",
        "requests": hooks,
        "answered_429": hooks - len(taken),
        "messages": len(taken),
    }


if __name__ == "__main__":
    sys.exit(main())
