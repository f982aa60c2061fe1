"""A Slack of our own on loopback: channels, threads, files, a rate of messages, Socket Mode.

It keeps what a channel shows and every call, and is as strict as Slack where that matters: one
message a second (429 and Retry-After), metadata in the history only when asked for, edits and
threads only of what is there, blocks within their limits.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import WSMsgType, web

BLOCKS = 50
WHOLE = 13_200  # characters of blocks beyond which Slack refuses, though it documents no limit


@dataclass
class Call:
    """One call of the API."""

    method: str
    arguments: dict[str, Any]
    token: str
    at: float


@dataclass
class FakeSlack:
    """A workspace.

    Args:
        interval_s: least seconds between two messages of one channel.
        clock: seconds.
    Attributes:
        channels: id -> name.
        shown: (channel, ts) -> message, as people see it now.
        broken: method -> errors it answers with, one after the other; a callable decides itself.
        lost: methods whose next answer never comes, though they are done.
        then: what happens when a method is done and its answer is not sent yet; once each.
        scopes: what the token may not do: method -> error.
    """

    interval_s: float = 0.0
    clock: Callable[[], float] = time.monotonic
    channels: dict[str, str] = field(default_factory=lambda: {"C01": "soc", "C02": "night"})
    groups: dict[str, list[str]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    shown: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    broken: dict[str, list[Any]] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    then: dict[str, Callable[[], object]] = field(default_factory=dict)
    acks: list[dict[str, Any]] = field(default_factory=list)
    limited: int = 0
    port: int = 0

    def __post_init__(self) -> None:
        self._last: dict[str, float] = {}
        self._ts = 1_795_217_282_000_000
        self.uploaded: dict[str, bytes] = {}  # by id of the file
        self._files: dict[str, dict[str, Any]] = {}
        self._sockets: list[web.WebSocketResponse] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()

    @property
    def api(self) -> str:
        """Address of the API."""
        return f"http://127.0.0.1:{self.port}/api/"

    def methods(self) -> list[str]:
        """The methods that were called, in order."""
        return [call.method for call in self.calls]

    def messages(self, channel: str = "C01") -> list[dict[str, Any]]:
        """What a channel shows, without replies."""
        return [
            m
            for (where, ts), m in self.shown.items()
            if where == channel and m["thread"] in ("", ts)
        ]

    def replies(self, ts: str, channel: str = "C01") -> list[dict[str, Any]]:
        """What a thread shows, without its first message."""
        return [
            m for (where, at), m in self.shown.items()
            if where == channel and m["thread"] == ts and at != ts
        ]  # fmt: skip

    def forget(self) -> None:
        """An empty workspace again."""
        for each in (
            self.calls,
            self.shown,
            self.broken,
            self.lost,
            self.then,
            self.acks,
            self._last,
        ):
            each.clear()  # type: ignore[attr-defined]
        self.groups, self.limited = {}, 0

    def start(self) -> None:
        """Listens, in a thread of its own."""
        threading.Thread(target=self._run, name="fake-slack", daemon=True).start()
        self._ready.wait(10)

    def stop(self) -> None:
        """Ends it."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)

    def push(self, envelope: dict[str, Any]) -> None:
        """Sends something through Socket Mode."""
        asyncio.run_coroutine_threadsafe(self._push(envelope), self._loop).result(5)

    def connected(self) -> int:
        """Open Socket Mode connections."""
        return sum(not socket.closed for socket in self._sockets)

    def hang_up(self) -> None:
        """Ends every Socket Mode connection, as Slack does now and then."""
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result(5)

    async def _hang_up(self) -> None:
        for socket in self._sockets:
            await socket.close()

    async def _close(self) -> None:
        await self._hang_up()
        await self._runner.cleanup()

    async def _push(self, envelope: dict[str, Any]) -> None:
        open_ones = [socket for socket in self._sockets if not socket.closed]
        await open_ones[-1].send_str(json.dumps(envelope))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application(client_max_size=10 * 2**20)
        app.router.add_route("*", "/api/{method}", self._api)
        app.router.add_post("/upload/{id}", self._upload)
        app.router.add_get("/link", self._socket)
        app.router.add_post("/hook/{secret}", self._hook)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        self._loop.run_until_complete(self._runner.setup())
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        self.port = self._runner.addresses[0][1]
        self._ready.set()
        self._loop.run_forever()

    async def _api(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        arguments = await _arguments(request)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.calls.append(Call(method, arguments, token, self.clock()))
        if queue := self.broken.get(method):
            fault = queue.pop(0)
            if isinstance(fault, web.Response):
                return fault
            if fault is not None:
                return web.json_response({"ok": False, "error": fault})
        posts = method in ("chat.postMessage", "chat.update", "files.completeUploadExternal")
        channel = self._id(arguments.get("channel") or arguments.get("channel_id") or "")
        if posts and (wait := self._wait(channel)):
            self.limited += 1
            told = {"Retry-After": str(max(1, round(wait + 0.5)))}
            return web.json_response(
                {"ok": False, "error": "ratelimited"}, status=429, headers=told
            )
        answer = getattr(self, f"_do_{method.replace('.', '_').lower()}")(channel, arguments)
        if done := self.then.pop(method, None):
            done()
        if method in self.lost:
            self.lost.remove(method)
            transport = request.transport
            if transport is not None:
                transport.abort()
        return web.json_response({"ok": "error" not in answer, **answer})

    def _wait(self, channel: str) -> float:
        now = self.clock()
        left = self._last.get(channel, -1e9) + self.interval_s - now
        if left > 0.005:  # what the network may have taken off the pause
            return left
        self._last[channel] = now
        return 0.0

    def _id(self, channel: str) -> str:
        named = {name: id for id, name in self.channels.items()}
        return named.get(channel.lstrip("#"), channel)

    def _new(self, channel: str, message: dict[str, Any]) -> str:
        self._ts += 1_000_100
        ts = f"{self._ts // 1_000_000}.{self._ts % 1_000_000:06d}"
        self.shown[channel, ts] = {"thread": "", **message, "ts": ts}
        return ts

    def _do_chat_postmessage(self, channel: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if channel not in self.channels:
            return {"error": "channel_not_found"}
        if error := _too_long(arguments):
            return {"error": error}
        thread = arguments.get("thread_ts") or ""
        if thread and (channel, thread) not in self.shown:
            return {"error": "thread_not_found"}
        ts = self._new(channel, {**arguments, "thread": thread})
        return {"channel": channel, "ts": ts, "message": {}}

    def _do_chat_update(self, channel: str, arguments: dict[str, Any]) -> dict[str, Any]:
        message = self.shown.get((channel, arguments.get("ts", "")))
        if message is None:
            return {"error": "message_not_found"}
        if error := _too_long(arguments):
            return {"error": error}
        message |= arguments | {"edits": message.get("edits", 0) + 1}
        return {"channel": channel, "ts": message["ts"]}

    def _do_chat_postephemeral(self, channel: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"message_ts": "1.1"}

    def _do_conversations_history(self, channel: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"messages": self._seen(self.messages(channel), arguments)}

    def _do_conversations_replies(self, channel: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"messages": self._seen(self.replies(arguments["ts"], channel), arguments)}

    def _seen(self, found: list[dict[str, Any]], arguments: dict[str, Any]) -> list[dict[str, Any]]:
        asked = str(arguments.get("include_all_metadata", "")).lower() in ("1", "true")
        return [{k: v for k, v in m.items() if asked or k != "metadata"} for m in reversed(found)]

    def _do_conversations_list(self, channel: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"channels": [{"id": id, "name": name} for id, name in self.channels.items()]}

    def _do_conversations_info(self, channel: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if channel not in self.channels:
            return {"error": "channel_not_found"}
        return {"channel": {"id": channel, "name": self.channels[channel], "is_member": True}}

    def _do_auth_test(self, channel: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"user": "tripmeter", "team": "Acme", "team_id": "T1", "bot_id": "B1"}

    def _do_usergroups_users_list(self, channel: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"users": self.groups.get(arguments.get("usergroup", ""), [])}

    def _do_views_open(self, channel: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"view": {"id": "V1"}}

    def _do_files_getuploadurlexternal(
        self, channel: str, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        id = f"F{len(self._files)}"
        self._files[id] = {"id": id, "name": arguments["filename"]}
        return {"file_id": id, "upload_url": f"http://127.0.0.1:{self.port}/upload/{id}"}

    def _do_files_completeuploadexternal(
        self, channel: str, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        files = [self._files[each["id"]] for each in arguments["files"]]
        self._new(channel, {"thread": arguments.get("thread_ts", ""), "files": files})
        return {"files": files}

    def _do_apps_connections_open(self, channel: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"url": f"ws://127.0.0.1:{self.port}/link"}

    async def _upload(self, request: web.Request) -> web.Response:
        self.uploaded[request.match_info["id"]] = await request.read()
        return web.Response(text="OK")

    async def _hook(self, request: web.Request) -> web.Response:
        arguments = json.loads(await request.text())
        self.calls.append(Call("hook", arguments, request.match_info["secret"], self.clock()))
        if queue := self.broken.get("hook"):
            status, text = queue.pop(0)
            return web.Response(status=status, text=text)
        if self._wait("hook"):
            self.limited += 1
            return web.Response(status=429, text="rate_limited", headers={"Retry-After": "1"})
        self._new("hook", arguments)
        return web.Response(text="ok")

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets.append(socket)
        await socket.send_str(json.dumps({"type": "hello", "num_connections": 1}))
        async for message in socket:
            if message.type is WSMsgType.TEXT and message.data.startswith("{"):
                self.acks.append(json.loads(message.data))
        return socket


@contextmanager
def fake_slack(**options: Any) -> Iterator[FakeSlack]:
    """One for as long as the block runs."""
    slack = FakeSlack(**options)
    slack.start()
    try:
        yield slack
    finally:
        slack.stop()


async def _arguments(request: web.Request) -> dict[str, Any]:
    text = await request.text()
    if request.content_type == "application/json":
        found: dict[str, Any] = json.loads(text or "{}")
        return found
    pairs = dict(parse_qsl(text)) | dict(request.query)
    return {k: json.loads(v) if v[:1] in "[{" else v for k, v in pairs.items()}


def _too_long(arguments: dict[str, Any]) -> str:
    """What Slack says of a message beyond its limits; empty when it is within."""
    attached = [b for each in arguments.get("attachments") or () for b in each.get("blocks") or ()]
    blocks = [*(arguments.get("blocks") or ()), *attached]
    if len(blocks) > BLOCKS or any(_bad(block) for block in blocks):
        return "invalid_blocks"
    return "msg_blocks_too_long" if len(json.dumps(blocks, ensure_ascii=False)) > WHOLE else ""


def _bad(block: dict[str, Any]) -> bool:
    text = (block.get("text") or {}).get("text", "")
    fields = block.get("fields") or ()
    return (
        len(text) > (150 if block["type"] == "header" else 3000)
        or ("text" in block and not text)
        or len(fields) > 10
        or any(len(each["text"]) > 2000 for each in fields)
        or len(block.get("elements") or ()) > (25 if block["type"] == "actions" else 10)
    )
