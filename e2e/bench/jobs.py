"""`python -m e2e.bench.jobs`: jobs on fake engines, whose workers and Redis are killed.

A fake engine notes that it was called, waits, and has made nothing; queue and worker are the
platform's own. What was noted and what Redis has in the end tells whether a job was lost, billed
twice or done twice.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Any, Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from e2e.bench.record import Figure, record
from e2e.platform import ROOT
from modelops.jobs.job import Job, Order, Result, State
from modelops.jobs.names import USAGE
from modelops.jobs.queue import Terms
from modelops.jobs.streams import Streams, identity
from modelops.worker.worker import Worker

MODEL: Final = "bench/fake"
TENANTS: Final = 8
WORK_SECONDS: Final = 0.02
TERMS: Final = Terms(lease=3.0, pause=0.1)


@dataclass(frozen=True)
class Course:
    """How many jobs come at which rate, how many workers do them, and who is killed when.

    ``restarts`` is how often Redis is killed, ``pause`` the seconds between two kills of workers.
    """

    jobs: int = 10_000
    rate: float = 120.0
    workers: int = 4
    pause: float = 5.0
    restarts: int = 2


@dataclass
class Found:
    """What came of it; ``waits`` are seconds from accepted to engine called."""

    lost: int
    billed_twice: int
    executions: int
    jobs: int
    kills: int
    waits: list[float] = field(default_factory=list)

    @property
    def duplicates(self) -> float:
        """Executions beyond one a job, per job."""
        return (self.executions - self.jobs) / self.jobs


@dataclass(frozen=True)
class FakeEngine:
    """Notes each call and waits; it needs no accelerator and makes no file."""

    queue: Streams
    log: Path

    async def __call__(self, job: Job) -> str:
        """Do nothing for a while, and say so."""
        line = f"{job.order.id} {job.attempt} {time.time()}\n".encode()
        note = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(note, line)
        os.close(note)
        await asyncio.sleep(WORK_SECONDS)
        return "succeeded" if await self.queue.finish(job, Result((), WORK_SECONDS)) else "taken"


async def work(url: str, name: str, log: Path) -> None:
    """Be a worker until killed."""
    queue = Streams(_client(url), TERMS, patient=True)
    worker = Worker(queue, MODEL, name, FakeEngine(queue, log), concurrency=4, beat_seconds=0.6)
    await worker.run(asyncio.Event())


def _client(url: str) -> Redis:
    return Redis.from_url(url, socket_timeout=10, retry=Retry(ConstantBackoff(0.1), 0))


@dataclass
class Fleet:
    """A Redis that keeps what it is told, and workers; both can be killed."""

    folder: Path
    port: int
    redis: "subprocess.Popen[bytes]"
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    kills: int = 0

    @property
    def url(self) -> str:
        """Where Redis is."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def log(self) -> Path:
        """What the engines note."""
        return self.folder / "calls"

    def hire(self) -> None:
        """Start one more worker."""
        name = f"worker-{self.kills}-{len(self.workers)}"
        command = [sys.executable, "-m", "e2e.bench.jobs", self.url, name, str(self.log)]
        self.workers.append(subprocess.Popen(command, cwd=ROOT))

    def kill(self) -> None:
        """Kill the worker that is there longest, and start another."""
        oldest = self.workers.pop(0)
        oldest.kill()
        oldest.wait()
        self.kills += 1
        self.hire()

    def restart(self) -> None:
        """Kill Redis and start it anew on what it wrote."""
        self.redis.kill()
        self.redis.wait()
        self.redis = _redis(self.folder, self.port)


