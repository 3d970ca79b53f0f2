"""Takes jobs and does them, a few at a time, until told to go."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from modelops.jobs.job import Job
from modelops.jobs.queue import Queue

PATIENCE_SECONDS: Final = 1.0
"""So long one call waits for a job, and so long a worker takes to see that it shall go."""

LAST_SECONDS: Final = 5.0
"""So long a worker that must go tries to give jobs back."""

log = logging.getLogger(__name__)


class Attempt(Protocol):
    """Does one job and tells the queue; being cancelled it stops, and has told nothing."""

    async def __call__(self, job: Job) -> str:
        """Return in a word what became of it."""
        ...


def _nobody(_outcome: str, _seconds: float) -> None:
    """Say nothing."""


@dataclass(slots=True)
class Worker:
    """``beat_seconds`` is how often the queue is told that a job is worked on.

    ``seen`` is told what became of each attempt, and after how many seconds.
    """

    queue: Queue
    model: str
    consumer: str
    attempt: Attempt
    concurrency: int = 1
    beat_seconds: float = 3.0
    grace_seconds: float = 20.0
    seen: Callable[[str, float], None] = _nobody
    _working: "set[asyncio.Task[str]]" = field(default_factory=set)

    async def run(self, leave: asyncio.Event) -> None:
        """Work until told to leave, and for the time of grace; give back what is not done then."""
        takers = {asyncio.create_task(self._take_on(leave)) for _ in range(self.concurrency)}
        leaving = asyncio.create_task(leave.wait())
        try:
            await asyncio.wait({leaving, *takers}, return_when=asyncio.FIRST_COMPLETED)
            if leave.is_set():
                await asyncio.wait(takers, timeout=self.grace_seconds)
                for work in self._working:
                    work.cancel()
                await asyncio.wait(takers, timeout=LAST_SECONDS)
        finally:
            for task in (leaving, *takers):
                task.cancel()
            ended = await asyncio.gather(*takers, return_exceptions=True)
        for each in ended:
            if isinstance(each, Exception):
                raise each

    async def _take_on(self, leave: asyncio.Event) -> None:
        while not leave.is_set():
            job = await self.queue.take(self.model, self.consumer, PATIENCE_SECONDS)
            if job and leave.is_set():
                await self.queue.release(job)
            elif job:
                await self._do(job)

    async def _do(self, job: Job) -> None:
        """Do a job, unless it becomes somebody else's, or is cancelled."""
        started = time.monotonic()
        working = asyncio.create_task(self.attempt(job))
        self._working.add(working)
        beating = asyncio.create_task(self._beat(job))
        try:
            await asyncio.wait({working, beating}, return_when=asyncio.FIRST_COMPLETED)
            outcome = await self._outcome(job, working)
        finally:
            beating.cancel()
            working.cancel()
            await asyncio.gather(working, beating, return_exceptions=True)
            self._working.discard(working)
        self.seen(outcome, time.monotonic() - started)
        log.info("%s, attempt %d: %s", job.order.id, job.attempt, outcome)

    async def _outcome(self, job: Job, working: "asyncio.Task[str]") -> str:
        """Return what became of an attempt; one that was stopped since time is over is given back.

        One whose beats have ended first is somebody else's.
        """
        if not working.done():
            return "taken away"
        if not working.cancelled():
            return working.result()
        await self.queue.release(job)
        return "given back"

    async def _beat(self, job: Job) -> None:
        """Say that it is worked on, as long as that is so."""
        while True:
            await asyncio.sleep(self.beat_seconds)
            if not await self.queue.beat(job, self.consumer):
                return
