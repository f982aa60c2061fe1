"""Incidents as Slack messages: read in ten seconds, and nothing an attacker writes has effect."""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slack_sdk.models.attachments import BlockAttachment
from slack_sdk.models.blocks import Block

from alerts.incident import Action, Incident, Policy
from alerts.incident_steps import act, receive
from alerts.slack_digest import Digest, absorb, to_digest_message
from alerts.slack_message import COLORS, GREY, Look, headline, said, to_message
from alerts.slack_text import code, escape, prose, words
from alerts.slack_thread import evidence, next_reply
from alerts.slack_told import Told
from alerts.text import plain
from schemas.finding import LANES, Entity, Finding, Severity
from tests.alerts_fakes import HOSTILE, NOON, finding, golden, hostile, rich

LATER = NOON + timedelta(minutes=10)
LOOK = Look(buttons=True, feed_url="https://feed.example.com")
EVERY = [finding(), rich(), rich(2, final=True), *(hostile(lane) for lane in LANES)]


def opened(each: Finding | None = None) -> Incident:
    return receive(None, each or rich(), LATER, Policy())


def after(incident: Incident, verb: Any, **more: Any) -> Incident:
    action = Action(verb=verb, by="ana", at=LATER + timedelta(minutes=5), **more)
    return act(incident, action, Policy())


def message(each: Finding) -> dict[str, Any]:
    return to_message(opened(each), each, LOOK)


def digest(*findings: Finding, now: datetime = LATER) -> dict[str, Any]:
    new = Digest(id="d", kind="flood", begun=NOON, changed=now)
    incidents = [
        opened(
            each.model_copy(
                update={
                    "id": str(n),
                    "entity": Entity(lane="origin", id=f"{n}{each.entity.id}"[:256]),
                }
            )
        )
        for n, each in enumerate(findings)
    ]
    return to_digest_message(absorb(new, [(i, None) for i in incidents], now)[0], LOOK)


def replies(each: Finding) -> list[dict[str, Any]]:
    """All the replies of a thread."""
    incident = opened(each)
    for number in range(3):
        more = each.model_copy(update={"id": f"more-{number}", "time": each.time})
        incident = receive(incident, more, LATER, Policy())
    ended = after(
        after(after(incident, "resolve", reason=HOSTILE * 9), "reopen", reason=HOSTILE * 9),
        "false_positive",
        reason=HOSTILE * 9,
    )
    told, found = Told(findings=1), []
    while (reply := next_reply(ended, each, told, 1e12, chart=False)) is not None:
        found.append(reply.message or {})
        told = told.with_parts(reply.part).but(findings=reply.findings)
    return found


def all_messages(each: Finding) -> list[dict[str, Any]]:
    ends = [
        after(opened(each), verb, reason=HOSTILE * 9)
        for verb in ("ack", "snooze", "resolve", "false_positive")
    ]
    return [
        message(each),
        *(to_message(incident, each, LOOK) for incident in ends),
        *replies(each),
        digest(*[each] * 60),
    ]


