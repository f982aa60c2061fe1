"""Who may see and do what: every route, every role, every tenant."""

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from alerts.feed.accounts import TRIES, TRIES_FROM, BadAccount, Throttle
from alerts.feed.identity import SCOPES, Identity
from alerts.feed.redact import ANOTHER, finding_for
from alerts.feed.settings import FeedSettings
from schemas.finding import Entity
from tests.alerts_fakes import NOON, finding
from tests.feed_kit import ALL, HTMX, Office, Person, rollups, shown

OPEN = {"/login", "/enter/{secret}", "/healthz"}  # to everybody, by design
ORDER = ("viewer", "analyst", "admin")
SECRET = "globex"  # the tenant nobody of acme may hear of


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return Office(tmp_path_factory.mktemp("feed"))


@pytest.fixture(scope="module")
def ids(office: Office) -> dict[str, str]:
    """An incident of each tenant, on entities with usage, and one that names both tenants."""
    made = {}
    for tenant in ("acme", SECRET):
        entity = Entity(lane="credential", id=f"hmac:{tenant}-key")
        [made[tenant]] = office.found(f"of-{tenant}", tenant=tenant, entity=entity)
        office.runner.record(rollups=rollups(entity, [500] * 5, office.now - 5 * (NOON - NOON)))
    event = {"id": "e-2", "tenant_id": SECRET, "client_address": "192.0.2.7"}
    own = {"id": "e-1", "tenant_id": "acme", "client_address": "192.0.2.1"}
    [made["both"]] = office.found(
        "both", family="cross-tenant", entity=Entity(lane="session", id="run-7"),
        summary=f"tenant acme read a record of {SECRET}", event_ids=("e-1", "e-2"),
        evidence={"owner": SECRET, "events": [own, event], "note": f"seen at {SECRET}."},
    )  # fmt: skip
    return made


@pytest.fixture(scope="module")
def people(office: Office) -> dict[str, Person]:
    found = {role: office.signed_in(role, name=role) for role in ORDER}  # type: ignore[arg-type]
    found["limited"] = office.signed_in("analyst", frozenset({"acme"}), name="limited")
    return found


def all_routes(office: Office) -> list[tuple[str, str, str]]:
    """Method, path and what it needs, of every route there is."""
    found = []
    for route in office.app.routes:
        inside = getattr(route, "original_router", None)
        for each in inside.routes if inside is not None else [route]:
            if isinstance(each, APIRoute):
                calls = [d.call for d in each.dependant.dependencies]
                needs = "".join(getattr(call, "needs", "") for call in calls)
                found += [(method, each.path, needs) for method in each.methods]
    return found


def filled(path: str, id: str) -> str:
    given = {"id": id, "verb": "ack", "lane": "credential", "secret": "x"}
    return re.sub(r"\{(\w+)\}", lambda name: given[name[1]], path)


def test_every_route_but_the_way_in_needs_somebody(
    office: Office, ids: dict[str, str], people: dict[str, Person]
) -> None:
    stranger = office.anonymous()
    found = all_routes(office)
    assert len(found) > 30
    for method, path, needs in found:
        if path in OPEN:
            assert needs == ""
            continue
        assert needs, f"{method} {path} has no guard"
        answer = stranger.request(method, filled(path, ids["acme"]))
        login = answer.status_code == 303 and answer.headers["location"].startswith("/login")
        assert answer.status_code == 401 or login, f"{method} {path}: {answer.status_code}"


def test_every_route_refuses_those_of_a_lower_role(
    office: Office, ids: dict[str, str], people: dict[str, Person]
) -> None:
    for method, path, needs in all_routes(office):
        if needs not in ORDER or path == "/logout":
            continue
        for role in ORDER:
            where = filled(path, ids["acme"])
            if path == "/live":
                continue
            who = people[role]
            answer = who.get(where) if method == "GET" else who.post(where)
            allowed = ORDER.index(role) >= ORDER.index(needs)
            assert allowed == (answer.status_code != 403), f"{role} {method} {path}"


