"""Presses over HTTP: signed requests that Slack sends to us, where Socket Mode is not wanted."""

import json
import logging
import socket
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from slack_sdk.signature import Clock, SignatureVerifier
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from alerts.base import RetryLater
from alerts.slack_socket import Handle

PATH = "/slack/actions"
MAX_BODY = 256 * 1024  # bytes; a form with everything in it has a few thousand
MAX_SEEN = 10_000  # signatures remembered; each is good for five minutes
MAX_CONNECTIONS = 64

log = logging.getLogger("tripmeter.alerts")


def make_app(
    secret: Callable[[], str], handle: Handle, clock: Clock | None = None
) -> Callable[..., Awaitable[None]]:
    """The application: one address, and nothing without a signature of the last five minutes.

    Args:
        secret: reads the signing secret; asked for every request.
        handle: does what a payload asks for; gives what the form shows.
    """
    seen: OrderedDict[str, None] = OrderedDict()

    async def actions(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY:
                return Response(status_code=413)
        try:
            verifier = SignatureVerifier(secret(), clock or Clock())
        except RetryLater as error:
            log.error("Slack: %s", error)
            return Response(status_code=503)
        headers = request.headers
        signature = headers.get("x-slack-signature", "")
        stamp = headers.get("x-slack-request-timestamp", "")
        try:
            if not stamp or not verifier.is_valid(body, stamp, signature):
                return Response(status_code=401)
        except ValueError:  # a stamp that is no number, a body that is no text
            return Response(status_code=400)
        if signature in seen:  # recorded and played again
            return Response(status_code=409)
        seen[signature] = None
        if len(seen) > MAX_SEEN:
            seen.popitem(last=False)
        payload = _payload(body)
        if payload is None:
            return Response(status_code=400)
        if payload.get("type") == "view_submission":  # a form shows what we answer
            answer = await run_in_threadpool(handle, payload)
            return JSONResponse(answer) if answer is not None else Response()
        return Response(background=BackgroundTask(handle, payload))

    return Starlette(routes=[Route(PATH, actions, methods=["POST"])])


def _payload(body: bytes) -> dict[str, Any] | None:
    try:
        fields = parse_qs(body.decode(), max_num_fields=10)
        payload = json.loads(fields["payload"][0])
    except (ValueError, KeyError, IndexError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


class Http:
    """A server on one address, in a thread of its own.

    Args:
        listen: host and port.
    """

    def __init__(self, app: Any, listen: tuple[str, int]) -> None:
        self._listen = listen
        self._listener: socket.socket | None = None
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", server_header=False,
            limit_concurrency=MAX_CONNECTIONS, timeout_keep_alive=5,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="slack-http", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1]) if self._listener is not None else 0

    def start(self) -> None:
        """Listens; an address that is taken is said to the log, and alerts go on."""
        family = socket.AF_INET6 if ":" in self._listen[0] else socket.AF_INET
        try:
            self._listener = socket.create_server(self._listen, family=family)
        except OSError as error:
            log.error("Slack: buttons do not work: %s:%d: %s", *self._listen, error.strerror)
            return
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(10)
        if self._listener is not None:
            self._listener.close()

    def _run(self) -> None:
        assert self._listener is not None  # noqa: S101  (`start` made it)
        self._server.run(sockets=[self._listener])
