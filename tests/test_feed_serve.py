"""The feed inside `serve`: the same process, the same store, its own address and first link."""

import re
import time
from pathlib import Path

import httpx
import pytest

from tests.serving import Serve

pytestmark = pytest.mark.slow


def eventually(log: Serve, pattern: str) -> str:
    """What the log says before long."""
    for _ in range(200):
        if found := re.search(pattern, log.log):
            return found[1]
        time.sleep(0.1)
    raise AssertionError(log.log)


def test_serve_shows_what_it_judges_and_prints_the_way_in_once(tmp_path: Path) -> None:
    serve = Serve(tmp_path / "data", '[feed]\nlisten = "127.0.0.1:0"\n').start()
    link = eventually(serve, r"(http://127\.0\.0\.1:\d+/enter/\S+)")
    base = link.partition("/enter/")[0]
    with httpx.Client(base_url=base, trust_env=False) as browser:
        assert 303 == browser.get("/").status_code
        assert 303 == browser.post(link).status_code
        assert "No source has sent anything yet" in browser.get("/").text
        assert "openapi" in browser.get("/api/openapi.json").text
        with browser.stream("GET", "/live") as answer:
            assert 200 == answer.status_code
            begun = time.monotonic()
            serve.stop()
            assert 15 > time.monotonic() - begun  # an open stream does not hold it up
    serve.start()
    eventually(serve, r"(The feed is at)")
    time.sleep(0.5)
    assert 1 == serve.log.count("/enter/")
    serve.stop()


def test_an_address_that_is_taken_does_not_keep_events_from_being_judged(tmp_path: Path) -> None:
    first = Serve(tmp_path / "one", '[feed]\nlisten = "127.0.0.1:0"\n').start()
    port = eventually(first, r"The feed is at http://127\.0\.0\.1:(\d+)")
    second = Serve(tmp_path / "two", f'[feed]\nlisten = "127.0.0.1:{port}"\n').start()
    eventually(second, r"(no feed: feed\.listen)")

    assert 200 == httpx.get(f"{second.url}/healthz", trust_env=False).status_code
    for each in (first, second):
        each.stop()
