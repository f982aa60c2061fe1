"""What a worker answers on its own port: is it alive, is it ready, and figures for Prometheus."""

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streams.metrics import CONTENT_TYPE, Metrics


def application(metrics: Metrics, ready: Callable[[], list[str]]) -> Any:
    """`/healthz`, `/readyz`, `/metrics`.

    Args:
        ready: reasons why the worker is not ready; empty when it is.
    """

    async def healthz(_: Request) -> Response:
        return Response("ok\n")

    async def readyz(_: Request) -> Response:
        reasons = ready()
        return Response("\n".join(reasons or ["ready"]) + "\n", 503 if reasons else 200)

    async def figures(_: Request) -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", figures),
        ]
    )
