"""`modelops-worker`: the process beside an engine."""

import asyncio
import logging
import signal
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from pydantic import ValidationError

from modelops.jobs.outside import Outside
from modelops.jobs.store import Store
from modelops.jobs.streams import Streams
from modelops.logs import configure
from modelops.redis import Address
from modelops.setting import complaint
from modelops.worker.attempt import Doing
from modelops.worker.engine import Neighbour
from modelops.worker.inputs import Inputs
from modelops.worker.metrics import Metrics
from modelops.worker.results import Results, forget
from modelops.worker.settings import Settings
from modelops.worker.worker import Worker

HIDDEN = ("redis_url",)
ANSWER_SECONDS = 10.0
"""Longer than the queue ever waits for a job in one call."""

ENGINE_SECONDS = 1.0
"""How often an engine that is not ready is asked whether it is."""

log = logging.getLogger(__name__)


async def run(settings: Settings) -> None:
    """Do jobs until SIGTERM."""
    leave = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, leave.set)
    metrics, scratch = Metrics.create(), Path(settings.scratch)
    async with AsyncExitStack() as stack:
        redis = Address(settings.redis_url, _folder(settings)).client(ANSWER_SECONDS)
        stack.push_async_callback(redis.aclose)
        queue = Streams(redis, settings.terms, patient=True)
        engine = await stack.enter_async_context(
            Neighbour.opened(settings.engine_url, settings.silent_seconds)
        )
        outside = await stack.enter_async_context(Outside.opened(settings.allowed_networks))
        await stack.enter_async_context(
            metrics.served(settings.bind_address, settings.metrics_port, engine.ready)
        )
        store, consumer = Store(settings.bucket), settings.consumer or socket.gethostname()
        doing = Doing(
            queue=queue,
            consumer=consumer,
            engine=engine,
            inputs=Inputs(outside, store, settings.largest_input, settings.most_pixels),
            results=Results(store),
            scratch=scratch,
        )
        worker = Worker(
            queue=queue,
            model=settings.model,
            consumer=consumer,
            attempt=doing,
            concurrency=settings.concurrency,
            beat_seconds=settings.lease_seconds / 5,
            grace_seconds=settings.grace_seconds,
            seen=metrics.seen,
        )
        await _until_ready(engine, leave)
        log.info("taking jobs of %s as %s", settings.model, consumer)
        describing = asyncio.create_task(
            _describe(queue, settings.model, engine, settings.lease_seconds)
        )
        try:
            await worker.run(leave)
        finally:
            describing.cancel()
    log.info("stopped; what was not done is given back")


def _clean(scratch: Path) -> None:
    """Take away what a worker left that was killed here."""
    for left in scratch.glob("job_*"):
        forget(left)


async def _until_ready(engine: Neighbour, leave: asyncio.Event) -> None:
    """Take no job before the engine can do one."""
    while not leave.is_set() and not await engine.ready():
        try:
            async with asyncio.timeout(ENGINE_SECONDS):
                await leave.wait()
        except TimeoutError:
            continue


async def _describe(queue: Streams, model: str, engine: Neighbour, seconds: float) -> None:
    """Say what the engine takes, again and again: what is over it is refused when it is asked."""
    while True:
        limits = await engine.limits()
        if limits is not None:
            await queue.describe(model, limits)
        await asyncio.sleep(seconds)


def _folder(settings: Settings) -> Path | None:
    return Path(settings.redis_folder) if settings.redis_folder else None


def main() -> int:
    """Do jobs until told to stop; the exit code is 2 for wrong settings."""
    try:
        settings = Settings()
    except ValidationError as error:
        sys.stderr.write(complaint(error, "", "worker", HIDDEN) + "\n")
        return 2
    configure(settings.log_level, "json")
    _clean(Path(settings.scratch))
    asyncio.run(run(settings))
    return 0
