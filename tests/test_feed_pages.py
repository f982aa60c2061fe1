"""Stories, charts, silences, health and the overview: what an analyst reads."""

import json
import sqlite3
from pathlib import Path

import pytest

from alerts.feed.health import Runner
from alerts.feed.settings import FeedSettings
from alerts.feed.usage import drawn
from schemas.finding import Entity, Severity
from tests.alerts_fakes import rich
from tests.feed_kit import ALL, HOUR, HTMX, Office, Person, heartbeat, rollups, shown

KEY = Entity(lane="credential", id="hmac:a")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return Office(tmp_path_factory.mktemp("feed"))


@pytest.fixture
def office(one: Office) -> Office:
    return one.clear()


@pytest.fixture
def ana(office: Office) -> Person:
    return office.signed_in("analyst")


def stolen(office: Office) -> str:
    """A stolen key: told when it began, told again worse."""
    since = office.now - HOUR
    first = rich(1, id="f1", entity=KEY, tenant="acme", time=since, since=since)
    office.store.record([first], now=since)
    last = first.model_copy(
        update={"revision": 2, "final": True, "time": office.now, "severity": Severity.CRITICAL}
    )
    other = rich(1, id="f2", entity=KEY, detector="new-origin", time=since + HOUR / 2, since=since)
    office.store.record([other, last], now=office.now)
    return office.feed.feeds.of_entity("credential", "hmac:a", ALL)[0].id


def test_the_story_is_told_in_the_order_it_was_found_with_what_to_do(
    office: Office, ana: Person
) -> None:
    (office.feed.runbooks or Path()).joinpath("stolen-key-spend.md").write_text(
        "# stolen\n\nRead **this**. <script>alert(1)</script>"
    )
    page = ana.get(f"/incidents/{stolen(office)}").text

    story = page[page.index("What happened") :]
    assert story.index("12:00:00") < story.index("12:30:00")
    assert story.index("stolen-key-spend") < story.index("new-origin")
    for told in ("What to do", "Read <strong>this</strong>", "203.0.113.1", "gpt-4o", "e-0"):
        assert told in page, told
    assert "<script>alert" not in page


def test_the_ticket_says_everything_in_plain_text(office: Office, ana: Person) -> None:
    id = stolen(office)
    text = ana.get(f"/incidents/{id}/ticket.txt").text

    assert text.startswith("[CRITICAL] A key spends far above its own habit")
    for line in ("Entity:    key hmac:a", "Tenant:    acme", "State:     open, owner nobody"):
        assert line in text
    assert f"Link:      http://127.0.0.1:8788/incidents/{id}" in text


def test_habit_and_break_are_drawn_with_gaps_where_nothing_was_kept(
    office: Office, ana: Person
) -> None:
    id = stolen(office)
    early = rollups(KEY, [300, 400], office.now - 10 * HOUR)
    office.runner.record(rollups=[*early, *rollups(KEY, [9000], office.now - 2 * HOUR)])

    told = ana.get(f"/incidents/{id}/chart.json?feature=tokens").json()

    assert [300, 400, None, 9000] == told["columns"]["seen"]
    assert [900, 900, None, 900] == told["columns"]["high"]
    assert ["stolen-key-spend", "new-origin"] == [mark["name"] for mark in told["marks"]]
    page = ana.get(f"/incidents/{id}").text
    assert 'data-feature="tokens"' in page and ">cost, $</button>" in page
    assert {"time": [], "seen": [], "low": [], "high": []} == drawn([], "tokens")


def test_without_usage_the_page_says_so(office: Office, ana: Person) -> None:
    id = stolen(office)

    assert "No usage of it is kept" in ana.get(f"/incidents/{id}").text
    assert ana.get(f"/incidents/{id}/chart.json").json()["columns"] is None


def test_an_action_shows_what_it_means_before_it_is_done(office: Office, ana: Person) -> None:
    id = stolen(office)
    form = ana.get(f"/act/expected?ids={id}", headers=HTMX).text

    assert "It would have hidden 1 findings in the last 30 days" in form
    assert [] == office.heard
    answer = ana.post("/act/expected", ids=id, reason="load test", lasts="7d")
    assert (303, f"/incidents/{id}") == (answer.status_code, answer.headers["location"])
    assert {"stolen-key-spend", "new-origin"} == {control.detector for control in office.heard}
    page = ana.get(f"/incidents/{id}").text
    assert "expected: load test" in page and "Reopen" in page
    assert "load test" in ana.get("/silences").text
    assert "load test" in ana.get("/entities/credential?id=hmac:a").text


