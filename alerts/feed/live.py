"""New and changed incidents as server-sent events: one look at the store for all who watch.

An event's id is the number of a change, so that a browser that comes back says where it was
(`Last-Event-ID`) and gets what it missed, once. Whoever does not read in time is cut off, and
comes back the same way.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from anyio import to_thread

from alerts.feed.filters import Filter
from alerts.feed.identity import Denied, Identity
from alerts.feed.queries import Change, Feeds
from alerts.incident import LOUD
from alerts.text import plain
from schemas.finding import Severity

POLL_S = 0.3
PING_S = 15.0
BATCH = 2000  # changes looked at together; who missed more is told to load the page again
QUEUE = 50  # batches a reader may be behind
MAX_TOLD = 50  # new incidents named in one event; the others are counted
RETRY_MS = 1000

log = logging.getLogger("tripmeter.feed")


@dataclass(slots=True, eq=False)
class _Reader:
    who: Identity
    wanted: Filter
    at: int
    queue: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(QUEUE))


class Hub:
    """Watches the store while anybody does.

    Args:
        limit: readers at once.
        alive: whether somebody may still read; asked again every `PING_S`.
    """

    def __init__(
        self,
        feeds: Feeds,
        now: Callable[[], datetime],
        limit: int,
        alive: Callable[[Identity], bool] = lambda _: True,
    ) -> None:
        self._feeds = feeds
        self._alive = alive
        self._now = now
        self._limit = limit
        self._readers: set[_Reader] = set()
        self._task: asyncio.Task[None] | None = None
        self._at = 0  # everybody was told of changes up to this one
        self._taken = 0  # and is being told of those up to this one
        self.closing = False

    def __len__(self) -> int:
        return len(self._readers)

    async def stream(self, who: Identity, wanted: Filter, at: int | None) -> AsyncIterator[bytes]:
        """Events from a change on; endless.

        Raises:
            Denied: too many watch already.
        """
        if len(self._readers) >= self._limit:
            raise Denied(503, "too many live connections are open")
        if at is None:
            at = await to_thread.run_sync(self._feeds.last_change)
        return self._events(who, wanted, at)

    async def _events(self, who: Identity, wanted: Filter, at: int) -> AsyncIterator[bytes]:
        """What was missed since a change, then what comes."""
        newest = await to_thread.run_sync(self._feeds.last_change)
        if self._task is None or self._task.done():
            self._at = self._taken = newest
            self._task = asyncio.create_task(self._watch())
        newest = max(newest, self._taken)  # others were told of more since we looked
        reader = _Reader(who, wanted, newest)
        self._readers.add(reader)  # not before somebody reads: who hung up at once takes no place
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            if at > newest:  # another store, or one put back from a backup
                yield _event("reload", newest, {})
            elif at < newest:
                found = await to_thread.run_sync(self._feeds.changes, at, BATCH)
                missed = [change for change in found if change.number <= newest]
                if len(missed) == BATCH:
                    yield _event("reload", newest, {})
                elif missed:
                    yield await to_thread.run_sync(self._told, reader.who, reader.wanted, missed)
            checked = time.monotonic()
            while not self.closing:
                if time.monotonic() - checked >= PING_S:
                    checked = time.monotonic()
                    if not await to_thread.run_sync(self._alive, reader.who):
                        return
                try:
                    body = await asyncio.wait_for(reader.queue.get(), PING_S)
                except TimeoutError:
                    yield b": alive\n\n"
                    continue
                if body is None:
                    return
                yield body
        finally:
            self._readers.discard(reader)

    async def _watch(self) -> None:
        """Looks for changes and hands each reader its part of them."""
        while self._readers and not self.closing:
            changes: list[Change] = []
            try:
                changes = await to_thread.run_sync(self._feeds.changes, self._at, BATCH)
                if changes:
                    self._taken = changes[-1].number
                    await self._hand_out(changes)
                    self._at = changes[-1].number
            except Exception as error:  # a task that ends would be silence for all who watch
                log.warning("changes cannot be told now: %s", type(error).__name__)
                changes = []
            if len(changes) < BATCH:
                await asyncio.sleep(POLL_S)

    async def _hand_out(self, changes: list[Change]) -> None:
        told: dict[tuple[Any, ...], bytes] = {}
        for reader in list(self._readers):
            new = [change for change in changes if change.number > reader.at]
            if not new:
                continue
            asker = reader.who.name if reader.wanted.personal else None
            name = (asker, reader.who.tenants, reader.wanted, new[0].number)
            if name not in told:
                told[name] = await to_thread.run_sync(self._told, reader.who, reader.wanted, new)
            reader.at = new[-1].number
            try:
                reader.queue.put_nowait(told[name])
            except asyncio.QueueFull:  # it comes back, and says where it was
                self._readers.discard(reader)
                while not reader.queue.empty():
                    reader.queue.get_nowait()
                reader.queue.put_nowait(None)

    def _told(self, who: Identity, wanted: Filter, changes: list[Change]) -> bytes:
        """One event: what is new in this list, and which others changed."""
        ids = list(dict.fromkeys(change.id for change in changes))
        loud = {change.id for change in changes if change.change in LOUD}
        visible: set[str] = set()
        new: list[dict[str, Any]] = []
        for at in range(0, len(ids), 500):
            part = ids[at : at + 500]
            now = self._now()
            visible |= {row[0] for row in self._feeds.matched(part, None, who, now)}
            for id, rank, body in self._feeds.matched(part, wanted, who, now):
                if id in loud:
                    known = str(json.loads(body)["title"]) if len(new) < MAX_TOLD else ""
                    title = plain(known, 120)
                    new.append({"id": id, "severity": list(Severity)[rank - 1], "title": title})
        told = {"new": new, "changed": [id for id in ids if id in visible]}
        return _event("incidents", changes[-1].number, told)

    def close(self) -> None:
        """Ends every stream."""
        self.closing = True
        for reader in self._readers:
            while not reader.queue.empty():
                reader.queue.get_nowait()
            reader.queue.put_nowait(None)


def _event(name: str, number: int, data: dict[str, Any]) -> bytes:
    return f"id: {number}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode()
