"""Rejected originals are tried again, all of them, and what passes is in the journal once."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas.adapters import Context, adapt
from schemas.identity import Pepper
from streams import cli, tokens
from streams.quarantine import PAGE, Quarantine, Refused
from streams.retry import Told, retry
from streams.settings import Settings
from tests.test_adapters_again import document, written
from tests.test_adapters_bad_input import canonical

LONG_AGO = datetime(2026, 11, 1, tzinfo=UTC)


class Site:
    """A data directory with a token, a quarantine and a list instead of a journal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[bytes] = []
        self.quarantine = Quarantine(folder)
        tokens.make_first(folder)

    def refuse(self, format: str, *originals: bytes) -> None:
        self.quarantine.add_all(
            Refused("default", "/", format, "", "did not pass", raw) for raw in originals
        )

    def retry(self, limit: int | None = None) -> Told:
        return retry(self.folder, Settings(), None, None, limit, self.append)

    def append(self, source: str, lines: Sequence[bytes]) -> None:
        self.lines += lines


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_all_are_tried_however_many_stay(site: Site) -> None:
    count = PAGE + 5
    bad = [b'{"no event": %d}' % n for n in range(count)]
    good = [canonical(event__id=f"e-{n}") for n in range(count)]
    site.refuse("canonical", *good)
    site.refuse("canonical", *bad)  # the newest, and they stay the newest
    assert Told(2 * count, count, count) == site.retry()
    assert [f"e-{n}" for n in range(count)] == [json.loads(x)["event.id"] for x in site.lines]
    assert Told(count, 0, count) == site.retry()
    assert Told(3, 0, 3) == site.retry(limit=3)


@pytest.mark.parametrize("encoding", ["json", "protobuf"])
def test_a_span_that_once_came_too_early_passes_later(site: Site, encoding: str) -> None:
    body = written(document(3, tenant__id="acme"), encoding)
    early = Context(Pepper.load(site.folder / "pepper").secret, observed=LONG_AGO)
    refused = adapt(body, "otlp-traces", early).rejections
    assert ["clock_ahead"] * 3 == [one.reason for one in refused]
    site.refuse("otlp-traces", *(one.raw for one in refused))
    assert Told(3, 3, 0) == site.retry()
    assert ["acme"] * 3 == [json.loads(line)["tenant.id"] for line in site.lines]


def test_the_command_tries_all_unless_told_otherwise(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.refuse("canonical", *(b'{"no event": %d}' % n for n in range(PAGE + 1)))
    words: list[Any] = ["dlq", "retry", "--data", str(site.folder), "--json"]
    for more, tried in (([], PAGE + 1), (["--limit", "2"], 2)):
        assert 0 == cli.main([*words, *more])
        told = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert {"tried": tried, "events": 0, "left": tried} == told


def test_entries_that_come_meanwhile_are_left_for_the_next_time(tmp_path: Path) -> None:
    now = [LONG_AGO.timestamp()]
    quarantine = Quarantine(tmp_path, keep_s=1e9, wall=lambda: now[0])
    one = Refused("default", "/", "canonical", "", "bad", b"1")
    quarantine.add(one)
    seen = []
    for entry in quarantine.oldest():
        seen.append(entry.size)
        now[0] += timedelta(seconds=1).total_seconds()
        quarantine.add(Refused("default", "/", "canonical", "", "bad", b"2" * (1 + len(seen))))
    assert [1] == seen
