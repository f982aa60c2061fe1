"""What is new reaches whoever watches: once, in order, only what is theirs, after a break, too."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from alerts.feed import live
from alerts.feed.filters import Filter
from alerts.feed.identity import Denied, Identity
from schemas.finding import Severity
from tests.feed_kit import ALL, Office

PATIENCE_S = 10.0


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return Office(tmp_path_factory.mktemp("feed"))


@pytest.fixture
def office(one: Office, monkeypatch: pytest.MonkeyPatch) -> Office:
    monkeypatch.setattr(live, "POLL_S", 0.01)
    return one.clear()


def run(story: Callable[[], Awaitable[None]]) -> None:
    """A story of a few coroutines, within its time."""

    async def bounded() -> None:
        await asyncio.wait_for(story(), PATIENCE_S)

    asyncio.run(bounded())


async def told(stream: AsyncIterator[bytes]) -> tuple[int, str, Any]:
    """Id, name and data of the next event."""
    async for block in stream:
        lines = dict(line.split(": ", 1) for line in block.decode().splitlines() if ": " in line)
        if "event" in lines:
            return int(lines["id"]), lines["event"], json.loads(lines["data"])
    raise AssertionError("the stream ended")


def test_a_new_incident_is_told_with_its_severity_and_a_changed_one_by_its_id(
    office: Office,
) -> None:
    async def story() -> None:
        stream = await office.feed.hub.stream(ALL, Filter(), None)
        await anext(stream)
        [id] = await asyncio.to_thread(office.found, "a", severity=Severity.CRITICAL)
        number, name, data = await told(stream)
        assert (1, "incidents") == (number, name)
        new = [{"id": id, "severity": "critical", "title": "A key is tried at many models"}]
        assert {"new": new, "changed": [id]} == data

        person = office.signed_in("analyst")
        await asyncio.to_thread(person.post, "/act/ack", ids=id)
        _, _, data = await told(stream)
        assert {"new": [], "changed": [id]} == data
        await stream.aclose()  # type: ignore[attr-defined]
        assert 0 == len(office.feed.hub)

    run(story)


def test_whoever_comes_back_gets_what_was_missed_once(office: Office) -> None:
    async def story() -> None:
        first = office.found("a")
        at = office.feed.feeds.last_change()
        missed = office.found("b", "c")
        stream = await office.feed.hub.stream(ALL, Filter(), at)
        await anext(stream)
        number, _, data = await told(stream)
        assert missed == [each["id"] for each in data["new"]]
        later = await asyncio.to_thread(office.found, "d")
        after, _, data = await told(stream)
        assert (later, True) == ([each["id"] for each in data["new"]], after > number)
        assert first[0] not in json.dumps(data)

    run(story)


def test_who_was_away_too_long_is_asked_to_load_the_page_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "BATCH", 3)

    async def story() -> None:
        office.found("a")
        at = office.feed.feeds.last_change()
        office.found("b", "c", "d", "e")
        for where in (at, 10_000):  # too far behind; of another store
            stream = await office.feed.hub.stream(ALL, Filter(), where)
            await anext(stream)
            number, name, _ = await told(stream)
            assert (office.feed.feeds.last_change(), "reload") == (number, name)

    run(story)


def test_a_list_is_told_what_belongs_to_it_and_nobody_what_is_not_theirs(office: Office) -> None:
    acme = Identity("x", "viewer", frozenset({"acme"}))

    async def story() -> None:
        hub = office.feed.hub
        dear = await hub.stream(ALL, Filter(severity="high"), None)
        limited = await hub.stream(acme, Filter(), None)
        await anext(dear), await anext(limited)
        [low] = await asyncio.to_thread(office.found, "a", severity=Severity.LOW)
        assert {"new": [], "changed": [low]} == (await told(dear))[2]
        assert [low] == [each["id"] for each in (await told(limited))[2]["new"]]
        [high] = await asyncio.to_thread(office.found, "b", tenant="globex")
        assert [high] == [each["id"] for each in (await told(dear))[2]["new"]]
        assert {"new": [], "changed": []} == (await told(limited))[2]

    run(story)


def test_who_does_not_read_is_cut_off_and_holds_nobody_up(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "QUEUE", 2)

    async def story() -> None:
        hub = office.feed.hub
        slow, quick = await hub.stream(ALL, Filter(), None), await hub.stream(ALL, Filter(), None)
        await anext(slow), await anext(quick)
        for number in range(6):
            await asyncio.to_thread(office.found, f"n{number}")
            await told(quick)
        assert 1 == len(hub)
        assert [] == [block async for block in slow if b"event" in block]

    run(story)


def test_a_stream_of_somebody_who_may_no_longer_read_ends(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PING_S", 0.02)

    async def story() -> None:
        hub = live.Hub(office.feed.feeds, office.feed.now, 5, lambda who: who is ALL)
        stranger = Identity("x", "viewer")
        assert [] == [b async for b in await hub.stream(stranger, Filter(), None) if b"event" in b]

    run(story)


def test_there_is_a_limit_of_streams_and_an_end_to_all_of_them(tmp_path: Path) -> None:
    office = Office(tmp_path, max_streams=1)

    async def story() -> None:
        hub = office.feed.hub
        stream = await hub.stream(ALL, Filter(), None)
        await anext(stream)
        with pytest.raises(Denied, match="too many live connections"):
            await hub.stream(ALL, Filter(), None)
        hub.close()
        assert [] == [block async for block in stream]

    run(story)


def test_who_hangs_up_before_the_first_word_takes_no_place(tmp_path: Path) -> None:
    office = Office(tmp_path, max_streams=1)

    async def story() -> None:
        hub = office.feed.hub
        for _ in range(3):
            await hub.stream(ALL, Filter(), None)  # never read
        stream = await hub.stream(ALL, Filter(), None)
        assert b"retry: 1000\n\n" == await anext(stream)
        hub.close()

    run(story)


def test_who_comes_while_others_are_told_misses_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        hub = office.feed.hub
        first = await hub.stream(ALL, Filter(), None)
        await anext(first)
        before = office.feed.feeds.last_change()
        [id] = office.found("a")
        assert id in (await asyncio.wait_for(anext(first), 10)).decode()
        # the second looked just before that incident was stored
        monkeypatch.setattr(office.feed.feeds, "last_change", lambda: before)
        second = await hub.stream(ALL, Filter(), None)
        await anext(second)
        assert id in (await asyncio.wait_for(anext(second), 10)).decode()
        hub.close()

    run(story)


def test_a_fault_while_changes_are_told_is_not_the_end(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        hub, feeds = office.feed.hub, office.feed.feeds
        stream = await hub.stream(ALL, Filter(), None)
        await anext(stream)
        faults, look = iter([ValueError, OSError]), feeds.changes

        def changes(after: int, limit: int) -> list[live.Change]:
            for fault in faults:
                raise fault
            return look(after, limit)

        monkeypatch.setattr(feeds, "changes", changes)
        [id] = office.found("a")
        assert id in (await asyncio.wait_for(anext(stream), 10)).decode()
        hub.close()

    run(story)
