"""The feed in a real Chromium: what comes by itself, keys, two windows, a restart, a phone."""

import re
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, expect

from schemas.finding import Entity, Severity
from tests.alerts_fakes import HOSTILE, Everyone, finding, rich
from tests.feed_kit import HOUR, heartbeat, rollups
from tests.feed_process import FeedProcess, chromium, pill_count, running

pytestmark = pytest.mark.browser

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
expect.set_options(timeout=20_000)  # the machine of a test may be busy
MARKUP = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[FeedProcess]:
    with running(tmp_path) as found:
        found.runner.record(heartbeats=[heartbeat("litellm", datetime.now(UTC))])
        yield found
        assert [] == getattr(found, "wrong", [])


def found(feed: FeedProcess, *ids: str, at: datetime | None = None, **changes: object) -> None:
    """Findings of now (or then), each an incident of its own."""
    for id in ids:
        now = at or datetime.now(UTC)
        entity = Entity(lane="credential", id=f"hmac:{id}")
        usual: dict[str, Any] = {
            "entity": entity,
            "time": now,
            "since": now - HOUR / 6,
            "title": f"Story {id}",
        }
        feed.store.record([finding(id, **{**usual, **changes})], now=now)


def stories(page: Page) -> list[str]:
    return page.locator(".row .story").all_inner_texts()


def live(page: Page) -> None:
    expect(page.locator("#state")).to_have_text("live")


def test_what_is_new_waits_in_a_pill_and_rows_do_not_jump(
    feed: FeedProcess, browser: Browser
) -> None:
    found(feed, "old")
    page = feed.page(browser)
    page.goto("/")
    live(page)
    place = page.locator(".row").bounding_box()
    begun = time.monotonic()
    found(feed, "new", severity=Severity.CRITICAL)
    expect(page.locator("#pill")).to_have_text("1 new · critical: Story new")
    assert 3 > time.monotonic() - begun
    assert ["Story old"] == stories(page)
    found(feed, "newer")
    expect(page.locator("#pill")).to_contain_text("2 new")
    assert place is not None
    page.keyboard.press("n")
    expect(page.locator(".row")).to_have_count(3)
    assert ["Story newer", "Story new", "Story old"] == stories(page)
    expect(page.locator("#pill")).to_be_hidden()


def test_an_empty_list_fills_itself(feed: FeedProcess, browser: Browser) -> None:
    page = feed.page(browser)
    page.goto("/")
    expect(page.get_by_text("Nothing is open")).to_be_visible()
    live(page)
    found(feed, "first")
    expect(page.locator(".row")).to_have_count(1)


def test_a_filter_is_in_the_address_and_what_does_not_fit_it_is_not_announced(
    feed: FeedProcess, browser: Browser
) -> None:
    found(feed, "a")
    found(feed, "b", tenant="globex")
    page = feed.page(browser)
    page.goto("/")
    page.get_by_role("textbox", name="Tenant").fill("globex")
    page.get_by_role("textbox", name="Tenant").blur()
    expect(page.locator(".row")).to_have_count(1)
    assert page.url.endswith("/?tenant=globex")
    live(page)
    found(feed, "c")
    found(feed, "d", tenant="globex")
    expect(page.locator("#pill")).to_have_text("1 new · high: Story d")
    page.reload()
    expect(page.locator(".row")).to_have_count(2)
    page.keyboard.press("/")
    page.keyboard.type("hmac:b")
    expect(page.locator(".row")).to_have_count(1)
    assert "q=hmac%3Ab" in page.url


