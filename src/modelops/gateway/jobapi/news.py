"""Who waits for news of which job: one subscription to Redis for all of them."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

CHANNEL: Final = "jobs:news:"
PAUSE_SECONDS: Final = 1.0
UNHEARD_SECONDS: Final = 5.0
"""News may be lost while Redis is away: so often is looked without any."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class News:
    """Wakes those who wait for a job when something has happened to it."""

    redis: Redis
    _waiting: dict[str, set[asyncio.Event]] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def of(self, id_: str) -> AsyncIterator[asyncio.Event]:
        """Give an event that is set whenever there is news of a job; who waits clears it."""
        event = asyncio.Event()
        self._waiting.setdefault(id_, set()).add(event)
        self._changed.set()
        try:
            yield event
        finally:
            waiting = self._waiting[id_]
            waiting.discard(event)
            if not waiting:
                del self._waiting[id_]
            self._changed.set()

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            try:
                await self._listen()
            except* (RedisError, OSError) as errors:
                log.debug("no news: %s", errors.exceptions)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _listen(self) -> None:
        async with self.redis.pubsub() as heard:
            known: set[str] = set()
            # Without any subscription there would be no connection to listen to.
            await heard.subscribe(CHANNEL)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._subscribe(heard, known))
                while True:
                    said = await heard.get_message(ignore_subscribe_messages=True, timeout=1)
                    if said:
                        self._wake(said["channel"].decode().removeprefix(CHANNEL))

    async def _subscribe(self, heard: Any, known: set[str]) -> None:
        """Keep what is listened to the same as what is waited for."""
        while True:
            self._changed.clear()
            wanted = set(self._waiting)
            if new := wanted - known:
                await heard.subscribe(*(CHANNEL + id_ for id_ in new))
            if old := known - wanted:
                await heard.unsubscribe(*(CHANNEL + id_ for id_ in old))
            known = wanted
            for id_ in new:
                self._wake(id_)  # something may have happened before
            await self._changed.wait()

    def _wake(self, id_: str) -> None:
        for event in self._waiting.get(id_, ()):
            event.set()


async def heard(event: asyncio.Event, seconds: float) -> None:
    """Wait for news, or until it is time to look without any."""
    try:
        async with asyncio.timeout(min(seconds, UNHEARD_SECONDS)):
            await event.wait()
    except TimeoutError:
        pass
    event.clear()
