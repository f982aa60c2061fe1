"""The list: filters in the address, order, pages by cursor, many at once, nothing that hides."""

import json
import re
from urllib.parse import quote

import pytest

from alerts.feed.filters import Filter
from schemas.finding import Entity, Severity
from tests.alerts_fakes import HOSTILE
from tests.feed_kit import ALL, HOUR, HTMX, Office, Person, shown

S = Severity


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return Office(tmp_path_factory.mktemp("feed"))


@pytest.fixture
def office(one: Office) -> Office:
    return one.clear()


@pytest.fixture
def ana(office: Office) -> Person:
    return office.signed_in("analyst")


def test_the_newest_incident_comes_first_and_each_row_tells_its_story(
    office: Office, ana: Person
) -> None:
    [old] = office.found("a", at=office.now - HOUR)
    [new] = office.found("b", summary="31 models refused", cost_usd=12.5)

    page = ana.get("/")

    assert [new, old] == shown(page)
    for told in ("31 models refused", "$12.50", "hmac:b", "acme", "high", "Stolen key", "nobody"):
        assert told in page.text


ASKED = {
    "severity=critical": "c",
    "family=cross-tenant": "b",
    "tenant=globex": "b",
    "entity=hmac%3Aa": "a",
    "lane=session": "b",
    "detector=model-sweep": "c",
    "since=1h": "c",
    "owner=nobody&sort=opened": "cba",
    "sort=severity": "cba",
    "sort=cost": "acb",
    "q=hmac:A": "a",
    "q=globex": "b",
    "q=SWEEP": "c",
    "q=100%25": "",
    "q=_": "",
    "view=closed": "",
    "view=monitor": "d",
    "view=all&sort=opened": "cbad",
}


def test_what_the_address_asks_for_is_shown(office: Office, ana: Person) -> None:
    at = office.now
    ids = {}
    [ids["a"]] = office.found("a", at=at - 5 * HOUR, severity=S.LOW, cost_usd=9.0)
    [ids["b"]] = office.found(
        "b", at=at - 4 * HOUR, severity=S.MEDIUM, tenant="globex", family="cross-tenant",
        entity=Entity(lane="session", id="run-1"),
    )  # fmt: skip
    [ids["c"]] = office.found(
        "c", severity=S.CRITICAL, detector="model-sweep", title="A sweep of models", cost_usd=2.0
    )
    [ids["d"]] = office.found("d", at=at - 6 * HOUR, mode="monitor", severity=S.INFO)
    names = {id: name for name, id in ids.items()}

    found = {q: "".join(names[id] for id in shown(ana.get(f"/?{q}"))) for q in ASKED}

    assert ASKED == found


def test_pages_follow_one_another_without_gap_or_repetition_though_new_ones_come(
    office: Office, ana: Person
) -> None:
    office.found(*(f"n{number}" for number in range(120)))
    seen = []
    page = ana.get("/?sort=severity")
    for _ in range(3):
        seen += shown(page)
        office.found(f"late{len(seen)}", at=office.now + HOUR)
        if more := re.search(r'hx-get="(/rows\?[^"]+)"', page.text):
            page = ana.get(more[1].replace("&amp;", "&"))

    assert (120, 120) == (len(seen), len(set(seen)))


def test_a_damaged_cursor_is_refused_in_words(ana: Person) -> None:
    for cursor in ("x", "[]", "[1,2]", '["a","b"]', "[1,null]", "[" * 2000):
        answer = ana.get("/rows", params={"after": cursor})
        assert (400, True) == (answer.status_code, "begin at the first page" in answer.text)


def test_many_are_acknowledged_together_and_those_that_cannot_be_are_named(
    office: Office, ana: Person
) -> None:
    ids = office.found("a", "b", "c")
    ana.post("/act/resolve", ids=ids[2])

    form = ana.get(f"/act/ack?ids={','.join(ids)}", headers=HTMX)
    answer = ana.client.post(
        "/act/ack", data={"ids": ",".join([*ids, "nope"]), "csrf": ana.token()}, headers=HTMX
    )

    assert "Acknowledge 3 incidents" in form.text
    assert "Acknowledge: 2 done." in answer.text
    assert "it is resolved; reopen it first" in answer.text and "no such incident" in answer.text
    assert 2 == answer.text.count("hx-swap-oob")
    assert ids[:2] == [i for i in ids if office.feed.feeds.some([i], ALL)[i].state == "acked"]
    assert shown(ana.get("/?view=mine")) == shown(ana.get("/?owner=me"))


def test_an_empty_list_says_whether_it_can_be_trusted(office: Office, ana: Person) -> None:
    assert "do not trust the silence" in ana.get("/").text
    assert "Nothing matches" in ana.get("/?tenant=nobody").text


def test_a_saved_view_is_a_search_under_a_name_of_ones_own(office: Office, ana: Person) -> None:
    other = office.signed_in("viewer")
    ana.post("/views", name="dear", query="sort=cost&severity=high&evil=1")

    assert '<a href="/?severity=high&amp;sort=cost"><bdi>dear</bdi></a>' in ana.get("/").text
    assert "dear" not in other.get("/").text
    ana.post("/views", name="dear", remove="1")
    assert "dear" not in ana.get("/").text


MARKUP = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{1337*1337}}javascript:alert(3)'


def test_text_of_an_attacker_is_inert_on_every_page(office: Office, ana: Person) -> None:
    evil = MARKUP + HOSTILE
    admin = office.signed_in("admin", name="root")
    event = dict.fromkeys(("id", "client_address", "user_agent", "request_model"), evil)
    entity = Entity(lane="origin", id=evil)
    [id] = office.found(
        "a", tenant=evil, entity=entity, title=evil, summary=evil,
        evidence={"events": [event], "tool": evil, "note": evil}, runbook=(evil,),
    )  # fmt: skip
    ana.post("/act/note", ids=id, reason=evil)
    ana.post("/views", name="v", query=f"q={quote(evil)}")

    asked = quote(evil)
    paths = [
        "/",
        f"/?q={asked}",
        f"/?tenant={asked}",
        f"/incidents/{id}",
        f"/incidents/{id}/drawer",
    ]
    paths += [f"/act/expected?ids={id}", "/overview", "/silences", "/people", "/audit", "/health"]
    for path in paths:
        page = admin.get(path).text
        assert "<script>alert" not in page and "<img src=x" not in page, path
        assert not re.search(r'href="(?!/|#)', page), path
        assert "1787569" not in page, path
        assert not re.search("[\u202a-\u202e\u2066-\u2069\x1b\u2028]", page), path
    entity_page = admin.get("/entities/origin", params={"id": evil})
    assert 200 == entity_page.status_code and "<script>alert" not in entity_page.text
    ocsf = admin.get(f"/incidents/{id}/ocsf.json")
    assert evil == json.loads(ocsf.text)[0]["finding_info"]["title"]


def test_every_answer_forbids_scripts_that_are_not_ours(office: Office, ana: Person) -> None:
    for answer in (ana.get("/"), office.anonymous().get("/login"), ana.get("/nowhere")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert "nosniff" == answer.headers["x-content-type-options"]
        assert not re.search(r"<script(?![^>]* src=)|\son[a-z]+=|style=|https?://", answer.text)


def test_what_an_address_says_comes_back_unchanged() -> None:
    asked = {"view": "all", "severity": "high", "q": "a b&c=d", "sort": "cost"}

    assert "view=all&severity=high&q=a+b%26c%3Dd&sort=cost" == Filter.of(asked).query()
    assert "" == Filter.of({"view": "open", "sort": "last", "lane": "nonsense"}).query()