def texts(message: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every text of a message, with its kind."""
    yield "plain_text", message["text"]
    for attachment in message.get("attachments", ()):
        yield "plain_text", attachment["fallback"]
    for block in blocks(message):
        accessory = block.get("accessory", {})
        parts = (
            *block.get("fields", ()),
            *block.get("elements", ()),
            *accessory.get("options", ()),
        )
        for each in (block.get("text"), *parts):
            if each is not None:
                inner = each["text"]
                yield (
                    (each["type"], inner)
                    if isinstance(inner, str)
                    else (inner["type"], inner["text"])
                )


def blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    inner = [b for each in message.get("attachments", ()) for b in each["blocks"]]
    return [*message["blocks"], *inner]


def test_it_says_what_to_whom_since_when_how_bad_at_what_cost_and_what_to_do() -> None:
    text = json.dumps(message(rich()), ensure_ascii=False)
    for part in (
        "CRITICAL: A key spends far above its own habit (acme)",
        "9,000,000 tokens, an estimated $42.00, within 5 minutes; 750 times usual",
        "*Key*\\n`hmac:819685611e044dc4`",
        "*Since*\\n2026-11-20 12:00:00 UTC, for 6 min",
        "*Estimated cost so far*\\n$42.00",
        "*Seen*\\n`9,000,000 tokens, usually 12,000`",
        "*What to do*\\n1. Look at the newest addresses",
        "Nobody has taken it yet.",
    ):
        assert part in text


@pytest.mark.parametrize("each", EVERY)
def test_every_message_is_within_the_limits_slack_checks(each: Finding) -> None:
    for one in all_messages(each):
        for block in Block.parse_all(blocks(one)):
            block.validate_json()
        for attachment in one.get("attachments", ()):
            inner = Block.parse_all(attachment["blocks"])
            BlockAttachment(blocks=inner, color=attachment["color"]).validate_json()
        assert len(blocks(one)) <= 50


@pytest.mark.parametrize("each", EVERY)
def test_the_whole_is_below_what_slack_turns_down(each: Finding) -> None:
    for one in all_messages(each):
        assert len(json.dumps(one, ensure_ascii=False)) < 13_000
        assert max(len(text) for _, text in texts(one)) <= 3000


@pytest.mark.parametrize("each", EVERY)
def test_nothing_an_attacker_or_a_person_writes_is_a_mention_a_link_or_markup(
    each: Finding,
) -> None:
    for one in all_messages(each):
        for kind, text in texts(one):
            assert [] == re.findall(r"[<>]|&(?!(?:amp|lt|gt);)", text)
            assert all(character == "\n" or character.isprintable() for character in text)
            assert kind == "mrkdwn" or re.search("`|://", text) is None
            if kind == "mrkdwn":
                outside = re.sub("```.*?```|`[^`]*`", "", text, flags=re.S)
                assert 0 == text.count("`") % 2
                assert re.fullmatch(r"(\*[^*\n]+\*(\n|$))?(?!.*://)[^*_~]*", outside)


def test_every_text_with_markup_is_read_as_no_more_than_that() -> None:
    for one in all_messages(hostile()):
        for block in blocks(one):
            for each in (block.get("text"), *block.get("fields", ())):
                assert each is None or each["type"] == "plain_text" or each["verbatim"]


def test_what_is_over_says_how_it_ended_and_is_grey() -> None:
    resolved, wrong = after(opened(), "resolve"), after(opened(), "false_positive", reason="tests")
    assert headline(resolved).startswith("RESOLVED: ") and headline(wrong).startswith("FALSE ALARM")
    assert {GREY} == {
        to_message(each, rich())["attachments"][0]["color"] for each in (resolved, wrong)
    }
    assert (
        "Resolved by ana, 2026-11-20 12:15 UTC.",
        "Called a false alarm by ana, 2026-11-20 12:15 UTC: tests.",
    ) == (said(resolved), said(wrong))


def test_buttons_fit_what_can_be_done() -> None:
    def labels(incident: Incident) -> list[str]:
        found = [b for b in blocks(to_message(incident, rich(), LOOK)) if b["type"] == "actions"]
        return [each["text"]["text"] for each in found[0]["elements"]]

    acts = ["Snooze", "Expected", "False positive", "Runbook", "Open"]
    assert ["Acknowledge", *acts] == labels(opened())
    assert ["Resolve", *acts] == labels(after(opened(), "ack"))
    assert ["Reopen", "Runbook", "Open"] == labels(after(opened(), "resolve"))


def test_where_nobody_may_press_there_are_no_buttons() -> None:
    kinds = [block["type"] for block in blocks(to_message(opened(), rich()))]
    assert "actions" not in kinds


def test_escapes_are_never_torn() -> None:
    assert ["&lt;", "&lt;…", "&lt;&lt;"] == [escape("<", 5), escape("<<", 8), escape("<<", 9)]


def test_an_escaped_text_is_never_longer_than_asked() -> None:
    assert [] == [limit for limit in range(1, 300) if len(escape(HOSTILE * 3, limit)) > limit]


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("<>&`*_~:/@#|!\n\u202e\u200b\x1b ab€😀")), st.integers(1, 40))
def test_whatever_is_written_has_no_effect_and_keeps_to_its_length(text: str, limit: int) -> None:
    for made in (words(text, limit), prose(text, limit), code(text, limit)[1:-1]):
        assert len(made) <= limit
        assert [] == re.findall(r"[<>`\n\u202e\u200b\x1b]|&(?!(?:amp|lt|gt);)", made)
    assert "://" not in words(text, limit) and not set("*_~") & set(prose(text, limit))


def test_code_cannot_be_ended_from_inside() -> None:
    assert ("`aˋ *b*`", "`-`") == (code("a` *b*"), code(" "))


def test_text_that_hides_or_reorders_is_made_visible() -> None:
    assert "a�b�c�d�" == plain("a\u202eb\u200bc\x00d\u2029", 20)


def test_an_address_is_named_once_when_it_is_what_the_finding_is_about() -> None:
    given = {"events": [{"client_address": "203.0.113.9"}]}
    about = Entity(lane="origin", id="203.0.113.9")
    assert 1 == json.dumps(message(finding(entity=about, evidence=given))).count("203.0.113.9")


def fields(each: Finding) -> list[str]:
    return [f["text"] for b in blocks(message(each)) for f in b.get("fields", ())]


def test_the_other_tenant_is_named() -> None:
    given = {"refused": 3, "owner": "`globex`", "owner_known": True, "late": 0, "<b>": "x"}
    assert ["*Owner*\n`ˋglobexˋ`", "*Refused*\n`3`"] == fields(finding(evidence=given))[-2:]


def test_a_habit_that_did_not_decide_is_not_shown() -> None:
    given = {
        "tripped": "denied",
        "totals": {"denied": 30, "tokens": 9},
        "usual": {"tokens": {"typical": 10}},
    }
    assert [] == [text for text in fields(finding(evidence=given)) if "usually" in text]


def test_spend_that_decided_is_shown_in_dollars() -> None:
    given = {"tripped": "nanousd", "totals": {"nanousd": 4.2e10}, "usual": {"nanousd": 1e9}}
    assert "*Seen*\n`$42.00, usually $1.00`" in fields(finding(evidence=given))


def test_severities_look_different() -> None:
    seen = {message(finding(severity=e))["attachments"][0]["color"] for e in Severity}
    assert set(COLORS.values()) == seen


def test_an_incident_on_trial_says_so() -> None:
    assert headline(opened(finding(mode="monitor"))).startswith("[monitor] HIGH: ")


def test_the_thread_has_the_evidence_and_what_to_do() -> None:
    text = json.dumps(evidence(rich(), opened()), ensure_ascii=False)
    for part in ("9,000,000", "12,000", "events: e-0, e-1", "since 2026-11-20 12:00:00", "$42.00",
                 "203.0.113.1", "Revoke the key.", "MITRE ATT&amp;CK T1496.004"):  # fmt: skip
        assert part in text


def test_a_digest_names_criticals_first_then_the_worst_of_each_family_and_counts_the_rest() -> None:
    highs = [finding(title=f"high {n}") for n in range(30)]
    storms = [finding(title="a storm", family="retry-storm", severity=Severity.LOW)] * 3
    found = digest(*highs, *storms, finding(title="the worst", severity=Severity.CRITICAL))
    lines = [text for kind, text in texts(found) if kind == "mrkdwn"]
    assert "*CRITICAL: the worst*" == lines[0].split("\n")[0]
    assert 2 == sum("a storm" in line for line in lines)
    assert "24 more in the feed" in json.dumps(found)
    assert "34 incidents" in found["text"] and "1 critical, 30 high, 3 low" in found["text"]


GOLDENS: dict[str, Any] = {
    "slack-new.json": lambda: message(rich()),
    "slack-acknowledged.json": lambda: to_message(after(opened(), "ack"), rich(), LOOK),
    "slack-resolved.json": lambda: to_message(
        after(opened(), "resolve", reason="key revoked"), rich(), LOOK
    ),
    "slack-evidence.json": lambda: evidence(rich(), opened()),
    "slack-digest.json": lambda: digest(
        *[finding()] * 20, *[finding(family="retry-storm")] * 3, *[rich()] * 6
    ),
    "slack-hostile.json": lambda: message(hostile()),
}


@pytest.mark.parametrize("name", GOLDENS)
def test_the_message_is_what_the_golden_file_says(name: str) -> None:
    made = GOLDENS[name]()
    assert golden(name, made) == made