@pytest.mark.process
def test_no_route_tells_somebody_of_one_tenant_about_another(
    office: Office, ids: dict[str, str], people: dict[str, Person]
) -> None:
    limited = people["limited"]
    tries = 0
    for method, path, _ in all_routes(office):
        if path in OPEN or path in ("/live", "/logout", "/account"):
            continue
        for id in ids.values():
            where = filled(path, id)
            query = {"id": f"hmac:{SECRET}-key", "ids": id, "tenant": SECRET, "view": "all"}
            for given in (query, {"id": "hmac:acme-key", "view": "all"}):
                if method == "GET":
                    answer = limited.get(where, params=given)
                else:
                    answer = limited.post(where, **query)
                body = answer.text.replace(f'value="{SECRET}"', "")  # what they typed themselves
                body = re.sub(rf"[?&;]?tenant={SECRET}", "", body)
                body = body.replace(f'value="hmac:{SECRET}-key"', "")
                assert SECRET not in body, f"{method} {where}"
                assert "192.0.2.7" not in body, f"{method} {where}"
                tries += 1
    assert tries > 100
    assert "open" == office.feed.feeds.some([ids[SECRET]], ALL)[ids[SECRET]].state
    assert [] == office.heard


def test_the_machine_feed_tells_of_ones_own_tenants_only(
    office: Office, ids: dict[str, str]
) -> None:
    token = office.feed.sessions.make_token("siem", frozenset(SCOPES), frozenset({"acme"}), "root")
    client = office.anonymous()
    client.headers["authorization"] = f"Bearer {token}"

    listed = client.get("/api/incidents")
    lines = client.get("/api/findings").text
    assert {ids["acme"], ids["both"]} == {each["id"] for each in listed.json()["incidents"]}
    assert (2, 0) == (lines.count("\n"), (lines + listed.text).count(SECRET))
    assert 404 == client.get(f"/api/incidents/{ids[SECRET]}").status_code
    acted = client.post(f"/api/incidents/{ids[SECRET]}/actions", json={"verb": "ack"})
    assert 404 == acted.status_code


def test_usage_is_drawn_only_of_what_is_all_ones_own(
    office: Office, ids: dict[str, str], people: dict[str, Person]
) -> None:
    path = "/entities/credential/chart.json"
    own = people["limited"].get(path, params={"id": "hmac:acme-key"})
    other = people["limited"].get(path, params={"id": f"hmac:{SECRET}-key"})

    assert (200, 404) == (own.status_code, other.status_code)
    assert own.json()["columns"] is not None


def test_what_other_tenants_use_too_is_not_for_one_of_them_to_expect(
    office: Office, people: dict[str, Person]
) -> None:
    service = Entity(lane="service", id="openai/gpt-4o")
    [id] = office.found("s1", tenant="acme", family="retry-storm", entity=service)
    office.found("s2", tenant=SECRET, family="cross-tenant", entity=service)

    form = people["limited"].get(f"/act/expected?ids={id}", headers=HTMX)
    answer = people["limited"].post("/act/expected", ids=id, reason="x")

    assert "other tenants use it, too" in form.text
    assert (409, []) == (answer.status_code, office.heard)
    assert 303 == people["analyst"].post("/act/expected", ids=id, reason="x").status_code
    office.heard.clear()


def test_a_finding_is_told_without_other_tenants() -> None:
    told = finding(
        summary="globex and globex-2 are two", tenant="acme",
        evidence={"used_by": "globex", "deep": [{"tenant_id": "globex"}, {"tenant_id": "acme"}]},
    )  # fmt: skip
    shown = finding_for(Identity("x", "viewer", frozenset({"acme"})), told, {"globex-2"})

    assert f"{ANOTHER} and {ANOTHER} are two" == shown.summary
    assert {"used_by": ANOTHER, "deep": [{"tenant_id": "acme"}]} == shown.evidence