def test_a_time_is_chosen_by_dragging_and_by_keys(feed: FeedProcess, browser: Browser) -> None:
    now = datetime.now(UTC)
    found(feed, "old", at=now - 9 * 24 * HOUR)
    found(feed, "new", at=now)
    page = feed.page(browser)
    page.goto("/")
    expect(page.locator(".row")).to_have_count(2)
    box = page.locator(".brush").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 5, middle, steps=4)
    expect(page.locator(".histogram output")).to_contain_text("1 incidents")
    page.mouse.up()
    expect(page.locator(".row .story")).to_have_text(["Story old"])
    assert "start=" in page.url and "until=" in page.url

    page.get_by_role("link", name="Clear filters").first.click()
    expect(page.locator(".row")).to_have_count(2)
    page.locator(".brush").focus()
    for _ in range(3):
        page.keyboard.press("Shift+ArrowLeft")
    expect(page.locator(".histogram output")).to_contain_text("1 incidents")
    page.keyboard.press("Enter")
    expect(page.locator(".row .story")).to_have_text(["Story new"])


def test_two_windows_show_the_same_acknowledgement(feed: FeedProcess, browser: Browser) -> None:
    found(feed, "a")
    one, two = feed.page(browser), feed.page(browser, "bob")
    for page in (one, two):
        page.goto("/")
        live(page)
    one.keyboard.press("j")
    one.keyboard.press("a")
    one.locator("#dialog button.first").click()
    for page in (one, two):
        expect(page.locator(".row .state")).to_have_text("Acked")
        expect(page.locator(".row .c-state")).to_contain_text("ana")
    expect(one.locator("#toast")).to_contain_text("Acknowledge: 1 done.")
    expect(two.locator("#pill")).to_be_hidden()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_after_a_restart_nothing_is_missing_and_nothing_comes_twice(
    feed: FeedProcess, browser: Browser, how: signal.Signals
) -> None:
    page = feed.page(browser)
    found(feed, "old")
    page.goto("/")
    live(page)
    found(feed, "before")
    expect(page.locator("#pill")).to_contain_text("1 new")
    feed.stop(how)
    expect(page.locator("#lost")).to_be_visible()
    found(feed, "while-1", "while-2")
    feed.start()
    live(page)
    expect(page.locator("#lost")).to_be_hidden()
    found(feed, "after")
    expect(page.locator("#pill")).to_contain_text("4 new")
    time.sleep(1)
    assert 4 == pill_count(page)
    page.locator("#pill").click()
    expect(page.locator(".row")).to_have_count(5)
    assert 5 == len(set(stories(page)))


def test_everything_can_be_done_with_the_keyboard_alone(
    feed: FeedProcess, browser: Browser
) -> None:
    found(feed, "a", "b", "c")
    page = feed.page(browser)
    page.goto("/")
    live(page)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#drawer h2").first).to_have_text("Story b")
    assert re.search(r"\?open=[0-9a-f]+$", page.url)
    page.keyboard.press("j")
    expect(page.locator("#drawer h2").first).to_have_text("Story a")
    page.keyboard.press("Escape")
    expect(page.locator("#drawer")).to_be_hidden()
    page.keyboard.press("s")
    expect(page.locator("#dialog textarea")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".row.is-snoozed")).to_have_count(1)
    page.keyboard.press("k")
    page.keyboard.press("x")
    page.keyboard.press("k")
    page.keyboard.press("x")
    expect(page.locator("#bulk-count")).to_have_text("2")
    page.keyboard.press("r")
    expect(page.locator("#dialog textarea")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".row.is-resolved")).to_have_count(2)
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("k")
    page.keyboard.press("o")
    expect(page.locator("h1")).to_have_text("Story c")


def test_the_drawer_shows_the_habit_and_the_break(feed: FeedProcess, browser: Browser) -> None:
    now = datetime.now(UTC)
    key = Entity(lane="credential", id="hmac:a")
    feed.store.record([rich(1, id="f", entity=key, time=now, since=now - HOUR)], now=now)
    feed.runner.record(rollups=rollups(key, [500] * 30 + [9000], now - 30 * HOUR))
    page = feed.page(browser)
    page.goto("/")
    page.locator(".row").click()
    expect(page.locator("#drawer canvas")).to_be_visible()
    expect(page.locator("#drawer")).to_contain_text("What to do")
    page.locator("#drawer").get_by_role("button", name="calls").click()
    expect(page.locator("#drawer canvas")).to_be_visible()
    link = page.url
    page.goto("/")
    page.goto(link)
    expect(page.locator("#drawer canvas")).to_be_visible()


