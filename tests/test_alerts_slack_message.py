"""Findings as Slack messages."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from slack_sdk.models.attachments import BlockAttachment
from slack_sdk.models.blocks import Block

from alerts.ocsf import to_ocsf
from alerts.slack_message import COLORS, code, escape, headline, to_message
from alerts.text import plain
from schemas.finding import LANES, Entity, Finding, Severity
from tests.alerts_fakes import HOSTILE, finding, golden, hostile, rich

EVERY = [finding(), rich(), rich(2, final=True), *(hostile(lane) for lane in LANES)]


def texts(message: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every text of a message, with its kind."""
    yield "plain_text", message["text"]
    attachment = message["attachments"][0]
    yield "plain_text", attachment["fallback"]
    for block in attachment["blocks"]:
        for each in (block.get("text"), *block.get("fields", ()), *block.get("elements", ())):
            if each is not None:
                yield each["type"], each["text"]


def test_the_message_is_what_the_golden_file_says() -> None:
    message = to_message(rich())
    assert golden("slack-message.json", message) == message


def test_the_nastiest_message_is_what_the_golden_file_says() -> None:
    message = to_message(hostile())
    assert golden("slack-hostile.json", message) == message


def test_it_says_what_to_whom_since_when_how_bad_at_what_cost_and_what_to_do() -> None:
    text = json.dumps(to_message(rich()), ensure_ascii=False)
    for part in (
        "CRITICAL: A key spends far above its own habit (acme)",
        "9,000,000 tokens, an estimated $42.00, within 5 minutes; 750 times usual",
        "*Key*\\n`hmac:819685611e044dc4`",
        "*Since*\\n2026-11-20 12:00:00 UTC, for 6 min",
        "*Estimated cost so far*\\n$42.00",
        "*Seen*\\n`9,000,000 tokens, usually 12,000`",
        "1. Look at the newest addresses",
    ):
        assert part in text


@pytest.mark.parametrize("each", EVERY)
def test_every_message_is_within_the_limits_slack_checks(each: Finding) -> None:
    attachment = to_message(each)["attachments"][0]
    blocks = Block.parse_all(attachment["blocks"])
    BlockAttachment(blocks=blocks, color=attachment["color"]).validate_json()
    for block in blocks:
        block.validate_json()
    assert len(blocks) <= 50


@pytest.mark.parametrize("each", EVERY)
def test_the_whole_is_far_below_what_slack_turns_down(each: Finding) -> None:
    message = to_message(each)
    lengths = [len(text) for _, text in texts(message)]
    assert len(json.dumps(message, ensure_ascii=False)) < 12_000
    assert max(lengths) <= 3000


@pytest.mark.parametrize("each", EVERY)
def test_nothing_an_attacker_writes_is_a_mention_a_link_or_markup(each: Finding) -> None:
    for kind, text in texts(to_message(each)):
        assert [] == re.findall(r"[<>]|&(?!(?:amp|lt|gt);)", text)
        assert kind == "mrkdwn" or re.search("`|://", text) is None
        assert all(character == "\n" or character.isprintable() for character in text)
        if kind == "mrkdwn":
            label, value = text.split("\n", 1)
            outside = re.sub("`[^`]*`", "", value)
            assert 0 == value.count("`") % 2
            assert re.fullmatch(r"\*[A-Z][a-z ]+\*", label)
            assert re.fullmatch(r"[\w $.,:+-]*", outside)


def test_markup_that_is_ours_is_not_read_as_more_than_that() -> None:
    kinds = [each for each in texts(to_message(hostile())) if each[0] == "mrkdwn"]
    fields = to_message(hostile())["attachments"][0]["blocks"][1]["fields"]
    assert (True, len(kinds)) == (all(field["verbatim"] for field in fields), len(fields))


def test_escapes_are_never_torn() -> None:
    assert ["&lt;", "&lt;…", "&lt;&lt;"] == [escape("<", 5), escape("<<", 8), escape("<<", 9)]


def test_an_escaped_text_is_never_longer_than_asked() -> None:
    assert [] == [limit for limit in range(1, 300) if len(escape(HOSTILE * 3, limit)) > limit]


def test_code_cannot_be_ended_from_inside() -> None:
    assert ("`aˋ *b*`", "`-`") == (code("a` *b*"), code(" "))


def test_text_that_hides_or_reorders_is_made_visible() -> None:
    assert "a�b�c�d�" == plain("a\u202eb\u200bc\x00d\u2029", 20)


def test_an_address_is_named_once_when_it_is_what_the_finding_is_about() -> None:
    evidence = {"events": [{"client_address": "203.0.113.9"}]}
    about = Entity(lane="origin", id="203.0.113.9")
    text = json.dumps(to_message(finding(entity=about, evidence=evidence)))
    assert 1 == text.count("203.0.113.9")


def fields(each: Finding) -> list[str]:
    return [field["text"] for field in to_message(each)["attachments"][0]["blocks"][1]["fields"]]


def test_the_other_tenant_is_named() -> None:
    evidence = {"refused": 3, "owner": "`globex`", "owner_known": True, "late": 0, "<b>": "x"}
    found = fields(finding(evidence=evidence))
    assert ["*Owner*\n`ˋglobexˋ`", "*Refused*\n`3`"] == found[-2:]


def test_a_habit_that_did_not_decide_is_not_shown() -> None:
    evidence = {
        "tripped": "denied",
        "totals": {"denied": 30, "tokens": 9},
        "usual": {"tokens": {"typical": 10}},
    }
    assert [] == [text for text in fields(finding(evidence=evidence)) if "usually" in text]


def test_spend_that_decided_is_shown_in_dollars() -> None:
    evidence = {"tripped": "nanousd", "totals": {"nanousd": 4.2e10}, "usual": {"nanousd": 1e9}}
    assert "*Seen*\n`$42.00, usually $1.00`" in fields(finding(evidence=evidence))


def test_severities_look_different() -> None:
    seen = {to_message(finding(severity=each))["attachments"][0]["color"] for each in Severity}
    assert set(COLORS.values()) == seen


def test_a_finding_on_trial_says_so() -> None:
    assert headline(finding(mode="monitor")).startswith("[monitor] HIGH: ")


def test_slack_and_the_siem_name_the_finding_alike() -> None:
    payload = to_message(rich(2))["metadata"]["event_payload"]
    record = to_ocsf(rich(2))
    assert record["metadata"]["uid"] == f"{payload['uid']}#{payload['revision']}"