@pytest.mark.parametrize(
    ("headers", "with_token"),
    [
        ({}, False),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "same-site"}, True),
        ({"origin": "https://evil.example"}, True),
        ({"origin": "null"}, True),
    ],
)
def test_another_site_cannot_act_for_somebody(
    office: Office, ids: dict[str, str], people: dict[str, Person], headers: Any, with_token: bool
) -> None:
    ana = people["analyst"]
    token = re.search(r'data-csrf="([0-9a-f]*)"', ana.get("/account").text)
    assert token is not None
    form = {"ids": ids["acme"], **({"csrf": token[1]} if with_token else {})}

    answer = ana.client.post("/act/resolve", data=form, headers=headers)

    assert 403 == answer.status_code
    assert "resolved" != office.feed.feeds.some([ids["acme"]], ALL)[ids["acme"]].state


def test_the_token_of_one_session_is_no_use_in_another(people: dict[str, Person]) -> None:
    token = re.search(r'data-csrf="([0-9a-f]*)"', people["admin"].get("/account").text)
    assert token is not None

    answer = people["analyst"].client.post("/act/ack", data={"csrf": token[1]})

    assert 403 == answer.status_code


def test_the_first_link_works_once_and_leads_to_a_password(tmp_path: Path) -> None:
    office = Office(tmp_path)
    secret = office.feed.accounts.first()
    assert office.feed.accounts.first() is None
    browser = office.anonymous()
    assert 200 == browser.get(f"/enter/{secret}").status_code  # looking does not use it up
    assert 303 == browser.post(f"/enter/{secret}").status_code
    assert 404 == office.anonymous().post(f"/enter/{secret}").status_code

    page = browser.get("/account")
    token = re.search(r'data-csrf="([0-9a-f]*)"', page.text)
    assert token is not None
    short = browser.post("/account", data={"csrf": token[1], "password": "short"})
    assert (400, True) == (short.status_code, "12 to 256 characters" in short.text)
    good = "correct horse battery"
    assert 303 == browser.post("/account", data={"csrf": token[1], "password": good}).status_code

    other = office.anonymous()
    form = {"name": "admin", "password": good, "next": "//evil.example"}
    answer = other.post("/login", data=form)
    assert (303, "/") == (answer.status_code, answer.headers["location"])
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie
    assert b"correct horse" not in (tmp_path / "tripmeter.db").read_bytes()


def test_who_guesses_passwords_waits(office: Office, people: dict[str, Person]) -> None:
    browser = office.anonymous()
    wrong = [
        browser.post("/login", data={"name": "admin", "password": f"guess {n}"}).status_code
        for n in range(TRIES + 1)
    ]
    office.feed.throttle.right("name admin", "address testclient")

    assert [401] * TRIES + [429] == wrong
    entries = [(e["who"], e["what"]) for e in office.feed.audit.entries(limit=TRIES)]
    assert [("admin", "wrong password")] * TRIES == entries


def test_those_who_wait_may_try_again_later_and_an_address_is_given_more_tries() -> None:
    at = [0.0]
    throttle = Throttle(lambda: at[0])
    for _ in range(TRIES):
        throttle.wrong("name a", "address b")
        at[0] += 1

    assert (True, False) == tuple(throttle.wait_s(n) > 0 for n in ("name a", "address b"))
    for _ in range(TRIES_FROM):
        throttle.wrong("address b")
    assert (True, 0) == (throttle.wait_s("address b") > 0, throttle.wait_s("name c"))
    at[0] = 400.0
    assert 0 == throttle.wait_s("name a", "address b")


