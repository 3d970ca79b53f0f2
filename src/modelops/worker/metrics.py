"""What a worker tells of itself: whether the engine is ready, and what became of jobs."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

BUCKETS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)


@dataclass(frozen=True, slots=True)
class Metrics:
    """Counts of one worker."""

    registry: CollectorRegistry
    attempts: Counter
    seconds: Histogram

    @classmethod
    def create(cls) -> "Metrics":
        """Return counts that are zero."""
        registry = CollectorRegistry()
        return cls(
            registry,
            Counter(
                "modelops_worker_attempts",
                "Attempts at jobs, by what became of them.",
                ("outcome",),
                registry=registry,
            ),
            Histogram(
                "modelops_worker_attempt_seconds",
                "What attempts at jobs took, inputs and results included.",
                registry=registry,
                buckets=BUCKETS,
            ),
        )

    def seen(self, outcome: str, seconds: float) -> None:
        """Count an attempt."""
        self.attempts.labels(outcome).inc()
        self.seconds.observe(seconds)

    @asynccontextmanager
    async def served(
        self, address: str, port: int, ready: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[None]:
        """Answer `/metrics`, and `/ready` with 200 or 503, inside the block."""

        async def told(_: web.Request) -> web.Response:
            text = generate_latest(self.registry)
            return web.Response(body=text, headers={"content-type": "text/plain; version=0.0.4"})

        async def readiness(_: web.Request) -> web.Response:
            return web.Response(status=200 if await ready() else 503)

        app = web.Application()
        app.add_routes([web.get("/metrics", told), web.get("/ready", readiness)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, address, port).start()
            yield
        finally:
            await runner.cleanup()
