"""The activator: an HTTP server beside Envoy, on the path only while a model has no replica."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from aiohttp import web

from modelops.gateway.activator import words
from modelops.gateway.activator.passage import Passage
from modelops.gateway.activator.places import Bounds, Places
from modelops.gateway.activator.room import Room
from modelops.gateway.activator.visit import Visit, refused
from modelops.gateway.activator.waker import Waker
from modelops.gateway.loopback import LOOPBACK
from modelops.gateway.snapshot import Model

BACKLOG: Final = 4096
LAST_SECONDS: Final = 0.1
"""How long what is open gets when the process ends; zero would be for ever."""

Sight = Callable[[Collection[str]], Mapping[str, Model]]
"""Returns how some models are now, by cluster; those that are not known are left out."""


@dataclass(slots=True)
class Activator:
    """Holds requests of models without a replica, wakes those, and passes the requests on.

    ``listeners`` are called whenever `held` is another than before.
    """

    bounds: Bounds
    sight: Sight
    complete: Callable[[], bool]
    waker: Waker
    seen: Callable[[str, float], None] = lambda *_: None
    """Is told what became of each held request, and for how many seconds it was held."""
    listeners: list[Callable[[], None]] = field(default_factory=list)
    _open: int = 0
    """Requests that are held or being passed on."""
    _idle: asyncio.Event = field(default_factory=asyncio.Event)
    _places: Places = field(init=False)
    _rooms: dict[str, Room] = field(default_factory=dict)
    _starts: dict[str, float] = field(default_factory=dict)
    _due: bool = False

    def __post_init__(self) -> None:
        """Begin with every place free."""
        self._places = Places(self.bounds)
        self._idle.set()

    @property
    def held(self) -> Mapping[str, int]:
        """How many requests are held by cluster; Envoy counts them among those in flight, too."""
        return self._places.held

    def look(self) -> None:
        """Look at the models again soon: something has changed."""
        if self._rooms and not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._due = False
        seen = self.sight(self._rooms)
        for cluster, room in self._rooms.items():
            took = room.see(seen.get(cluster))
            if took is not None:
                self._starts[cluster] = took

    @asynccontextmanager
    async def serve(self, port: int) -> AsyncIterator[int]:
        """Listen on loopback, on any free port for 0; give the port."""
        async with Passage.opened() as passage:
            app = web.Application(client_max_size=0)
            app.router.add_route("*", "/{path:.*}", partial(self._answer, passage))
            runner = web.AppRunner(
                app, handler_cancellation=True, access_log=None, shutdown_timeout=LAST_SECONDS
            )
            await runner.setup()
            try:
                await web.TCPSite(runner, LOOPBACK, port, backlog=BACKLOG).start()
                yield runner.addresses[0][1]
            finally:
                await runner.cleanup()

    async def empty(self, settle: float) -> None:
        """Wait for so many seconds, and then until nothing is held or passed on."""
        await asyncio.sleep(settle)
        await self._idle.wait()

    async def run(self, port: int) -> None:
        """Answer until cancelled."""
        async with self.serve(port):
            await asyncio.Event().wait()

    async def _answer(self, passage: Passage, request: web.Request) -> web.StreamResponse:
        self._open += 1
        self._idle.clear()
        try:
            return await self._receive(passage, request)
        finally:
            self._open -= 1
            if not self._open:
                self._idle.set()

    async def _receive(self, passage: Passage, request: web.Request) -> web.StreamResponse:
        """Hold a request if there is room for it; Envoy has its body, so its size is known."""
        cluster, size = request.host, request.content_length or 0
        room = self._rooms.get(cluster) or self._new(cluster)
        lacking = self._places.enter(cluster, size)
        if lacking:
            self.seen(f"no place: {lacking}", 0)
            return refused(words.full(room.eta))
        self._enter(cluster, room)
        with ExitStack() as stay:
            stay.callback(self._leave, cluster, room, size)
            visit = Visit(request, room, self.bounds, passage, self.complete, stay.close)
            try:
                return await visit.run()
            finally:
                self.seen(visit.outcome, visit.held)

    def _new(self, cluster: str) -> Room:
        return Room(self.sight((cluster,)).get(cluster), self._starts.get(cluster))

    def _enter(self, cluster: str, room: Room) -> None:
        self._rooms[cluster] = room
        room.guests += 1
        if room.waking is None or room.waking.done():
            room.waking = asyncio.create_task(self.waker.keep_asking(lambda: room.model))
        self._told()

    def _leave(self, cluster: str, room: Room, size: int) -> None:
        self._places.leave(cluster, size)
        room.guests -= 1
        if not room.guests and room.waking:
            room.waking.cancel()
            del self._rooms[cluster]
        self._told()

    def _told(self) -> None:
        for listener in self.listeners:
            listener()