def _redis(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    found = shutil.which("redis-server")
    assert found, "install redis-server first: apt-get install redis-server"
    durable = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
    where = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    return subprocess.Popen([found, *where, *durable], stdout=subprocess.DEVNULL)


@contextmanager
def fleet(workers: int) -> Iterator[Fleet]:
    """Run one."""
    with TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
        free.close()
        made = Fleet(Path(folder), port, _redis(Path(folder), port))
        try:
            for _ in range(workers):
                made.hire()
            yield made
        finally:
            for process in (*made.workers, made.redis):
                process.kill()
                process.wait()


async def submitted(queue: Streams, course: Course) -> dict[str, float]:
    """Ask for jobs at a rate; return when each was accepted, by id."""
    accepted: dict[str, float] = {}

    async def ask(number: int) -> None:
        order = Order(
            id=identity(), model=MODEL, tenant=f"t{number % TENANTS}",
            operation="images.generate", input={"n": 1}, seconds=WORK_SECONDS,
        )  # fmt: skip
        await queue.submit(order)
        accepted[order.id] = time.time()

    begin = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(course.jobs):
            await asyncio.sleep(max(0.0, begin + number / course.rate - time.monotonic()))
            group.create_task(ask(number))
    return accepted


async def harm(made: Fleet, course: Course) -> None:
    """Kill a worker every few seconds for ever, and Redis some times."""
    for number in range(1_000_000):
        await asyncio.sleep(course.pause)
        await asyncio.to_thread(made.kill)
        if 1 <= number <= course.restarts:
            await asyncio.to_thread(made.restart)


async def play(made: Fleet, course: Course) -> Found:
    """Have the jobs done; return what came of them."""
    async with _client(made.url) as redis:
        queue = Streams(redis, TERMS, patient=True)
        # What is waited for happens in other processes.
        while (await queue.stats(MODEL)).workers < course.workers:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        harming = asyncio.create_task(harm(made, course)) if course.pause else None
        accepted = await submitted(queue, course)
        while sum(await _left(queue)):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        if harming:
            harming.cancel()
            await asyncio.gather(harming, return_exceptions=True)
        found: Any = redis
        bills = [e[b"id"].decode() for _, e in await found.xrange(USAGE)]
        jobs = [await queue.get(id_) for id_ in accepted]
    lost = sum(1 for job in jobs if job is None or job.state is not State.SUCCEEDED)
    twice = sum(number - 1 for number in Counter(bills).values())
    unbilled = len(set(accepted) - set(bills))
    calls = [line.split() for line in made.log.read_text().splitlines()]
    first = {id_: float(at) for id_, attempt, at in calls if attempt == "1"}
    waits = [max(0.0, at - accepted[id_]) for id_, at in first.items()]
    return Found(lost + unbilled, twice, len(calls), len(accepted), made.kills, waits)


async def _left(queue: Streams) -> list[int]:
    stats = await queue.stats(MODEL)
    return [lane.waiting + lane.delayed + lane.running for lane in stats.lanes.values()]


def run(course: Course) -> Found:
    """Play a course with a fleet of its own."""
    with fleet(course.workers) as made:
        found = asyncio.run(play(made, course))
    print(
        f"{found.jobs} jobs, {found.kills} workers killed, {course.restarts} restarts of Redis: "
        f"{found.lost} lost, {found.billed_twice} billed twice, {found.executions} executions",
        flush=True,
    )
    return found


def measure() -> None:
    """Measure what is lost under harm, and how long jobs wait without any."""
    harmed = run(Course())
    calm = run(Course(jobs=3000, rate=100.0, workers=2, pause=0, restarts=0))
    p99 = 1000 * quantiles(calm.waits, n=100)[-1]
    p50 = 1000 * quantiles(calm.waits, n=100)[49]
    told = {"jobs": float(harmed.jobs), "kills": float(harmed.kills)}
    record(
        "jobs",
        [
            Figure("jobs_lost", harmed.lost, "jobs", told),
            Figure("jobs_double_billed", harmed.billed_twice, "jobs", told),
            Figure("duplicate_execution_ratio", harmed.duplicates, "ratio", told),
            Figure("queue_p99_ms", p99, "ms", {"p50": p50}),
        ],
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(work(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
    else:
        measure()