def test_text_of_an_attacker_runs_nothing(feed: FeedProcess, browser: Browser) -> None:
    evil = MARKUP + HOSTILE
    event = dict.fromkeys(("id", "client_address", "user_agent", "request_model"), evil)
    found(feed, "a", title=evil, summary=evil, tenant=evil, runbook=(evil,),
          entity=Entity(lane="origin", id=evil), evidence={"events": [event]})  # fmt: skip
    page = feed.page(browser, "root", "admin")
    for path in ("/", "/overview", "/audit", "/?q=" + "%22%3E%3Cscript%3Ealert(1)%3C/script%3E"):
        page.goto(path)
        page.wait_for_load_state()
    page.goto("/")
    live(page)
    found(feed, "b", title=evil)
    expect(page.locator("#pill")).to_contain_text("<script>")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#drawer .say")).to_contain_text("<script>")
    page.keyboard.press("a")
    expect(page.locator("#dialog")).to_contain_text("<script>")
    assert 0 == page.locator("img").count()


def test_on_a_phone_nothing_is_cut_off(feed: FeedProcess, browser: Browser) -> None:
    found(feed, "a" * 60, summary="word " * 60)
    hours = rollups(
        Entity(lane="credential", id="hmac:" + 16 * "f"), [9_000], datetime.now(UTC) - 2 * HOUR
    )
    feed.runner.record(
        rollups=[r.model_copy(update={"tenant": "a-tenant-of-a-name"}) for r in hours]
    )
    page = feed.page(browser, viewport={"width": 390, "height": 844}, has_touch=True)
    for path in ("/", "/overview", "/silences"):
        page.goto(path)
        page.wait_for_timeout(300)
        assert 390 >= page.evaluate("document.documentElement.scrollWidth"), path
    page.goto("/")
    page.locator(".story").tap()
    expect(page.locator("h1")).to_contain_text("Story")
    assert 390 >= page.evaluate("document.documentElement.scrollWidth")


def test_without_scripts_the_list_and_stories_can_be_read(
    feed: FeedProcess, browser: Browser
) -> None:
    found(feed, "a", "b")
    page = feed.page(browser, java_script_enabled=False)
    page.goto("/?sort=severity")
    page.locator(".story").first.click()
    expect(page.locator("h1")).to_have_text(re.compile("Story [ab]"))


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing_serious(feed: FeedProcess, browser: Browser, colours: str) -> None:
    now = datetime.now(UTC)
    key = Entity(lane="credential", id="hmac:a")
    feed.store.router = Everyone(("siem",), ("people",))
    feed.store.record([rich(1, id="f", entity=key, time=now, since=now - HOUR)], now=now)
    feed.runner.record(rollups=rollups(key, [500] * 30 + [9000], now - 30 * HOUR))
    for severity in Severity:
        found(feed, f"s-{severity.value}", severity=severity)
    page = feed.page(browser, "root", "admin", color_scheme=colours)
    id = "".join(re.findall(r"i-([0-9a-f]+)", _html(page, "/?q=hmac:a"))[:1])
    paths = ["/", f"/?open={id}", f"/incidents/{id}", "/overview", "/silences", "/silences/new"]
    paths += ["/people", "/audit", "/account", f"/act/expected?ids={id}"]
    paths += ["/entities/credential?id=hmac:a", "/?tenant=nobody", "/login", "/tenants?tenant=acme"]
    paths += ["/act/resolve?ids=" + id, "/?detector=x&start=2026-10-01T00:00", "/incidents/none"]
    for path in paths:
        page.goto(path)
        page.wait_for_timeout(700)
        page.evaluate(AXE)
        result = page.evaluate("axe.run()")
        bad = [
            f"{path}: {v['id']}: {v['nodes'][0]['html'][:160]}"
            for v in result["violations"]
            if v["impact"] in ("serious", "critical")
        ]
        assert [] == bad


def _html(page: Page, path: str) -> str:
    page.goto(path)
    return page.content()
