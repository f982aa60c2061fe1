"""`/healthz`, `/readyz` and `/metrics` of a process that serves nothing else."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streams.metrics import CONTENT_TYPE
from streams.web import Server, address

STOP_S = 5.0

log = logging.getLogger("tripmeter.monitor")


class Monitor:
    """Answers in a thread of its own, so that it does so while the process is busy.

    Args:
        listener: see `streams.web.listen`; closed by `stop`.
        ready: reasons why the process is not ready; none when it is.
        metrics: the exposition of Prometheus.
        alive: what `/healthz` says; False is 503.
    """

    def __init__(
        self,
        listener: socket.socket,
        ready: Callable[[], list[str]],
        metrics: Callable[[], bytes],
        alive: Callable[[], bool] = lambda: True,
    ) -> None:
        self._listener = listener
        self._ready = ready
        self._metrics = metrics
        self._alive = alive
        routes = [
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", self._exposition),
        ]
        self._server = Server(Starlette(routes=routes))
        self._thread = threading.Thread(
            target=self._server.run,
            kwargs={"sockets": [listener]},
            name="monitor",
            daemon=True,
        )

    def start(self) -> None:
        """Begins to answer."""
        log.info("monitoring on %s", address(self._listener))
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._server.should_exit = True
        self._thread.join(STOP_S)
        self._listener.close()

    async def _healthz(self, _: Request) -> Response:
        return Response("ok\n") if self._alive() else Response("stuck\n", 503)

    async def _readyz(self, _: Request) -> Response:
        reasons = await asyncio.get_running_loop().run_in_executor(None, self._ready)
        return Response("\n".join(reasons or ["ready"]) + "\n", 503 if reasons else 200)

    async def _exposition(self, _: Request) -> Response:
        text = await asyncio.get_running_loop().run_in_executor(None, self._metrics)
        return Response(text, headers={"content-type": CONTENT_TYPE})
