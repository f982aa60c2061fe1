"""A flood, a night, and the end of both: criticals first, everybody counted, nobody lost."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from alerts.slack_hours import QuietHours
from alerts.slack_message import Look
from schemas.finding import Severity
from tests.fake_slack import FakeSlack, fake_slack
from tests.fake_slack_kit import Bench, at, finding, key, many, text_of

NIGHT = QuietHours.parse("22:00-07:00", ("sat", "sun"), "Europe/Berlin")


@pytest.fixture(scope="module")
def workspace() -> Iterator[FakeSlack]:
    with fake_slack(interval_s=1.0) as slack:
        yield slack


@pytest.fixture
def bench(workspace: FakeSlack, tmp_path: Path) -> Bench:
    workspace.forget()
    return Bench(workspace, tmp_path, thread=False, look=Look(feed_url="https://feed.example.com"))


def night(workspace: FakeSlack, folder: Path, begin: datetime) -> Bench:
    workspace.forget()
    return Bench(workspace, folder, thread=False, hours=NIGHT, begin=begin)


def digests(bench: Bench) -> list[dict[str, Any]]:
    shown = bench.slack.messages()
    return [m for m in shown if m["metadata"]["event_type"] == "tripmeter_digest"]


def counted(bench: Bench) -> int:
    """Incidents that people see, by themselves or counted in a digest."""
    in_digests = sum(m["metadata"]["event_payload"]["incidents"] for m in digests(bench))
    return in_digests + len(bench.slack.messages()) - len(digests(bench))


def test_a_few_incidents_have_a_message_each(bench: Bench) -> None:
    bench.found(*many(5))
    bench.told()
    assert (5, []) == (len(bench.slack.messages()), digests(bench))


def test_a_flood_is_one_digest_beside_the_first_criticals(bench: Bench) -> None:
    bench.found(*many(120), *many(20, Severity.CRITICAL, start=300))
    bench.told()
    singles = [m for m in bench.slack.messages() if m not in digests(bench)]
    assert (1, 5) == (len(digests(bench)), len(singles))
    assert all(m["text"].startswith("CRITICAL") for m in singles)
    assert (140, 0, 0) == (counted(bench), bench.waiting(), bench.slack.limited)


def test_a_critical_overtakes_a_flood(bench: Bench) -> None:
    for second in range(12):
        bench.found(*many(10, start=10 * second))
        if second == 8:
            bench.found(finding("worst", entity=key(9999), severity=Severity.CRITICAL))
            begun = bench.clock.now
        bench.told(1)
    bench.told()
    posted = next(
        call.at for call in bench.slack.calls if call.arguments["text"].startswith("CRITICAL")
    )
    assert posted - begun <= 3.0
    assert (121, 0) == (counted(bench), bench.waiting())


def test_a_digest_grows_in_place_and_not_with_every_finding(bench: Bench) -> None:
    for second in range(15):
        bench.found(*many(10, start=10 * second))
        bench.told(1)
    bench.told()
    (digest,) = digests(bench)
    assert "Flood: 150 incidents" in digest["text"] and "140 more in the feed" in text_of(digest)
    assert bench.slack.methods().count("chat.update") <= 7


def test_what_becomes_of_incidents_in_a_digest_is_seen_there(bench: Bench) -> None:
    bench.found(*many(20))
    bench.told()
    for incident in bench.incidents()[:8]:
        bench.did("resolve", incident)
    bench.sleep(20)
    bench.told()
    (digest,) = digests(bench)
    assert "20 high; 8 are over" in text_of(digest)


def test_one_of_a_digest_that_becomes_critical_gets_a_message_of_its_own(bench: Bench) -> None:
    bench.found(*many(20))
    bench.told()
    bench.found(finding("more", entity=key(3), severity=Severity.CRITICAL))
    bench.told()
    assert ["CRITICAL"] == [
        m["text"].split(":")[0] for m in bench.slack.messages() if m not in digests(bench)
    ]


def test_another_flood_later_is_another_digest(bench: Bench) -> None:
    bench.found(*many(20))
    bench.told()
    bench.sleep(3600)
    bench.found(*many(20, start=100))
    bench.told()
    assert (2, 40) == (len(digests(bench)), counted(bench))


@pytest.mark.parametrize("lost", ["chat.postMessage", "chat.update"])
def test_a_digest_whose_answer_is_lost_is_found_again_and_counts_each_once(
    bench: Bench, lost: str
) -> None:
    bench.slack.lost = [lost]
    bench.found(*many(20))
    bench.told()
    bench.restart()
    bench.found(*many(10, start=100))
    bench.told()
    assert (1, 30, 0) == (len(digests(bench)), counted(bench), bench.waiting())


def test_a_limit_that_slack_enforces_is_waited_out_and_loses_nothing(bench: Bench) -> None:
    bench.slack._last["C01"] = bench.clock.now + 5  # somebody else posts there, too
    bench.found(*many(40), *many(3, Severity.CRITICAL, start=100))
    bench.told()
    assert bench.slack.limited > 0
    assert (43, 0) == (counted(bench), bench.waiting())


@pytest.mark.slow
def test_after_an_outage_there_is_one_summary_that_says_what_is_over(
    bench: Bench,
) -> None:
    bench.slack.broken = {"chat.postMessage": ["service_unavailable"] * 999}
    bench.found(*many(30), *many(2, Severity.CRITICAL, start=100))
    bench.told(900)
    for incident in bench.query.incidents(rank=4, limit=100)[:20]:
        bench.did("resolve", incident)
    bench.slack.broken = {}
    bench.told(600)
    (digest,) = digests(bench)
    assert (32, 0) == (counted(bench), bench.waiting())
    assert "are over" in digest["text"] and len(bench.slack.messages()) <= 3
    assert 1 == len(bench.faults)


def test_at_night_only_criticals_are_told(workspace: FakeSlack, tmp_path: Path) -> None:
    bench = night(workspace, tmp_path, at(22))
    bench.found(*many(3), *many(1, Severity.CRITICAL, start=100))
    bench.told(6)
    assert ["CRITICAL"] == [m["text"].split(":")[0] for m in bench.slack.messages()]
    assert 3 == bench.waiting()


def test_in_the_morning_the_night_is_one_digest_that_says_what_is_true_then(
    workspace: FakeSlack, tmp_path: Path
) -> None:
    bench = night(workspace, tmp_path, at(22, day=18))
    bench.found(*many(3))
    bench.told(6)
    bench.did("resolve", bench.incidents()[0])
    bench.told(6)
    bench.sleep(9 * 3600)
    bench.told()
    (digest,) = digests(bench)
    assert "3 incidents while it was quiet: 3 high; 1 are over" == digest["text"]
    assert 0 == bench.waiting()


def test_a_flood_at_night_is_counted_and_does_not_hide_what_people_do(
    workspace: FakeSlack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerts.slack_plan.HELD", 10)
    monkeypatch.setattr("alerts.slack.SlackSink.batch", 12)
    bench = night(workspace, tmp_path, at(22, day=18))
    bench.found(*many(40), *many(1, Severity.CRITICAL, start=100))
    bench.told(8)
    bench.did("ack", bench.query.incidents(rank=5)[0])
    bench.did("resolve", bench.query.incidents(entity=key(7).id)[0])
    (critical,) = bench.told(8)
    assert "ana has taken it" in text_of(critical) and bench.waiting() <= 10
    bench.restart()
    bench.sleep(9 * 3600)
    bench.told()
    (digest,) = digests(bench)
    assert "40 incidents while it was quiet: 40 high; 1 are over" == digest["text"]
    assert (41, 0) == (counted(bench), bench.waiting())


def test_a_single_incident_of_the_night_is_a_message_in_the_morning(
    workspace: FakeSlack, tmp_path: Path
) -> None:
    bench = night(workspace, tmp_path, at(22, day=18))
    bench.found(*many(1))
    bench.told(6)
    bench.sleep(9 * 3600)
    assert ["HIGH"] == [m["text"].split(":")[0] for m in bench.told()]


def test_what_somebody_does_at_night_edits_what_people_know(
    workspace: FakeSlack, tmp_path: Path
) -> None:
    bench = night(workspace, tmp_path, at(20, 30))
    bench.found(*many(1))
    bench.told()
    bench.sleep(2 * 3600)
    bench.did("ack")
    (message,) = bench.told()
    assert "ana has taken it" in text_of(message)


@pytest.mark.parametrize(
    ("moment", "quiet"),
    [
        (at(20, 59), False),  # 21:59 in Berlin
        (at(21), True),
        (at(5, 59), True),
        (at(6), False),
        (at(12, day=21), True),  # a Saturday
        (at(12, day=22), True),
        (at(5, 59, day=23), True),
        (at(6, day=23), False),
        (datetime(2026, 7, 20, 20, 30, tzinfo=UTC), True),  # summer time
    ],
)
def test_quiet_hours_follow_the_clocks_on_the_wall(moment: datetime, quiet: bool) -> None:
    assert NIGHT is not None
    assert quiet == NIGHT.holds(moment)


@pytest.mark.parametrize(
    ("hours", "days", "zone"),
    [
        ("22-7", (), "UTC"),
        ("25:00-07:00", (), "UTC"),
        ("07:00-07:00", (), "UTC"),
        ("22:00-07:00", ("samstag",), "UTC"),
        ("22:00-07:00", (), "Europe/Atlantis"),
        ("", ("mon", "tue", "wed", "thu", "fri", "sat", "sun"), "UTC"),
    ],
)
def test_quiet_hours_that_cannot_be_meant_are_refused(
    hours: str, days: tuple[str, ...], zone: str
) -> None:
    with pytest.raises(ValueError, match="quiet_"):
        QuietHours.parse(hours, days, zone)


def test_days_alone_can_be_quiet_and_without_anything_it_never_is() -> None:
    weekend = QuietHours.parse("", ("sun",), "UTC")
    assert weekend is not None and weekend.zone == ZoneInfo("UTC")
    assert (True, False) == (weekend.holds(at(12, day=22)), weekend.holds(at(12, day=23)))
    assert QuietHours.parse("", (), "UTC") is None
