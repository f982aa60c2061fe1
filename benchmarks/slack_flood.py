"""A flood of incidents into a Slack that lets one message a second through.

    python benchmarks/slack_flood.py [--incidents 3000] [--criticals 20] [--seconds 60]
        [--seed 0] [--every 1.0] [--no-charts]

A fake Slack on loopback enforces the rate of each channel (429 and Retry-After), keeps what people
see, and checks blocks as Slack does. Incidents come evenly, criticals at random moments among
them, through the real store, outbox and sink. Printed as JSON: when criticals were seen, how many
messages and edits it took, how often Slack said 429, and whether every incident is shown or
counted. Exit code 1 if one is lost, or the first five criticals took longer than ten seconds.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.pop(0)  # this folder holds a kafka.py
sys.path.insert(0, str(Path(__file__).parent.parent))

from alerts.deliverer import Deliverer
from alerts.destination_base import Place
from alerts.memory import TableMemory
from alerts.slack_settings import SlackSettings
from alerts.slack_told import recall
from alerts.store import AlertStore
from alerts.store_query import Query
from schemas.finding import Severity
from tests.alerts_fakes import Everyone, finding, rich
from tests.fake_slack import FakeSlack, fake_slack
from tests.fake_slack_kit import key

PROMPT_S = 10.0  # within which the first five criticals have to be seen
SETTLE_S = 60.0  # after the flood, for edits and threads


def main() -> int:
    """Runs it and prints a summary as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--incidents", type=int, default=3000)
    parser.add_argument("--criticals", type=int, default=20, help="of them")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--every", type=float, default=1.0, help="seconds between two messages that Slack takes"
    )
    parser.add_argument("--no-charts", action="store_true")
    options = parser.parse_args()
    with fake_slack(interval_s=options.every) as slack, tempfile.TemporaryDirectory() as folder:
        summary = _run(slack, Path(folder), options)
    print(json.dumps(summary, indent=1))
    return 0 if summary["lost"] == 0 and summary["first_five_s"] <= PROMPT_S else 1


def _run(slack: FakeSlack, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    token = folder / "token"
    token.write_text("xoxb-1\n")
    store = AlertStore(folder / "tripmeter.db", Everyone((), ("soc",)))
    settings = SlackSettings.model_validate(
        {
            "type": "slack", "channel": "C01", "token_file": token, "api_url": slack.api,
            "feed_url": "https://feed.example.com", "charts": not options.no_charts,
        }
    )  # fmt: skip
    faults: list[str] = []
    deliverer = Deliverer(
        store.engine,
        [settings.sink("soc", Place(folder, store.engine))],
        on_fault=lambda name, reason: faults.append(reason),
    )
    seen = _watch(slack)
    deliverer.start()
    begun = time.monotonic()
    came = _flood(store, deliverer, options)
    waited = _settle(deliverer)
    deliverer.stop()
    return _summary(slack, store, came, seen, faults, options, waited, begun)


def _flood(
    store: AlertStore, deliverer: Deliverer, options: argparse.Namespace
) -> dict[str, float]:
    """Sends it; gives when each critical came, by its key."""
    rng = random.Random(options.seed)
    critical = set(rng.sample(range(options.incidents), options.criticals))
    families = ("llmjacking", "retry-storm", "cross-tenant")
    came: dict[str, float] = {}
    begun, sent = time.monotonic(), 0
    while sent < options.incidents:
        due = min(
            options.incidents,
            1 + int((time.monotonic() - begun) / options.seconds * options.incidents),
        )
        batch = []
        for number in range(sent, due):
            about = {"entity": key(number), "tenant": f"tenant-{number % 40}"}
            if number in critical:
                batch.append(rich(id=f"f-{number}", **about))
                came[key(number).id] = time.monotonic()
            else:
                severity = rng.choice((Severity.LOW, Severity.MEDIUM, Severity.HIGH))
                family = families[number % 3]
                batch.append(finding(f"f-{number}", severity=severity, family=family, **about))
        if batch:
            store.record(batch, now=datetime.now(UTC))
            deliverer.wake()
        sent = due
        time.sleep(0.05)
    return came


def _watch(slack: FakeSlack) -> dict[str, float]:
    """Notes when each incident first had a message of its own, by id of the incident."""
    seen: dict[str, float] = {}
    real = slack._do_chat_postmessage

    def post(channel: str, arguments: dict[str, Any]) -> dict[str, Any]:
        answer = real(channel, arguments)
        metadata = arguments.get("metadata") or {}
        if "ts" in answer and metadata.get("event_type") == "tripmeter_incident":
            seen.setdefault(metadata["event_payload"]["uid"], time.monotonic())
        return answer

    slack._do_chat_postmessage = post  # type: ignore[method-assign]
    return seen


def _settle(deliverer: Deliverer) -> float:
    begun = time.monotonic()
    while time.monotonic() - begun < SETTLE_S:
        if deliverer.status()["soc"].waiting == 0:
            break
        threading.Event().wait(0.2)
    return time.monotonic() - begun


def _summary(
    slack: FakeSlack,
    store: AlertStore,
    came: dict[str, float],
    seen: dict[str, float],
    faults: list[str],
    options: argparse.Namespace,
    waited: float,
    begun: float,
) -> dict[str, Any]:
    incidents = Query(store.engine).incidents(limit=options.incidents * 2)
    told = recall(TableMemory(store.engine, "soc"), [each.id for each in incidents])
    shown = slack.messages()
    kinds = [message["metadata"]["event_type"] for message in shown]
    digests = [m for m, kind in zip(shown, kinds, strict=True) if kind == "tripmeter_digest"]
    counted = sum(m["metadata"]["event_payload"]["incidents"] for m in digests)
    own = {m["metadata"]["event_payload"]["uid"] for m in shown if m not in digests}
    in_digest = {id for id, each in told.items() if each.digest}
    of = {each.id: each.entity.id for each in incidents}
    delays = sorted(at - came[of[id]] for id, at in seen.items() if of.get(id) in came)
    first = sorted((at, at - came[of[id]]) for id, at in seen.items() if of.get(id) in came)[:5]
    calls = [call.method for call in slack.calls]
    return {
        "incidents": len(incidents),
        "criticals": len(came),
        "first_five_s": round(max((delay for _, delay in first), default=float("inf")), 2),
        "first_five_each_s": [round(delay, 2) for _, delay in first],
        "criticals_with_a_message": len(delays),
        "messages": len(own),
        "digests": len(digests),
        "counted_in_digests": counted,
        "lost": len({each.id for each in incidents} - own - in_digest),
        "shown_and_counted": counted + len(own),
        "posts": calls.count("chat.postMessage"),
        "edits": calls.count("chat.update"),
        "uploads": calls.count("files.completeUploadExternal"),
        "answered_429": slack.limited,
        "faults": faults,
        "still_waiting": store_waiting(store),
        "settled_s_after_the_flood": round(waited, 1),
        "last_text": digests[-1]["text"] if digests else "",
        "seconds": round(time.monotonic() - begun, 1),
    }


def store_waiting(store: AlertStore) -> int:
    """Rows nobody was told yet."""
    from alerts.outbox import Outbox

    states = Outbox(store.engine).counts().get("soc", {})
    return states.get("waiting", 0) + states.get("held", 0)


if __name__ == "__main__":
    sys.exit(main())