def test_a_stream_ends_when_its_reader_is_locked_out(tmp_path: Path) -> None:
    office = Office(tmp_path)
    sessions = office.feed.sessions
    office.feed.accounts.make("bob", "viewer", None)
    bob = sessions.of_cookie(sessions.begin("bob"))
    program = sessions.of_token(sessions.make_token("t", frozenset({"findings"}), None, "x"))
    assert bob is not None and program is not None
    assert (True, True) == (sessions.alive(bob), sessions.alive(program))

    office.signed_in("admin", name="root")
    office.feed.accounts.disable("bob", disabled=True)
    sessions.revoke(sessions.tokens()[0].id)

    assert (False, False) == (sessions.alive(bob), sessions.alive(program))


def test_whom_a_provider_vouches_for_is_locked_out_by_name(tmp_path: Path) -> None:
    office = Office(tmp_path)
    client = office.anonymous()
    office.feed.accounts.make("root", "admin", None)
    client.cookies.set(office.feed.cookie, office.feed.sessions.begin("eve@x.example", "analyst"))
    assert 200 == client.get("/").status_code

    office.feed.accounts.make("eve@x.example", "viewer", None)
    office.feed.accounts.disable("eve@x.example", disabled=True)
    client.cookies.set(office.feed.cookie, office.feed.sessions.begin("eve@x.example", "analyst"))

    assert 303 == client.get("/").status_code
    office.store.close()


def test_a_locked_user_is_out_at_once_and_the_last_admin_stays(tmp_path: Path) -> None:
    office = Office(tmp_path)
    root, bob = office.signed_in("admin", name="root"), office.signed_in("viewer", name="bob")
    assert [] == shown(bob.get("/"))

    root.post("/people/lock", name="bob", locked="1")
    refused = root.post("/people/lock", name="root", locked="1")

    assert 303 == bob.get("/").status_code
    assert "no other admin would be left" in refused.text
    with pytest.raises(BadAccount, match="sees every tenant"):
        office.feed.accounts.make("x", "admin", frozenset({"acme"}))
    what = [(e["who"], e["what"], e["subject"]) for e in office.feed.audit.entries()]
    assert ("root", "locked", "bob") in what


def test_a_token_is_seen_once_limited_to_its_scopes_and_can_be_revoked(
    office: Office, people: dict[str, Person], ids: dict[str, str]
) -> None:
    page = people["admin"].post("/tokens", label="siem", scopes=["findings"])
    found = re.search(r"tmf_[\w-]+", page.text)
    assert found is not None
    client = office.anonymous()
    client.headers["authorization"] = f"Bearer {found[0]}"

    assert 200 == client.get("/api/findings").status_code
    assert 403 == client.get("/api/incidents").status_code
    assert 401 == client.get("/", headers=HTMX).status_code  # tokens open no pages
    assert found[0] not in people["admin"].get("/people").text
    [token] = [t for t in office.feed.sessions.tokens() if t.scopes == "findings"]
    people["admin"].post("/tokens/revoke", id=token.id)
    assert 401 == client.get("/api/findings").status_code


@pytest.mark.parametrize(
    "settings",
    [
        {"listen": "0.0.0.0:8788"},
        {"listen": "192.0.2.1:8788"},
        {"listen": "[::]:8788"},
        {"listen": "example.com:443"},
        {"tls_certificate": "a.pem"},
        {"oidc": {"issuer": "http://login.example.com", "client_id": "x"}},
    ],
)
def test_an_address_others_can_reach_needs_tls_or_somebody_who_says_so(settings: Any) -> None:
    with pytest.raises(ValueError, match=r"TLS|tls|https"):
        FeedSettings(**settings)
    if set(settings) == {"listen"}:
        FeedSettings(**settings, allow_plain_remote=True)
        FeedSettings(**settings, tls_certificate="a.pem", tls_key="b.pem")


def test_behind_https_cookies_and_browsers_are_held_to_it(tmp_path: Path) -> None:
    office = Office(tmp_path, public_url="https://soc.example.com")
    answer = office.anonymous().get("/login")

    assert "max-age=31536000" == answer.headers["strict-transport-security"]
    assert "__Host-tripmeter" == office.feed.cookie
