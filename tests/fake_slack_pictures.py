"""Makes the pictures of docs/slack.md again: `python -m tests.fake_slack_pictures`."""

import random
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from alerts.incident import Action, Incident, Policy
from alerts.incident_steps import act, receive
from alerts.silences import Preview
from alerts.slack_chart import Moment, draw
from alerts.slack_digest import Digest, absorb, to_digest_message
from alerts.slack_message import Look, to_message
from alerts.slack_modals import form
from alerts.slack_thread import evidence, next_reply
from alerts.slack_told import Told
from detectors import CATALOG
from schemas.finding import Entity, Finding, Severity
from tests.alerts_fakes import NOON, finding, rich
from tests.fake_slack_page import message, modal, page
from tests.feed_process import chromium

DOCS = Path(__file__).resolve().parent.parent / "docs/images"
LOOK = Look(buttons=True, feed_url="https://feed.example.com")
SEEN = NOON + timedelta(minutes=6)


def stolen_key() -> Finding:
    """As the demo finds it."""
    about = next(each.about for each in CATALOG if each.about.id == "stolen-key-spend")
    models = ("gpt-4o", "claude-sonnet-4", "o3", "gpt-4.1")
    events = [
        {
            "id": f"chatcmpl-{number:04d}",
            "time": f"2026-11-20T12:05:{50 - number}Z",
            "request_model": models[number % 4],
            "client_address": f"203.0.113.{40 + number % 2}",
            "user_agent": "python-requests/2.31",
            "status": "ok",
        }
        for number in range(5)
    ]
    usual = {
        "tokens": {"typical": 52_400, "limit": 480_000, "windows": 1300},
        "nanousd": {"typical": 2.1e8, "limit": 2.4e9, "windows": 1300},
        "calls": {"typical": 31, "limit": 160, "windows": 1300},
        "new_addresses": {"typical": 0.02, "limit": 1, "windows": 1300},
    }
    totals = {"tokens": 9_412_000, "nanousd": 42_180_000_000, "calls": 4120, "new_addresses": 2}
    return rich(
        title=about.title,
        tenant="kite-robotics",
        entity=Entity(lane="credential", id="hmac:f889e29bc9db89e7"),
        summary="9,412,000 tokens, an estimated $42.18, within 5 minutes; 180 times this key's"
        " usual",
        evidence={
            "window": {"spec": "credential/5m", "start": "2026-11-20T12:00:00Z", "final": False},
            "tripped": "tokens", "totals": totals, "usual": usual, "events": events,
        },
        event_ids=tuple(str(each["id"]) for each in events),
        cost_usd=42.18,
        runbook=about.runbook,
        techniques=about.techniques,
    )  # fmt: skip


def story() -> tuple[Incident, Incident, Incident, Finding]:
    """New, taken, over."""
    found = stolen_key()
    new = receive(None, found, SEEN, Policy())
    by = "slack:U012AB3CD (ana)"
    taken = act(new, Action(verb="ack", by=by, at=SEEN + timedelta(minutes=2)), Policy())
    why = "key rotated, owner told"
    end = Action(verb="resolve", by=by, at=SEEN + timedelta(minutes=31), reason=why)
    return new, taken, act(taken, end, Policy()), found


def days_before(found: Finding) -> list[Moment]:
    """Three days of an office's key, an hour each."""
    rng, end = random.Random(1), found.time.timestamp() // 3600 * 3600
    moments = []
    for hour in range(70):
        start = end - (70 - hour) * 3600
        work = 9 <= (start // 3600) % 24 <= 18
        seen = rng.lognormvariate(11.0 if work else 7.5, 0.5)
        moments.append(
            Moment(start, 3600, seen, 20_000 if work else 300, 160_000 if work else 9000)
        )
    return moments


def thread(incident: Incident, found: Finding) -> str:
    """What stands below it."""
    shown: list[tuple[dict[str, Any], str]] = [(evidence(found, incident), "12:06")]
    shown.append(
        (
            {
                "pictures": [draw(found, days_before(found))],
                "title": "The habit, and what broke it",
            },
            "12:06",
        )
    )
    told = Told(findings=1, parts=("evidence",))
    if (end := next_reply(incident, found, told, 0.0, chart=False)) and end.message:
        shown.append((end.message, "12:37"))
    return "".join(message(each, when) for each, when in shown)


def flood() -> dict[str, Any]:
    """As the benchmark has it."""
    severe = [Severity.CRITICAL] * 6 + [Severity.HIGH] * 60 + [Severity.MEDIUM] * 90
    titles = {
        "llmjacking": "A key spends far above its own habit",
        "retry-storm": "A client retries against a rate limit",
        "cross-tenant": "A session reads another tenant's document",
    }
    families = list(titles)
    tenants = ("kite-robotics", "acme", "globex", "initech", "umbrella")
    incidents = []
    for number, severity in enumerate(severe):
        family: Any = families[number % 3] if number > 6 else "llmjacking"
        found = finding(
            f"f{number}",
            severity=severity,
            family=family,
            title=titles[family],
            tenant=tenants[number % 5],
            entity=Entity(lane="credential", id=f"hmac:{number * 7919 % 65536:04x}e29bc9db89e7"),
        )
        incidents.append(receive(None, found, SEEN, Policy()))
    new = Digest(id="d", kind="flood", begun=SEEN, changed=SEEN)
    later = SEEN + timedelta(seconds=58)
    return to_digest_message(absorb(new, [(each, None) for each in incidents], later)[0], LOOK)


def expected(incident: Incident) -> dict[str, Any]:
    """The form that says what it would have hidden."""
    title = incident.title
    examples = [
        {"id": "1", "title": title, "severity": "high", "state": "acked", "last": ""},
        {"id": "2", "title": title, "severity": "medium", "state": "resolved", "last": ""},
    ]
    counts = {"resolved": 4, "acked": 2}
    preview = Preview(30, 41, 6, 2, Severity.HIGH, counts, examples)
    return form("expected", incident, "C01", [("stolen-key-spend", preview)])


def pictures() -> dict[str, str]:
    """Pages by the names of their pictures."""
    new, taken, over, found = story()
    return {
        "slack-new.png": page(message(to_message(new, found, LOOK), "12:06")),
        "slack-thread.png": page(
            message(to_message(over, found, LOOK), "12:06 (edited)", thread(over, found))
        ),
        "slack-acknowledged.png": page(message(to_message(taken, found, LOOK), "12:06 (edited)")),
        "slack-digest.png": page(message(flood(), "12:06 (edited)")),
        "slack-modal.png": page(modal(expected(new))),
    }


def main() -> None:
    """Renders and photographs them."""
    DOCS.mkdir(exist_ok=True)
    with chromium() as browser, tempfile.TemporaryDirectory() as folder:
        window = browser.new_page(viewport={"width": 760, "height": 100}, device_scale_factor=1.5)
        for name, html in pictures().items():
            path = Path(folder) / "page.html"
            path.write_text(html)
            window.goto(path.as_uri())
            window.screenshot(path=DOCS / name, full_page=True)
            print(f"docs/images/{name}", file=sys.stderr)


if __name__ == "__main__":
    main()
