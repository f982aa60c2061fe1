"""A real `tripmeter feed` over a store that a test writes, and a real Chromium that looks at it."""

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from alerts.feed.accounts import Accounts
from alerts.feed.sessions import Sessions
from alerts.feed.tables import prepare
from alerts.store import AlertStore
from streams.store import Store

START_S = 30.0
COOKIE = "tripmeter_session"


class FeedProcess:
    """The process, which can be stopped and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runner = Store(folder)
        self.store: AlertStore = self.runner.alerts
        prepare(self.store.engine)
        self._accounts = Accounts(self.store.engine)
        self._accounts.first()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = ""
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Starts it and waits until it answers."""
        command = [sys.executable, "-m", "streams.cli", "feed", "--data", str(self.folder)]
        self._process = subprocess.Popen(
            [*command, "--listen", f"127.0.0.1:{self.port}"], stderr=subprocess.PIPE, text=True
        )
        assert self._process.stderr is not None
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            line = self._process.stderr.readline()
            self.log += line
            if "The feed is at" in line:
                return
            assert line, f"it ended at once:\n{self.log}"
        raise AssertionError(f"it did not start:\n{self.log}")

    def stop(self, how: int = signal.SIGTERM) -> None:
        """Ends it."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def session(self, name: str, role: Any = "analyst") -> str:
        """A signed-in user's cookie."""
        if self._accounts.user(name) is None:
            self._accounts.make(name, role, None)
        return Sessions(self.store.engine, 3600).begin(name)

    def page(
        self, browser: Browser, name: str = "ana", role: Any = "analyst", **options: Any
    ) -> Page:
        """A window of somebody; scripts that fail, or leave our origin, fail the test."""
        options.setdefault("viewport", {"width": 1280, "height": 800})
        context = browser.new_context(base_url=self.url, **options)
        secret = self.session(name, role)
        context.add_cookies([{"name": COOKIE, "value": secret, "url": self.url}])
        page = context.new_page()
        page.set_default_timeout(15_000)
        self.wrong: list[str] = []
        page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))
        page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))
        page.on("console", lambda m: "Content Security" in m.text and self.wrong.append(m.text))
        page.on("request", lambda r: self._ours(r.url))
        return page

    def _ours(self, url: str) -> None:
        if not url.startswith((self.url, "data:", "blob:")):
            self.wrong.append(f"it asked {url}")


@contextmanager
def running(folder: Path) -> Iterator[FeedProcess]:
    """A feed that runs while the block does."""
    feed = FeedProcess(folder)
    feed.start()
    try:
        yield feed
    finally:
        feed.stop()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without windows."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path is not None, "these tests need Chromium: apt install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def pill_count(page: Page) -> int:
    """How many are new, as the pill says."""
    found = re.match(r"(\d+) new", page.locator("#pill").inner_text())
    return int(found[1]) if found else 0