def test_an_action_that_cannot_be_done_says_why(office: Office, ana: Person) -> None:
    id = stolen(office)
    for verb, lasts, status, reason in (
        ("ack", "soon", 400, "30m, 4h or 7d"),
        ("ack", "0m", 409, "has passed"),
        ("expected", "99999d", 409, "within a year"),
        ("dance", "", 400, "nobody can do that"),
    ):
        answer = ana.post(f"/act/{verb}", ids=id, lasts=lasts, reason="x")
        assert (status, True) == (answer.status_code, reason in answer.text)


def test_a_silence_is_previewed_made_and_ended(office: Office, ana: Person) -> None:
    stolen(office)
    asked = "/silences/new?detector=new-origin&lasts=4h"
    assert "It would have hidden 1 findings" in ana.get(asked).text
    ana.post("/silences", detector="new-origin", lasts="4h", reason="a move of offices")
    page = ana.get("/silences").text
    assert "a move of offices" in page
    [made] = office.feed.desk.silences.list(office.now)
    ana.post("/silences/end", id=made.control.id)

    assert "Nothing is hidden" in ana.get("/silences").text
    assert 400 == ana.post("/silences", detector="x", lasts="4h").status_code
    assert ["silence", "end silence"] == [
        entry["what"] for entry in reversed(office.feed.audit.entries())
    ]


def test_a_quiet_feed_is_told_from_a_broken_one(office: Office, ana: Person) -> None:
    def strip() -> tuple[str, str]:
        office.feed.health._kept = None
        found = office.feed.health.strip(ALL)
        return found.level, found.told

    assert ("warn", "No source has sent anything yet") == strip()
    office.runner.record(heartbeats=[heartbeat("litellm", office.now)])
    assert ("ok", "Working: newest event 0 s ago") == strip()
    office.now += HOUR
    assert ("warn", "Litellm has sent nothing for 60 min") == strip()
    office.probe.told = Runner(True, ["judging stopped: OutOfStep"], 5)
    assert ("bad", "Judging stopped: OutOfStep (and 1 more)") == strip()
    office.probe.told = Runner(False)
    assert strip()[1].startswith("Nothing is judged: tripmeter serve does not run")
    assert "Nothing is judged" in ana.get("/health").text
    assert "But do not trust the silence" in ana.get("/").text


def test_the_strip_names_what_is_not_covered(office: Office, ana: Person) -> None:
    office.probe.lacks = [("key-probe", ()), ("foreign-resource", ("resource.id",))]
    office.runner.record(heartbeats=[heartbeat("otlp", office.now)])
    page = ana.get("/health").text

    assert "1 of 2 get what they need" in page
    assert "<b>foreign-resource</b> is blind: no resource.id" in page


def test_the_overview_adds_up_incidents_and_spend(office: Office, ana: Person) -> None:
    stolen(office)
    office.found("b", tenant="globex", severity=Severity.LOW)
    office.runner.record(rollups=rollups(KEY, [500, 40_000], office.now - 5 * HOUR))
    page = ana.get("/overview").text

    assert "Stolen key <b>2</b>" in page
    assert "<bdi>acme</bdi>" in page and "44.4×" in page


def test_an_entity_page_shows_its_life(office: Office, ana: Person) -> None:
    stolen(office)
    office.runner.record(rollups=rollups(KEY, [500, 700], office.now - 5 * HOUR))
    page = ana.get("/entities/credential?id=hmac:a").text

    for told in ("hmac:a", "acme", "A key spends far above its own habit", "Calls in 30 d"):
        assert told in page
    assert [500, 700] == ana.get("/entities/credential/chart.json?id=hmac:a&feature=tokens").json()[
        "columns"
    ]["seen"]
    assert 404 == ana.get("/entities/nonsense?id=x").status_code


def test_a_tenant_page_shows_its_incidents_keys_and_spend(office: Office, ana: Person) -> None:
    stolen(office)
    office.found("other", tenant="globex")
    office.runner.record(rollups=rollups(KEY, [500_000, 700_000], office.now - 5 * HOUR))
    page = ana.get("/tenants?tenant=acme").text

    for told in ("1, 1 open", "hmac:a", "$1.20", "A key spends far above its own habit"):
        assert told in page, told
    assert "hmac:other" not in page
    assert 404 == ana.get("/tenants?tenant=nobody").status_code


