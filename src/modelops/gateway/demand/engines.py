"""Reads the load of every engine that scales, about once a second."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from aiohttp import ClientError, ClientSession, TCPConnector

from modelops.gateway.demand.bounded import bounded
from modelops.gateway.demand.first import Histogram, grown
from modelops.gateway.demand.page import Load, parse
from modelops.gateway.meter import SHARE
from modelops.gateway.snapshot import Endpoint

PATH: Final = "/metrics"
SECONDS: Final = 1.0
"""Time between two rounds, at least."""

PATIENCE: Final = 2.0
"""An engine that has not told everything within this time has not answered."""

MOST_BYTES: Final = 4 * 1024 * 1024
AT_ONCE: Final = 32
STALE_SECONDS: Final = 10.0
"""A load that is older is not known any more."""

WINDOW_SECONDS: Final = 30.0
"""Over so long first tokens are judged."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Engine:
    """What one engine last told, when (`time.monotonic`), and its recent first tokens."""

    load: Load
    at: float
    recent: deque[tuple[float, Histogram]] = field(default_factory=deque)

    def hear(self, load: Load, now: float) -> None:
        """Take what it tells now."""
        self.recent.append((now, grown(self.load.firsts, load.firsts)))
        while self.recent[0][0] < now - WINDOW_SECONDS:
            self.recent.popleft()
        self.load, self.at = load, now

    @property
    def firsts(self) -> list[Histogram]:
        """How long recent first tokens took."""
        return [histogram for _, histogram in self.recent]


@dataclass(slots=True)
class Engines:
    """The engines at the endpoints that `wanted` names, each with what it last told."""

    wanted: Callable[[], Collection[Endpoint]]
    seconds: float = SECONDS
    known: dict[Endpoint, Engine] = field(default_factory=dict)

    def fresh(self, now: float) -> dict[Endpoint, Engine]:
        """Return those that have told something lately."""
        return {e: engine for e, engine in self.known.items() if now - engine.at < STALE_SECONDS}

    async def run(self) -> None:
        """Ask them in rounds until cancelled; those that are gone are forgotten."""
        async with (
            ClientSession(connector=TCPConnector(limit=2 * AT_ONCE), trust_env=False) as web,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(self._rounds(web, answering=True))
            group.create_task(self._rounds(web, answering=False))

    async def _rounds(self, web: ClientSession, *, answering: bool) -> None:
        """Ask those that answered last, or the others: whoever hangs keeps only those waiting."""
        took = 0.0
        while True:
            await asyncio.sleep(max(self.seconds, SHARE * took))
            before = time.process_time()
            wanted = set(self.wanted())
            self.known = {e: engine for e, engine in self.known.items() if e in wanted}
            places = asyncio.Semaphore(AT_ONCE)
            asked = (e for e in wanted if (e in self.known) is answering)
            await asyncio.gather(*(self._ask(web, endpoint, places) for endpoint in asked))
            took = time.process_time() - before

    async def _ask(self, web: ClientSession, endpoint: Endpoint, places: asyncio.Semaphore) -> None:
        """Ask one; its time begins when it has a place."""
        async with places:
            load = await _load(web, endpoint)
        now = time.monotonic()
        if load is None:
            self.known.pop(endpoint, None)
        elif endpoint in self.known:
            self.known[endpoint].hear(load, now)
        else:
            self.known[endpoint] = Engine(load, now)


async def _load(web: ClientSession, endpoint: Endpoint) -> Load | None:
    """Return what an engine tells; None when that is nothing, too much, too late or no page."""
    try:
        async with asyncio.timeout(PATIENCE):
            return parse((await _page(web, endpoint)).splitlines())
    except (ClientError, OSError, TimeoutError, ValueError, KeyError) as error:
        log.debug("%s does not tell its load: %r", endpoint, error)
        return None


async def _page(web: ClientSession, endpoint: Endpoint) -> str:
    async with web.get(endpoint.url + PATH, allow_redirects=False, raise_for_status=True) as answer:
        return (await bounded(answer.content.iter_any(), MOST_BYTES)).decode()
