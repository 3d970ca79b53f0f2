"""A work queue of keys: each waits once, is worked on by one worker at a time, and is retried."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

Handler = Callable[[Key], Awaitable[float | None]]
"""Works on a key; returns the seconds after which it shall be looked at again, or raises."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pause before a failed key is tried again; seconds."""

    first: float = 0.5
    longest: float = 60.0
    jitter: float = 0.25
    random: Callable[[], float] = random.random

    def pause(self, failures: int) -> float:
        """Return the pause after that many failures in a row, up to `jitter` shorter."""
        full = min(self.longest, self.first * 2.0 ** min(failures - 1, 32))
        return full * (1 - self.jitter * self.random())


class Queue(Generic[Key]):
    """Keys to work on. A key that comes while it waits or is worked on is worked on once more."""

    def __init__(self, handler: Handler[Key], backoff: Backoff | None = None) -> None:
        """Work on keys with a handler; one that raises is retried after a growing pause."""
        self._handler = handler
        self._backoff = backoff or Backoff()
        self._waiting: dict[Key, None] = {}
        self._started: dict[Key, float] = {}
        self._again: set[Key] = set()
        self._due: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._news = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        """Return how many keys wait for a worker."""
        return len(self._waiting) + len(self._again)

    @property
    def oldest(self) -> float | None:
        """The loop time at which the longest running work began; None when nothing runs."""
        return min(self._started.values(), default=None)

    def add(self, key: Key, delay: float = 0) -> None:
        """Have a key worked on after that many seconds; of several wishes the soonest wins."""
        if self._closed or key in self._waiting or key in self._again:
            return
        if delay > 0:
            self._schedule(key, delay)
            return
        self._unschedule(key)
        if key in self._started:
            self._again.add(key)
        else:
            self._waiting[key] = None
            self._news.set()

    async def run(self, workers: int) -> None:
        """Work on keys until the queue is closed, then finish the work in progress."""
        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(self._work(), name=f"worker {number}")

    def close(self) -> None:
        """Take no more keys and let `run` return when the work in progress is done."""
        self._closed = True
        self._waiting.clear()
        self._again.clear()
        for key in tuple(self._due):
            self._unschedule(key)
        self._news.set()

    async def _work(self) -> None:
        while (key := await self._next()) is not None:
            await self._attempt(key)

    async def _next(self) -> Key | None:
        while not self._waiting:
            if self._closed:
                return None
            self._news.clear()
            await self._news.wait()
        key = next(iter(self._waiting))
        del self._waiting[key]
        self._started[key] = asyncio.get_running_loop().time()
        return key

    async def _attempt(self, key: Key) -> None:
        try:
            delay = await self._handler(key)
        except Exception:  # noqa: BLE001  the handler tells of its failures; the queue retries
            self._failures[key] = self._failures.get(key, 0) + 1
            delay = self._backoff.pause(self._failures[key])
        else:
            self._failures.pop(key, None)
        finally:
            del self._started[key]
        self._settle(key, delay)

    def _settle(self, key: Key, delay: float | None) -> None:
        if key in self._again:
            self._again.discard(key)
            self.add(key)
        elif delay is not None:
            self.add(key, delay)

    def _schedule(self, key: Key, delay: float) -> None:
        loop = asyncio.get_running_loop()
        known = self._due.get(key)
        if known and known.when() <= loop.time() + delay:
            return
        self._unschedule(key)
        self._due[key] = loop.call_later(delay, self._ripen, key)

    def _ripen(self, key: Key) -> None:
        del self._due[key]
        self.add(key)

    def _unschedule(self, key: Key) -> None:
        handle = self._due.pop(key, None)
        if handle:
            handle.cancel()
