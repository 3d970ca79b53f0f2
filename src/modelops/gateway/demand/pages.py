"""What others in the cluster may read over HTTP: this pod's share of the demand, the decisions."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from modelops.gateway.demand.book import Book
from modelops.gateway.demand.share import Share

HOLD_SECONDS: Final = 1.0
"""So long a pod that asks for news waits for them."""

SEEN: Final = "seen"
VERSION: Final = "x-version"


@dataclass(slots=True)
class Pages:
    """`/demand`, which may be asked for what is newer than was `seen`, and `/decisions`."""

    share: Callable[[], Share]
    book: Book
    version: int = 0
    """Counts what others must hear of at once."""
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def urge(self) -> None:
        """Tell those who wait for news."""
        self.version += 1
        self.news.set()
        self.news = asyncio.Event()

    async def demand(self, request: web.Request) -> web.Response:
        """Tell this pod's share; whoever has seen this version hears of the next one."""
        if request.query.get(SEEN) == str(self.version):
            with suppress(TimeoutError):
                async with asyncio.timeout(HOLD_SECONDS):
                    await self.news.wait()
        headers = {VERSION: str(self.version)}
        text = self.share().model_dump_json()
        return web.Response(text=text, content_type="application/json", headers=headers)

    async def decisions(self, _: web.Request) -> web.Response:
        """Tell all decisions."""
        return web.json_response(self.book.document())

    @asynccontextmanager
    async def serve(self, port: int, address: str = "0.0.0.0") -> AsyncIterator[int]:
        """Listen, on any free port for 0; give the port."""
        app = web.Application(client_max_size=1024)
        app.add_routes([web.get("/demand", self.demand), web.get("/decisions", self.decisions)])
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0)
        await runner.setup()
        try:
            await web.TCPSite(runner, address, port).start()
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()
