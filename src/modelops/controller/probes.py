"""The operator's two HTTP endpoints: /healthz for the kubelet and /metrics for Prometheus."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

Health = Callable[[], str | None]
"""Returns what is wrong; None when all is well."""


@asynccontextmanager
async def probes(
    address: str, health_port: int, metrics_port: int, health: Health, metrics: CollectorRegistry
) -> AsyncIterator[None]:
    """Serve both endpoints inside the block; also while the operator stands by."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(_serve(address, health_port, "/healthz", _healthz(health)))
        await stack.enter_async_context(
            _serve(address, metrics_port, "/metrics", _metrics(metrics))
        )
        yield


Endpoint = Callable[[web.Request], "web.Response"]


def _healthz(health: Health) -> Endpoint:
    def answer(_: web.Request) -> web.Response:
        complaint = health()
        return web.Response(text=complaint or "ok", status=503 if complaint else 200)

    return answer


def _metrics(registry: CollectorRegistry) -> Endpoint:
    def answer(_: web.Request) -> web.Response:
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return web.Response(body=generate_latest(registry), headers=headers)

    return answer


@asynccontextmanager
async def _serve(address: str, port: int, path: str, endpoint: Endpoint) -> AsyncIterator[None]:
    async def handle(request: web.Request) -> web.Response:
        return endpoint(request)

    app = web.Application()
    app.add_routes([web.get(path, handle)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, address, port).start()
        yield
    finally:
        await runner.cleanup()
