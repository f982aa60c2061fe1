"""A uvicorn server on an address of the configuration, ended by our own signals."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from streams.configuration import BadConfig
from streams.settings import Settings, is_loopback, split_address

MAX_CONNECTIONS = 512
DRAIN_S = 10  # seconds running requests have to finish after SIGTERM


class Server(uvicorn.Server):
    """Runs one application; `should_exit = True` ends it."""

    def __init__(self, app: Any) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_graceful_shutdown=DRAIN_S,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to us: uvicorn's handlers would kill the process before it is done."""
        yield

    def until_signal(self) -> None:
        """Ends the server on SIGTERM and SIGINT."""

        def stop(*_: Any) -> None:
            self.should_exit = True

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)


def listen(settings: Settings) -> socket.socket:
    """The socket of `server.listen`.

    Raises:
        BadConfig: it is taken, or others can reach it and nobody allowed that.
    """
    host, port = split_address(settings.server.listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadConfig([f"server.listen: {settings.server.listen}: {reason}; choose another"]) \
            from None  # fmt: skip
    # asyncio sets this only on sockets it made itself; without it every answer waits 40 ms
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    bound = listener.getsockname()[0]
    if not settings.server.allow_remote and not is_loopback(bound):
        listener.close()  # "localhost" that is not
        raise BadConfig([f"server.listen: {bound} is not loopback; set allow_remote = true"])
    return listener


def address(listener: socket.socket) -> str:
    """Where it listens, as a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
