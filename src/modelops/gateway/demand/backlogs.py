"""Reads what the queue of jobs has for each model that scales, about once a second."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from modelops.gateway.meter import SHARE
from modelops.jobs.names import COME
from modelops.jobs.queue import Backlog
from modelops.jobs.streams import Streams

SECONDS: Final = 1.0
"""Time between two rounds, at least."""

PATIENCE: Final = 2.0
"""A queue that has not told everything of fifty models within this time has not answered."""

STALE_SECONDS: Final = 5.0
"""What is older is not known any more."""

RETRY_SECONDS: Final = 0.5

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Backlogs:
    """What the models that `wanted` names, by NAMESPACE/NAME, have to do, and when that was told.

    Each gateway pod reads it for itself. Where a job comes it is read at once: the queue tells of
    it, whichever pod took it. Without a queue nothing is ever known.
    """

    redis: Redis | None
    wanted: Callable[[], Collection[str]]
    come: Callable[[frozenset[str]], None] = lambda _: None
    """Is told which models were read because a job came."""
    seconds: float = SECONDS
    told: dict[str, tuple[float, Backlog]] = field(default_factory=dict)
    _called: set[str] = field(default_factory=set)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def fresh(self, now: float) -> Mapping[str, Backlog]:
        """Return what was told lately; `now` is monotonic."""
        return {m: found for m, (at, found) in self.told.items() if now - at < STALE_SECONDS}

    async def run(self) -> None:
        """Follow the queue until cancelled."""
        if self.redis is None:
            return
        async with asyncio.TaskGroup() as group:
            group.create_task(self._rounds(Streams(self.redis)))
            group.create_task(self._listen(self.redis))

    async def _rounds(self, queue: Streams) -> None:
        due = 0.0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - time.monotonic())):
                    await self._news.wait()
            self._news.clear()
            wanted, called = set(self.wanted()), frozenset(self._called)
            self._called.clear()
            began, before = time.monotonic(), time.process_time()
            if began < due:
                await self._read(queue, sorted(called & wanted))
            else:
                self.told = {model: told for model, told in self.told.items() if model in wanted}
                await self._read(queue, sorted(wanted))
                due = began + max(self.seconds, SHARE * (time.process_time() - before))
            if called & wanted:
                self.come(called & wanted)

    async def _read(self, queue: Streams, models: list[str]) -> None:
        """Read of some; what cannot be read grows old."""
        if not models:
            return
        try:
            found = await queue.backlogs(models)
        except (RedisError, OSError, ValueError, TypeError) as error:
            log.debug("the queue does not tell what there is to do: %r", error)
            await asyncio.sleep(RETRY_SECONDS)
            return
        at = time.monotonic()
        self.told |= {model: (at, each) for model, each in zip(models, found, strict=True)}

    async def _listen(self, redis: Redis) -> None:
        """Hear of jobs that come; while the queue is away the rounds find them."""
        while True:
            try:
                async with redis.pubsub() as heard:
                    await heard.subscribe(COME)
                    while True:
                        said = await heard.get_message(ignore_subscribe_messages=True, timeout=1)
                        if said:
                            self._called.add(said["data"].decode(errors="replace"))
                            self._news.set()
            except (RedisError, OSError) as error:
                log.debug("the queue does not tell of jobs that come: %r", error)
            await asyncio.sleep(RETRY_SECONDS)
