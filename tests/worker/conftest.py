"""A real Redis, a real S3 server and a fake engine, and workers as processes of their own."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.asyncio import Redis

from e2e.s3 import gateway as s3
from gateway.proxy import free_ports
from gateway.redisd import Server, server
from jobs.conftest import DURABLE
from jobs.test_queue import MODEL
from modelops.jobs.job import Job, State
from modelops.jobs.queue import Terms
from modelops.jobs.streams import Streams

ENGINE = Path(__file__).with_name("fake_engine.py")
LEASE_SECONDS = 1.5


@dataclass
class Site:
    """Where jobs are done."""

    folder: Path
    redis: Server
    s3: s3.Gateway
    engine: int

    @property
    def bucket(self) -> Path:
        """The folder that the bucket is."""
        return self.folder / "s3" / "data" / "jobs"

    @property
    def runs(self) -> list[list[str]]:
        """What the engine was asked for: id, attempt and the stage to go on after, each."""
        log = self.folder / "runs"
        return [line.split() for line in log.read_text().splitlines()] if log.exists() else []

    @contextmanager
    def worker(self, name: str = "one", **settings: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Run a worker; it is killed in the end if it is still there."""
        own = {
            "MODEL": MODEL, "REDIS_URL": self.redis.url, "S3_ENDPOINT": self.s3.url,
            "S3_BUCKET": "jobs", "ENGINE_URL": f"http://127.0.0.1:{self.engine}",
            "SCRATCH": str(self.folder / "scratch"), "CONSUMER": name,
            "LEASE_SECONDS": str(LEASE_SECONDS), "RETRY_PAUSE_SECONDS": "0.05",
            "METRICS_PORT": str(free_ports(1)[0]), "BIND_ADDRESS": "127.0.0.1",
        }  # fmt: skip
        environment = {**os.environ, **self.s3.environment, **own, **settings}
        process = subprocess.Popen([sys.executable, "-m", "modelops.worker"], env=environment)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    @asynccontextmanager
    async def queue(self) -> AsyncIterator[Streams]:
        """Give the queue as callers have it."""
        async with Redis.from_url(self.redis.url) as redis:
            await redis.flushall()
            yield Streams(redis, Terms(lease=LEASE_SECONDS, pause=0.05))


async def until(queue: Streams, id_: str, state: State, seconds: float = 60) -> Job:
    """Return a job as soon as it is in a state."""
    async with asyncio.timeout(seconds):
        while not (job := await queue.get(id_)) or job.state is not state:
            assert not (job and job.state.ended), job
            await asyncio.sleep(0.05)
    return job


async def eventually(holds: Callable[[], Awaitable[object]], seconds: float = 60) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110  other processes tell nothing
            await asyncio.sleep(0.05)


def stop(process: "subprocess.Popen[bytes]") -> int:
    """Tell a worker to go; return its exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=60)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """All that a worker needs."""
    folder = tmp_path_factory.mktemp("site")
    port = free_ports(1)[0]
    with ExitStack() as stack:
        (folder / "redis").mkdir()
        redis = stack.enter_context(server(folder / "redis", *DURABLE))
        storage = stack.enter_context(s3.running(folder / "s3"))
        command = [sys.executable, str(ENGINE), str(port), str(folder / "runs")]
        engine = subprocess.Popen(command)
        stack.callback(engine.wait)
        stack.callback(engine.kill)
        made = Site(folder, redis, storage, port)
        made.bucket.mkdir()
        yield made
