"""Makes the pictures of docs/feed.md again: `python -m tests.feed_screenshots`."""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page

from schemas.samples import two_weeks
from streams.demo import watch
from streams.demo_folder import DemoFolder
from streams.pipeline import Pipeline
from tests.feed_process import FeedProcess, chromium, running

DOCS = Path(__file__).resolve().parent.parent / "docs/images"


def stolen_key(feed: FeedProcess) -> str:
    """The dearest incident."""
    from alerts.store_query import Query

    found = Query(feed.store.engine).incidents(family="llmjacking", limit=1000)
    return max(found, key=lambda incident: incident.cost_usd or 0.0).id


def take(page: Page, path: str, name: str, wait: str, *, full: bool = False) -> None:
    """One picture."""
    page.goto(path)
    page.locator(wait).first.wait_for()
    page.wait_for_timeout(1000)
    page.screenshot(path=DOCS / name, full_page=full)
    print(f"docs/images/{name}", file=sys.stderr)


def main() -> None:
    """Judges the demo's two weeks, and photographs the feed."""
    DOCS.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp())
    try:
        kept = DemoFolder(folder / "demo")
        watch(two_weeks(0), Pipeline(), lambda *_: None, kept.keep)
        kept.show()
        with running(folder / "demo") as feed, chromium() as browser:
            id = stolen_key(feed)
            page = feed.page(browser)
            take(page, "/?sort=severity", "feed-list.png", ".row")
            take(page, f"/?sort=severity&open={id}", "feed-drawer.png", "#drawer .steps")
            take(page, f"/incidents/{id}", "feed-incident.png", "canvas", full=True)
            take(page, "/overview", "feed-overview.png", ".days")
            phone = feed.page(browser, viewport={"width": 390, "height": 844}, color_scheme="dark")
            take(phone, "/?sort=severity", "feed-phone.png", ".row")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
