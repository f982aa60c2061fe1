"""What an analyst looks up beside the story: when, who was told, what else, whose spend."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from alerts.feed.filters import Filter
from alerts.feed.histogram import MAX_STEPS, Grid, stacked
from alerts.outbox import Outbox
from alerts.outbox_log import tellings
from alerts.store import AlertStore
from alerts.store_engine import close_store, writing
from schemas.finding import Entity, Severity
from tests.alerts_fakes import NOON, Everyone, finding
from tests.feed_kit import ALL, HOUR, Office, Person, rollups, shown

KEY = Entity(lane="credential", id="hmac:a")
MINUTE = "%Y-%m-%dT%H:%M"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return Office(tmp_path_factory.mktemp("feed"))


@pytest.fixture
def office(one: Office) -> Office:
    return one.clear()


@pytest.fixture
def ana(office: Office) -> Person:
    return office.signed_in("analyst")


def test_a_time_chosen_on_the_histogram_shows_what_was_opened_then(
    office: Office, ana: Person
) -> None:
    at = office.now
    [_] = office.found("a", at=at - 30 * HOUR)
    [b] = office.found("b", at=at - 3 * HOUR, severity=Severity.LOW)
    [_] = office.found("c", at=at)
    start, until = f"{at - 4 * HOUR:{MINUTE}}", f"{at - HOUR:{MINUTE}}"

    chosen = ana.get(f"/?start={start}&until={until}")
    drawn = ana.get(f"/histogram?start={start}&until={until}").text
    whole = ana.get("/histogram").text

    assert [b] == shown(chosen)
    assert f'name="start" value="{start}"' in chosen.text
    still = ana.get("/histogram?still=1").text
    assert 'role="img" aria-label="3 incidents opened from' in still and "Drag" not in still
    assert "1 incidents opened from" in drawn and 'data-low="1"' in drawn
    assert "3 incidents opened from" in whole
    assert [b, *shown(ana.get(f"/?start={until}"))][:1] == shown(ana.get(f"/?until={until}"))[:1]
    assert 3 == len(shown(ana.get("/?start=yesterday&until=1")))


def test_a_histogram_has_as_many_steps_as_fit_and_counts_each_incident_once() -> None:
    now = datetime(2026, 10, 14, 15, 20, tzinfo=UTC)
    for wanted, step_s in (
        (Filter(), 6 * 3600),
        (Filter(since="1h"), 60),
        (Filter(since="7d"), 3 * 3600),
        (Filter(start="2026-10-14T15:00", until="2026-10-14T15:10"), 60),
        (Filter(start="2001-01-01T00:00"), 7 * 86_400),
        (Filter(start="0001-01-01T00:00", until="9999-12-31T23:59"), 6 * 3600),
        (Filter(start="2026-10-14T15:00", until="2020-01-01T00:00"), 60),
    ):
        grid = Grid.of(wanted, now)
        assert (step_s, True) == (grid.step_s, 1 <= grid.count <= 10 * MAX_STEPS), wanted
    steps = stacked(
        [(0, "health", 1, 3), (0, "llmjacking", 5, 1), (9, "health", 2, 1)], Grid(now, 60, 2)
    )
    assert [4, 0] == [step.total for step in steps]
    assert (("informational", 3, 25.0, 75.0), ("critical", 1, 0.0, 25.0)) == steps[0].parts


def test_the_page_says_which_destination_was_told_what_and_when(
    office: Office, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(office.store, "router", Everyone(("siem",), ("people",)))
    [id] = office.found("f-1", entity=KEY)
    outbox = Outbox(office.store.engine, lambda: (office.now - HOUR).timestamp())
    outbox.delivered("people", outbox.pending("people", 9))
    next_try = (office.now + HOUR).timestamp()
    outbox.postpone("siem", outbox.pending("siem", 9), next_try, "HTTP 503", held=False)

    page = ana.get(f"/incidents/{id}").text
    told = page[page.index("Who was told") :]
    incident = office.feed.feeds.incident(id, ALL)
    assert incident is not None
    log = {(t.destination, t.what, t.revision, t.state) for t in tellings(outbox.engine, incident)}

    assert {("people", "incident", 1, "delivered"), ("siem", "finding", 1, "waiting")} == log
    assert "60 min ago</time> <b><bdi>people</bdi></b>" in told
    assert "will get</span> finding f-1, revision 1, next try" in told and "HTTP 503" in told
    limited = office.signed_in("viewer", tenants=frozenset({"acme"}))
    assert "Who was told" not in limited.get(f"/incidents/{id}").text


def test_an_outbox_from_before_times_were_kept_gets_its_column(tmp_path: Path) -> None:
    store = AlertStore(tmp_path / "tripmeter.db", Everyone())
    store.record([finding("a")])
    with writing(store.engine) as connection:
        connection.execute(text("ALTER TABLE outbox DROP COLUMN tried"))
        connection.execute(text("PRAGMA user_version=0"))
    close_store(store.engine)

    outbox = Outbox(tmp_path / "tripmeter.db", lambda: 17.0)

    outbox.delivered("siem", outbox.pending("siem", 9))
    with writing(outbox.engine) as connection:
        assert [(17.0,)] == list(connection.execute(text("SELECT tried FROM outbox")))
    close_store(outbox.engine)


def test_others_that_name_the_same_address_are_related(office: Office, ana: Person) -> None:
    def seen(address: str) -> dict[str, object]:
        return {"events": [{"id": "e", "client_address": address}]}

    [first] = office.found("a", evidence=seen("198.51.100.7"))
    [same] = office.found("b", evidence=seen("198.51.100.7"), tenant="globex")
    [other] = office.found("c", evidence=seen("198.51.100.77"), tenant="initech")

    page = ana.get(f"/incidents/{first}").text
    address = ana.get("/entities/origin?id=198.51.100.7").text

    assert f"/incidents/{same}" in page and "same address 198.51.100.7" in page
    assert f"/incidents/{other}" not in page
    assert f"/incidents/{first}" in address and f"/incidents/{same}" in address
    assert f"/incidents/{other}" not in address


def test_every_tenants_spend_is_shown_though_no_incident_names_it(
    office: Office, ana: Person
) -> None:
    quiet = rollups(Entity(lane="credential", id="hmac:q"), [500_000] * 3, office.now - 5 * HOUR)
    office.runner.record(rollups=[r.model_copy(update={"tenant": "globex"}) for r in quiet])

    overview = ana.get("/overview").text
    page = ana.get("/tenants?tenant=globex").text

    assert "<bdi>globex</bdi>" in overview and "$1.50" in overview
    assert "hmac:q" in page and "$1.50" in page and "None." in page
    limited = office.signed_in("viewer", tenants=frozenset({"acme"}))
    assert "globex" not in limited.get("/overview").text
    assert 404 == limited.get("/tenants?tenant=globex").status_code


def test_hours_in_which_another_tenant_used_a_key_are_not_drawn_for_who_may_not_see_it(
    office: Office,
) -> None:
    office.found("1", entity=KEY)
    both = rollups(KEY, [500, 700], office.now - 5 * HOUR)
    whose = zip(both, ("acme", "globex"), strict=True)
    office.runner.record(rollups=[r.model_copy(update={"tenant": t}) for r, t in whose])
    limited = office.signed_in("viewer", tenants=frozenset({"acme"}))

    def seen(who: Person) -> object:
        return who.get("/entities/credential/chart.json?id=hmac:a").json()["columns"]["seen"]

    assert [500] == seen(limited)
    assert [500, 700] == seen(office.signed_in("viewer"))


def test_what_a_resolved_incident_was_is_kept_with_the_reason(office: Office, ana: Person) -> None:
    [id] = office.found("a")
    assert "a real attack" in ana.get(f"/act/resolve?ids={id}").text

    ana.post("/act/resolve", ids=id, verdict="a test", reason="drill of May")

    assert "a test: drill of May" in ana.get(f"/incidents/{id}").text


def test_what_the_key_spent_since_is_told_beside_what_was_found(
    office: Office, ana: Person
) -> None:
    [id] = office.found("a", entity=KEY, at=NOON + timedelta(minutes=50))
    office.runner.record(rollups=rollups(KEY, [500, 5_000_000, 7_000_000], NOON - HOUR))

    page = ana.get(f"/incidents/{id}").text

    assert "$12.00 <span" in page