def test_what_is_not_there_is_said_in_words(ana: Person) -> None:
    for path in ("/incidents/zz", "/nowhere", "/incidents/zz/drawer"):
        answer = ana.get(path)
        assert (404, True) == (answer.status_code, "no such" in answer.text)


def test_a_store_that_does_not_answer_is_said_to_and_nothing_breaks(
    office: Office, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(office.feed.feeds, "page", down)
    answer = ana.get("/")
    assert (503, "2") == (answer.status_code, answer.headers["retry-after"])
    assert "cannot be read now" in answer.text and "disk I/O" not in answer.text

    monkeypatch.setattr(office.feed.feeds, "destinations", down)
    office.feed.health._kept = None
    assert "The store cannot be read" in ana.get("/health").text


def test_machines_read_findings_from_a_cursor_on_and_hear_what_is_gone(office: Office) -> None:
    ids = [stolen(office)]
    token = office.feed.sessions.make_token("t", frozenset({"findings", "incidents"}), None, "r")
    client = office.anonymous()
    client.headers["authorization"] = f"Bearer {token}"

    first = client.get("/api/findings?limit=2")
    second = client.get(f"/api/findings?after={first.headers['tripmeter-cursor']}")
    lines = [json.loads(line) for line in (first.text + second.text).splitlines()]
    assert ["f1", "f2", "f1"] == [line["finding_info"]["uid"] for line in lines]
    assert {ids[0]} == {line["unmapped"]["incident"]["id"] for line in lines}
    assert "" == client.get(f"/api/findings?after={second.headers['tripmeter-cursor']}").text
    assert [ids[0]] == [each["id"] for each in client.get("/api/incidents").json()["incidents"]]
    assert f"/incidents/{ids[0]}" in client.get("/api/feed.json").json()["items"][0]["url"]
    assert {"error": "not found"} != client.get("/api/incidents/none").json()
    assert 400 == client.get("/api/incidents?limit=0").status_code
    assert "/api/findings" in client.get("/api/openapi.json").json()["paths"]


def test_a_token_of_one_tenant_moves_on_past_what_is_not_its_own(office: Office) -> None:
    office.found("1", "2", "3", tenant="globex")
    token = office.feed.sessions.make_token("t", frozenset({"findings"}), frozenset({"acme"}), "r")
    client = office.anonymous()
    client.headers["authorization"] = f"Bearer {token}"

    nothing = client.get("/api/findings")
    office.found("4", tenant="acme")
    mine = client.get(f"/api/findings?after={nothing.headers['tripmeter-cursor']}")

    assert ("", "3") == (nothing.text, nothing.headers["tripmeter-cursor"])
    assert (1, "4") == (mine.text.count("\n"), mine.headers["tripmeter-cursor"])


def test_programs_have_so_many_streams_of_findings(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = office.feed.sessions.make_token("t", frozenset({"findings"}), None, "r")
    headers = {"authorization": f"Bearer {token}", "accept": "text/event-stream"}
    monkeypatch.setattr(office.feed, "readers", office.feed.settings.max_streams)
    assert 503 == office.anonymous().get("/api/findings", headers=headers).status_code

    monkeypatch.setattr(office.feed, "readers", office.feed.settings.max_streams - 1)
    monkeypatch.setattr(office.feed.hub, "closing", True)  # it ends at once
    answer = office.anonymous().get("/api/findings", headers=headers)

    assert (200, office.feed.settings.max_streams - 1) == (
        answer.status_code, office.feed.readers
    )  # fmt: skip


def test_the_first_load_weighs_less_than_150_kilobytes(office: Office, ana: Person) -> None:
    office.found("a", "b", "c")
    page = ana.get("/")
    files = [
        "feed.css",
        "feed.js",
        "theme.js",
        "htmx.min.js",
        "brush.js",
        "uplot.min.js",
        "chart.js",
    ]
    weights = {}
    for name in [*files, "uplot.min.css", "icon.svg"]:
        with ana.client.stream("GET", f"/static/{name}") as answer:
            weights[name] = len(b"".join(answer.iter_raw()))
            assert "immutable" in answer.headers["cache-control"]

    assert 150_000 > sum(weights.values()) + len(page.content)
    assert 3 == len(shown(page))


def test_settings_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="address:port"):
        FeedSettings(listen="8788")
