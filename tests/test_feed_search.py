"""Search: words of every incident, kept in step with each write, in either database."""

from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from alerts.feed.identity import Identity
from alerts.feed.queries import Feeds
from alerts.store import AlertStore, Kept
from alerts.store_engine import BadStore, close_store, reading, writing
from alerts.store_search import MAX_WORDS, saying
from alerts.tables import WORDS
from schemas.finding import Entity
from tests.alerts_fakes import NOON, finding
from tests.feed_kit import HOUR, Office, Person, shown


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return Office(tmp_path_factory.mktemp("feed"))


@pytest.fixture
def office(one: Office) -> Office:
    return one.clear()


@pytest.fixture
def ana(office: Office) -> Person:
    return office.signed_in("analyst")


def call(**fields: object) -> dict[str, object]:
    """Evidence of one event."""
    return {"events": [{"id": "e1", "tenant_id": "acme", **fields}]}


def asked(person: Person, text: str) -> list[str]:
    return shown(person.get("/", params={"view": "all", "q": text}))


ASKED = {
    "hmac:f889": "a",
    "f889e29b": "a",
    "F889E29BC9DB89E7": "a",
    "kite": "ab",
    "kite-robotics": "ab",
    "kite-r": "ab",
    "opus-4": "a",
    "robot stolen": "a",
    "stolen kite nothing": "",
    "198.51.100": "a",
    "198.51.100.7": "a",
    "51.100.7": "a",
    "1.100.7": "",
    "aiohttp/3.9.5": "a",
    "claude-opus": "a",
    "new-origin": "a",
    "Größe": "b",
    "' OR 1=1 --": "a",  # it begins "origin"
    '"': "",
    "NEAR(a b)": "",
    "a": "",
}


def test_a_search_finds_what_begins_with_each_of_its_words(office: Office, ana: Person) -> None:
    ids = {}
    [ids["a"]] = office.found(
        "1",
        entity=Entity(lane="credential", id="hmac:f889e29bc9db89e7"),
        tenant="kite-robotics",
        title="A stolen key",
        detector="new-origin",
        evidence=call(
            tenant_id="kite-robotics", client_address="198.51.100.7",
            user_agent="Python/3.11 aiohttp/3.9.5", request_model="claude-opus-4-1",
        ),
    )  # fmt: skip
    [ids["b"]] = office.found("2", tenant="Kite-Robotics", summary="die GRÖSSE, größer als sonst")
    office.found("3", tenant="other", title="Another")
    names = {id: name for name, id in ids.items()}

    found = {q: "".join(sorted(names[id] for id in asked(ana, q))) for q in ASKED}

    assert ASKED == found


def test_words_follow_what_becomes_of_an_incident(office: Office, ana: Person) -> None:
    entity = Entity(lane="credential", id="hmac:1")
    [id] = office.found("a", entity=entity, evidence=call(client_address="198.51.100.7"))
    later = office.now + HOUR / 60
    office.found("b", entity=entity, at=later, evidence=call(client_address="203.0.113.9"))
    assert [id] == asked(ana, "198.51.100.7") == asked(ana, "203.0.113.9")
    assert [] == asked(ana, "zoe")

    ana.post("/act/assign", ids=id, owner="Zoe")
    assert [id] == asked(ana, "zoe")
    ana.post("/act/assign", ids=id, owner="Yan")

    assert ([], [id]) == (asked(ana, "zoe"), asked(ana, "yan"))
    _agree(office)
    ana.post("/act/resolve", ids=id)
    with writing(office.store.engine) as connection:
        AlertStore(office.store.engine, kept=Kept(incidents=0)).trim_in(connection)
        assert 0 == connection.execute(select(func.count()).select_from(WORDS)).scalar()
        said = saying("yan", 9, sqlite=connection.dialect.name == "sqlite")
        assert said is not None
        assert [] == list(connection.execute(said))
    _agree(office)


def _agree(office: Office) -> None:
    """Raises when SQLite's index and what it was made of differ."""
    if office.store.engine.dialect.name == "sqlite":
        check = "INSERT INTO incident_search (incident_search) VALUES ('integrity-check')"
        with writing(office.store.engine) as connection:
            connection.execute(text(check))


def test_the_id_of_a_finding_leads_to_its_incident(office: Office, ana: Person) -> None:
    [id] = office.found("0123456789abcdef0123456789abcdef")

    assert [id] == asked(ana, "0123456789abcdef0123456789abcdef")
    assert [] == asked(ana, "1123456789abcdef0123456789abcdef")


def test_who_sees_one_tenant_cannot_ask_whether_a_story_names_another(office: Office) -> None:
    events = [
        {"id": "e1", "tenant_id": "acme", "client_address": "198.51.100.7"},
        {"id": "e2", "tenant_id": "globex", "client_address": "203.0.113.9"},
    ]
    [id] = office.found("a", summary="It read what is of globex", evidence={"events": events})
    office.found("b", tenant="globex")
    limited = office.signed_in("viewer", tenants=frozenset({"acme"}))
    everybody = office.signed_in("viewer")

    assert [id] == asked(limited, "198.51.100.7") == asked(limited, "what is of")
    assert [] == asked(limited, "globex") == asked(limited, "what glo")
    assert [] == asked(limited, "203.0.113.9") == asked(everybody, "203.0.113.9")
    assert 2 == len(asked(everybody, "globex"))


def test_one_search_finds_so_many_and_says_that_there_are_more(
    office: Office, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("conditions", "pages_list", "queries"):
        monkeypatch.setattr(f"alerts.feed.{module}.FOUND", 3)
    office.found("1", "2", "3", at=office.now - HOUR)
    assert "Only the newest" not in ana.get("/?q=acme").text
    newest = office.found("4")

    page = ana.get("/?q=acme")

    assert newest == shown(page)[:1]
    assert "Only the newest 3 incidents that say this are searched" in page.text


def test_evidence_of_an_attacker_fills_no_index(office: Office) -> None:
    entity = Entity(lane="credential", id="hmac:1")
    for number in range(6):
        agents = [
            {"id": str(n), "user_agent": " ".join(f"x{number}n{n}w{m}" for m in range(4)) * 9}
            for n in range(20)
        ]
        office.found(f"n{number}", entity=entity, evidence={"events": agents})

    with reading(office.store.engine) as connection:
        [(words, seen)] = connection.execute(select(WORDS.c.words, WORDS.c.seen)).all()
    assert MAX_WORDS == len(seen.split())
    assert "x5n0w0" in seen and "x0n0w0" not in seen.split() and "hmac:1" in words


def test_a_store_from_before_there_was_a_search_gets_its_words_when_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerts.store_search.FILL", 4)
    store = AlertStore(tmp_path / "tripmeter.db")
    store.record([finding(str(n), entity=Entity(lane="credential", id=f"k{n}")) for n in range(9)])
    with writing(store.engine) as connection:
        connection.execute(text("DROP TABLE incident_search"))
        connection.execute(text("DROP TABLE incident_words"))
        connection.execute(text("PRAGMA user_version=0"))
    close_store(store.engine)

    again = Feeds(AlertStore(tmp_path / "tripmeter.db").engine)

    def count(asked: str) -> int:
        from alerts.feed.filters import Filter

        return again.count(Filter(view="all", q=asked), Identity("ana", "viewer"), NOON)

    assert (9, 1) == (count("acme"), count("k7"))
    close_store(again.engine)


def test_a_python_without_full_text_search_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alerts.store_engine.lacking", lambda _: True)

    with pytest.raises(BadStore, match="FTS5"):
        AlertStore(tmp_path / "tripmeter.db")
